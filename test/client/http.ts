/**
 * What does the CLI send, and what does it make of an answer? One request, one answer, decoded strictly or shown as
 * the error that its user reads. It repeats nothing, follows no redirect, and knows no status but 401 from another.
 */
import { z } from 'zod';
import type { Era } from './eras.ts';

/** What the user of the CLI reads when something fails. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

/** The token was refused: late CLIs try once more with a new one. */
export class NotAuthenticated extends CliError {}

/** One request and its whole answer, as they were on the wire. */
export interface Exchange {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly status: number;
  readonly text: string;
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Appended verbatim to the API's URL. */
  readonly path: string;
  readonly bearer?: string;
  /** Absent: no body and no content type, also for a POST. */
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
}

export interface Http {
  readonly era: Era;
  readonly apiUrl: string;
  /** Decodes a 2xx answer. Throws CliError. */
  decode<T>(call: Call, schema: z.ZodType<T>): Promise<T>;
  /** Takes any 2xx and reads nothing of it. Throws CliError. */
  noContent(call: Call): Promise<void>;
  /** A 2xx answer whose body is read as it comes. Throws CliError. */
  open(call: Call, accept: string): Promise<Response>;
  /** Hands a whole stream to whoever listens to the wire. */
  overheard(exchange: Exchange): void;
}

/** The CLI of E1 set no limit; a test must. */
const NO_LIMIT_MS = 300_000;
/** Late CLIs: everything of one request, streams included. */
const WHOLE_REQUEST_MS = 30_000;
/** How much of an answer that is no error envelope late CLIs show. */
const SHOWN_CHARACTERS = 500;

const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

export function createHttp(options: {
  readonly era: Era;
  /** Without a slash at its end. */
  readonly apiUrl: string;
  /** Is told of every answer. */
  readonly onExchange?: (exchange: Exchange) => void;
}): Http {
  const { era, apiUrl, onExchange = () => undefined } = options;

  async function send(call: Call, accept?: string): Promise<Response> {
    const { method, path, bearer, json, form } = call;
    return fetch(`${apiUrl}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...(accept !== undefined && { accept }),
      },
      ...(json !== undefined && { body: JSON.stringify(json) }),
      ...(form !== undefined && { body: new URLSearchParams(form) }),
      signal: AbortSignal.timeout(era === 'E4' ? WHOLE_REQUEST_MS : NO_LIMIT_MS),
    });
  }

  /** The text of a 2xx answer. */
  async function textOf(call: Call): Promise<string> {
    const response = await send(call);
    const text = await response.text();
    onExchange({ method: call.method, path: call.path, status: response.status, text });
    if (!response.ok) throw failure(era, response.status, text);
    return text;
  }

  return {
    era,
    apiUrl,
    overheard: onExchange,
    async decode(call, schema) {
      const text = await textOf(call);
      const decoded = schema.safeParse(jsonOf(text));
      if (decoded.success) return decoded.data;
      throw new CliError(
        `${call.method} ${call.path}: error decoding response body: ${z.prettifyError(decoded.error)}`,
      );
    },
    async noContent(call) {
      await textOf(call);
    },
    async open(call, accept) {
      const response = await send(call, accept);
      if (response.status === 200) return response;
      const text = await response.text();
      onExchange({ method: call.method, path: call.path, status: response.status, text });
      throw new CliError(`Invalid status code: ${response.status}`);
    },
  };
}

/** Undefined, which no schema takes, when it is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function failure(era: Era, status: number, text: string): CliError {
  if (status === 401) return new NotAuthenticated('Authentication failed. Please log in again.');
  const known = errorSchema.safeParse(jsonOf(text));
  if (known.success) return new CliError(`${known.data.error.code}: ${known.data.error.message}`);
  return new CliError(
    era === 'E4'
      ? `HTTP ${status}: ${text.slice(0, SHOWN_CHARACTERS)}`
      : `unknown: Request failed with status ${status}`,
  );
}
