/**
 * What did Fly say when it refused? Error bodies come as JSON of four shapes, as plain text, as HTML of some
 * proxy, or not at all. This file reads them into one short line that is the same each time for the same
 * cause: ids of requests, times and counters that differ between two equal failures are taken out.
 */

/** What a failed answer says. */
export interface Refusal {
  readonly status: number;
  /** Fly's machine-readable `status` field, such as `insufficient_capacity`. */
  readonly code?: string;
  /** Fly's words, on one line and bounded; empty when it said nothing usable. */
  readonly text: string;
  /** False when the body is not Fly's own voice: the page of a proxy, or of a server that knows no such route. */
  readonly genuine: boolean;
}

const LONGEST_TEXT = 300;

/** What varies between two failures of the same cause, or must not be repeated at all. Applied in this order. */
const CLEANING: readonly (readonly [RegExp, string])[] = [
  // eslint-disable-next-line no-control-regex -- Control characters are exactly what must not reach a log line.
  [/[\u0000-\u001f\u007f\s]+/g, ' '],
  [/\b(?:FlyV1|Bearer|Basic)\s+\S{16,}/gi, '<token>'],
  [/\b(?:fm2|fm1r|fm1a)_\S+/g, '<token>'],
  [/,?\s*expires at \S+/gi, ''],
  [/\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})?/g, '<time>'],
  [/\b[0-7][0-9A-HJKMNP-TV-Z]{25}(?:-[a-z]{3})?\b/g, '<id>'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '<id>'],
  [/\busing \d+ MB\b/gi, 'using <n> MB'],
];

/** One line of at most 300 characters without what varies and without tokens. */
export function oneLine(text: string): string {
  const clean = CLEANING.reduce(
    (line, [pattern, replacement]) => line.replace(pattern, replacement),
    text,
  ).trim();
  return clean.length > LONGEST_TEXT ? `${clean.slice(0, LONGEST_TEXT - 1)}…` : clean;
}

/** Reads the body of an answer that is not a success. */
export function readRefusal(status: number, body: string): Refusal {
  const trimmed = body.trim();
  // Go's default router answers so where no such route exists: we are talking to something that is not Fly's API.
  if (trimmed.startsWith('<') || trimmed === '404 page not found')
    return { status, text: '', genuine: false };
  const json = parseObject(trimmed);
  if (json === undefined) return { status, text: oneLine(trimmed.slice(0, 4 * LONGEST_TEXT)), genuine: true };
  const code = nonEmpty(json['status']);
  const text = nonEmpty(json['message']) ?? nonEmpty(json['error']) ?? registryText(json['errors']) ?? '';
  return {
    status,
    text: oneLine(text.slice(0, 4 * LONGEST_TEXT)),
    genuine: true,
    ...(code !== undefined && { code }),
  };
}

/** The registry's shape (OCI distribution specification): `{"errors":[{"code","message"}]}`. */
function registryText(errors: unknown): string | undefined {
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if (typeof first !== 'object' || first === null) return undefined;
  const parts = [Reflect.get(first, 'code'), Reflect.get(first, 'message')].map(nonEmpty);
  return nonEmpty(parts.filter((part) => part !== undefined).join(': '));
}

function nonEmpty(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? { ...json } : undefined;
  } catch {
    return undefined; // Plain text is an answer too; the caller quotes it as such.
  }
}
