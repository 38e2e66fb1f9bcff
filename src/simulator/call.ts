/**
 * What goes into a piece of the simulated Fly, and what comes out? The shape of one call after routing, of
 * one answer, and how a body is read: as a Go server would, which drops unknown fields and reads null as absent.
 */
import type { z } from 'zod';
import type { Moment } from './moment.ts';
import { invalid } from './refusal.ts';

export interface Call {
  /** What the path's placeholders stood for, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The raw body; undefined when there was none. */
  readonly body: string | undefined;
  /** When the call took effect for the first time; later than that only for one that waits. */
  readonly startedAt: number;
}

/** An answer: JSON, or text with its own content type, or nothing but a status. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly text?: string;
}

/** Not answered yet: ask again when the machine has changed, and at `untilMs` (epoch) at the latest. */
export interface Waiting {
  readonly waitsFor: string;
  readonly untilMs: number;
}

export type Handler = (moment: Moment, call: Call) => Answer | Waiting;

export function ok(json: unknown): Answer {
  return { status: 200, json };
}

export function created(json: unknown): Answer {
  return { status: 201, json };
}

export function accepted(): Answer {
  return { status: 202 };
}

export function noContent(): Answer {
  return { status: 204 };
}

/** Go's decoder reads null as "not given", at any depth. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([key, inner]) => [key, withoutNulls(inner)]),
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid('request body is not valid JSON');
  }
}

/** The body as the schema wants it; no body counts as an empty object. `keepNulls`: null means something here. */
export function parseBody<S extends z.ZodType>(
  schema: S,
  call: Call,
  { keepNulls = false } = {},
): z.output<S> {
  const json = call.body === undefined || call.body === '' ? {} : parseJson(call.body);
  const parsed = schema.safeParse(keepNulls ? json : withoutNulls(json));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? 'request body' : issue.path.join('.');
  throw invalid(`${where}: ${issue?.message ?? 'invalid'}`);
}

/** Whether a query parameter is set, as Go's ParseBool reads it. */
export function flag(call: Call, name: string): boolean {
  return ['1', 't', 'true'].includes(call.query.get(name)?.toLowerCase() ?? '');
}

/** The words of a comma-separated, repeatable query parameter. */
export function words(call: Call, name: string): string[] {
  return call.query
    .getAll(name)
    .flatMap((value) => value.split(','))
    .filter((word) => word !== '');
}
