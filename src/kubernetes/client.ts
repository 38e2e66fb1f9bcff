/**
 * How is the API server asked? One call: authorised, bounded in time and size, cancellable, its answer parsed as JSON
 * or thrown as a KubernetesError. And one stream, for watches: its lines as they come, for as long as it lasts.
 * Nothing is tried again here: whoever calls knows whether that is wise.
 */
import type { Dispatcher } from 'undici';
import type { Clock } from '../clock.ts';
import type { ClusterAccess } from './access.ts';
import { disconnection, KubernetesError, refusal } from './errors.ts';
import { linesOf } from './lines.ts';
import type { KubernetesMetrics } from './metrics.ts';

export interface KubernetesCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Encoded, with its query: `/api/v1/namespaces?limit=1`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `application/json` when absent; a patch says which kind it is. */
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal;
  /** From now to the last byte of the answer. */
  readonly timeoutMs?: number;
}

export interface KubernetesStream {
  /** Ends when the server ends it. Throws KubernetesError when the connection breaks. */
  readonly lines: AsyncGenerator<string, void>;
  /** Lets go of the connection. */
  close(): void;
}

export interface KubernetesClient {
  /** The answer's body. Throws KubernetesError, or the signal's reason when that aborts. */
  call(call: KubernetesCall): Promise<unknown>;
  /** A GET whose answer does not end by itself. Resolves once the server has accepted it. Throws as `call` does. */
  stream(options: { readonly path: string; readonly signal: AbortSignal }): Promise<KubernetesStream>;
  /** Closes all connections; what is under way fails. */
  close(): Promise<void>;
}

export interface KubernetesClientOptions {
  readonly access: ClusterAccess;
  readonly clock: Clock;
  readonly metrics: KubernetesMetrics;
}

/** The server ends an ordinary request after 60 seconds; one that takes ten has gone wrong. */
const CALL_TIMEOUT_MS = 10_000;
/** A page of 500 tenants has a few megabytes. */
const MOST_ANSWER_BYTES = 128 * 1024 * 1024;

export function createKubernetesClient(options: KubernetesClientOptions): KubernetesClient {
  const { access, clock, metrics } = options;

  async function call(request: KubernetesCall): Promise<unknown> {
    const { signal, timeoutMs = CALL_TIMEOUT_MS, method } = request;
    signal?.throwIfAborted();
    const startedAt = clock.monotonic();
    const told = (outcome: string) =>
      metrics.called({ method, outcome, durationMs: clock.monotonic() - startedAt });
    const limit = openLimit({ clock, timeoutMs, signal });
    try {
      const response = await send(access, { ...request, signal: limit.signal });
      const answer = await readAnswer(response, limit.signal);
      told(String(response.statusCode));
      if (response.statusCode >= 300)
        throw refusal({ ...answer, retryAfter: firstOf(response.headers['retry-after']) });
      return answer.body;
    } catch (error) {
      if (error instanceof KubernetesError && error.status !== undefined) throw error;
      signal?.throwIfAborted();
      const failure = limit.over ? timedOut(timeoutMs) : asFailure(error);
      told(failure.kind);
      throw failure;
    } finally {
      limit.end();
    }
  }

  async function stream({ path, signal }: { path: string; signal: AbortSignal }): Promise<KubernetesStream> {
    signal.throwIfAborted();
    const limit = openLimit({ clock, timeoutMs: CALL_TIMEOUT_MS, signal });
    try {
      const response = await send(access, { method: 'GET', path, signal: limit.signal });
      metrics.called({ method: 'WATCH', outcome: String(response.statusCode) });
      if (response.statusCode !== 200) throw refusal(await readAnswer(response, limit.signal));
      limit.begun();
      return { lines: linesOf(response.body), close: () => limit.close() };
    } catch (error) {
      limit.end();
      if (error instanceof KubernetesError && error.status !== undefined) throw error;
      signal.throwIfAborted();
      throw limit.over ? timedOut(CALL_TIMEOUT_MS) : asFailure(error);
    }
  }

  return { call, stream, close: () => access.close() };
}

async function send(
  access: ClusterAccess,
  {
    method,
    path,
    body,
    contentType = 'application/json',
    accept = 'application/json',
    signal,
  }: KubernetesCall,
): Promise<Dispatcher.ResponseData> {
  const { headers, dispatcher } = await access.authorise();
  return dispatcher.request({
    origin: access.origin,
    path: `${access.basePath}${path}`,
    method,
    headers: {
      ...headers,
      accept,
      'user-agent': 'landlord',
      ...(body !== undefined && { 'content-type': contentType }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
    // Both are bounded by the clock that was injected.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

async function readAnswer(
  { statusCode, body }: Dispatcher.ResponseData,
  signal: AbortSignal,
): Promise<{ status: number; body: unknown }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // An edge: undici's body gives Buffers, its type does not say so.
  for await (const chunk of body as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    bytes += chunk.length;
    if (bytes > MOST_ANSWER_BYTES)
      throw new KubernetesError(`the answer is larger than ${MOST_ANSWER_BYTES} bytes`, { kind: 'rejected' });
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return { status: statusCode, body: parseJson(text, statusCode) };
}

/** A proxy in between answers with HTML when it has trouble; a success that is no JSON is no success. */
function parseJson(text: string, status: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    if (status >= 300) return undefined;
    throw new KubernetesError('what answers in the place of the API server does not speak JSON', {
      kind: 'unavailable',
      ambiguous: true,
    });
  }
}

interface Limit {
  readonly signal: AbortSignal;
  /** True when it ended for want of time. */
  readonly over: boolean;
  /** From now on without a limit of time. */
  begun(): void;
  /** Cuts what still runs under it. */
  close(): void;
  end(): void;
}

/** A signal that aborts when the caller's does, or when time is up. */
function openLimit(options: {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}): Limit {
  const { clock, timeoutMs, signal } = options;
  const ending = new AbortController();
  let over = false;
  const onAbort = () => ending.abort();
  const cancel = clock.setTimer(timeoutMs, () => {
    over = true;
    ending.abort();
  });
  signal?.addEventListener('abort', onAbort, { once: true });
  const end = (): void => {
    cancel();
    signal?.removeEventListener('abort', onAbort);
  };
  return {
    signal: ending.signal,
    get over() {
      return over;
    },
    begun: cancel,
    close() {
      end();
      ending.abort();
    },
    end,
  };
}

function timedOut(timeoutMs: number): KubernetesError {
  return new KubernetesError(`the API server did not answer within ${timeoutMs} ms`, {
    kind: 'unavailable',
    ambiguous: true,
  });
}

function asFailure(error: unknown): KubernetesError {
  return error instanceof KubernetesError ? error : disconnection(error);
}

function firstOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
