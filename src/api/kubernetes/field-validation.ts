/**
 * What becomes of unknown and of duplicate fields? What the query's `fieldValidation` says: they are ignored, or
 * the answer warns of them, or the write is refused. The sentences are the API server's own.
 */
import { visit } from 'jsonc-parser';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../errors.ts';
import { KIND, VERSION } from '../../tenant/names.ts';
import { prune } from './known-fields.ts';
import type { Origin } from './objects.ts';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

declare module 'fastify' {
  interface FastifyRequest {
    /** The body as it was sent: only there can a field be seen that stands in it twice. */
    bodyText: string | undefined;
  }
}

/** As many as fit into the headers of an answer; the API server tells 4 KiB of them. */
const MOST_WARNINGS = 32;
const LONGEST_WARNING = 256;

/** How one write treats fields that it should not have. */
export interface FieldCheck {
  /**
   * The object without unknown fields. With `Strict`, throws ApiError `invalid_request` for a whole object, `invalid`
   * for what a patch has made of one: as the API server does.
   */
  admit(object: unknown, origin: Origin): unknown;
}

/** The check of one request; its warnings become headers of the answer. */
export function createFieldCheck(
  validation: FieldValidation,
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
): FieldCheck {
  const duplicates = validation === 'Ignore' ? [] : duplicateFields(request.bodyText ?? '');
  return {
    admit(object, origin) {
      const { object: pruned, unknown } = prune(object);
      if (validation === 'Ignore') return pruned;
      const problems = [
        ...duplicates.map((path) => `duplicate field "${path}"`),
        ...unknown.map((path) => `unknown field "${path}"`),
      ];
      if (validation === 'Strict' && problems.length > 0) throw refusal(problems, origin);
      // Set, not appended: a patch that is tried again must not warn twice.
      const warnings = problems.slice(0, MOST_WARNINGS).map(warning);
      if (warnings.length > 0) void reply.header('warning', warnings);
      return pruned;
    },
  };
}

function refusal(problems: readonly string[], origin: Origin): ApiError {
  const strict = `strict decoding error: ${problems.join(', ')}`;
  if (origin === 'patch')
    return new ApiError('invalid', `cannot apply the patch: ${strict}`, {
      issues: [{ path: 'patch', message: strict }],
    });
  return new ApiError(
    'invalid_request',
    `${KIND} in version "${VERSION}" cannot be handled as a ${KIND}: ${strict}`,
  );
}

/** RFC 7234: code 299 is any other lasting warning. Only what a header may hold is let through. */
function warning(text: string): string {
  const printable = text.replace(/[^\x20-\x7e]/g, '?').slice(0, LONGEST_WARNING);
  return `299 - ${JSON.stringify(printable)}`;
}

/** Paths of fields that a JSON text holds more than once, in the order in which they are repeated. */
export function duplicateFields(text: string): string[] {
  const seen: Set<string>[] = [];
  const duplicates = new Set<string>();
  visit(text, {
    onObjectBegin: () => void seen.push(new Set()),
    onObjectEnd: () => void seen.pop(),
    onObjectProperty(name, _offset, _length, _line, _character, pathOf) {
      const names = seen.at(-1);
      if (names?.has(name) === true) duplicates.add(dotted([...pathOf(), name]));
      names?.add(name);
    },
  });
  return [...duplicates];
}

function dotted(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}
