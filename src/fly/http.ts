/**
 * How does one request get to a server and back? One exchange over undici's pools: bounded in time and size,
 * cancellable at every point, and when it fails it says whether the request had been put on a connection,
 * because only then can the other side have acted on it.
 */
import { Pool, type Dispatcher } from 'undici';
import type { Clock } from '../clock.ts';

export interface HttpRequest {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path with query, already encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** From now to the last byte of the answer. */
  readonly timeoutMs: number;
  /** Asked when the request is about to be put on a connection, however long it had waited for one. Absent: always. */
  readonly mayBegin?: () => boolean;
  /** True for a request that is answered only when something happens; such ones have connections of their own. */
  readonly longPoll: boolean;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** Value of a header by its lower-case name; the first one when it was sent several times. */
  header(name: string): string | undefined;
}

/** Why an exchange brought no answer. */
export type HttpFailureReason = 'aborted' | 'forbidden' | 'timedOut' | 'disconnected' | 'tooLarge';

/** The only error that {@link Http.exchange} rejects with. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly reason: HttpFailureReason;
  /** False when the request never reached a connection: then the other side cannot know of it. */
  readonly sent: boolean;

  constructor(reason: HttpFailureReason, options: { sent: boolean; message: string; cause?: unknown }) {
    super(options.message, { cause: options.cause });
    this.reason = reason;
    this.sent = options.sent;
  }
}

export interface Http {
  /** Resolves with any complete answer, whatever its status; rejects with {@link HttpFailure}. */
  exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>;
  /** Closes all connections; what is still under way fails as disconnected. */
  close(): Promise<void>;
}

export interface HttpOptions {
  readonly clock: Clock;
  /** Connections to one origin for ordinary requests; more requests than that queue. */
  readonly connections: number;
  /** The same for long polls, each of which holds its connection for up to a minute. */
  readonly longPollConnections: number;
  /** A larger answer is refused. */
  readonly answerBytes: number;
}

/** Shorter than the time-out of any request, so that a dead address is told apart from a slow server. */
const CONNECT_TIMEOUT_MS = 5_000;

export function createHttp(options: HttpOptions): Http {
  const pools = new Map<string, Pool>();

  function poolFor(request: HttpRequest): Pool {
    const key = `${request.longPoll ? 'long-poll' : 'call'} ${request.origin}`;
    const known = pools.get(key);
    if (known !== undefined) return known;
    const pool = new Pool(request.origin, {
      connections: request.longPoll ? options.longPollConnections : options.connections,
      pipelining: 1,
      connect: { timeout: CONNECT_TIMEOUT_MS },
      // Each exchange has its own time-out, by the injected clock.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    pools.set(key, pool);
    return pool;
  }

  return {
    exchange: (request, signal) => exchange({ request, signal, pool: poolFor(request), ...options }),
    async close() {
      // The pools stay in the map, so that a call after this fails instead of opening new ones.
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    },
  };
}

interface Exchange {
  readonly request: HttpRequest;
  readonly signal: AbortSignal;
  readonly pool: Pool;
  readonly clock: Clock;
  readonly answerBytes: number;
}

function exchange({ request, signal, pool, clock, answerBytes }: Exchange): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let settled = false;

    function settle(finish: () => void): void {
      if (settled) return;
      settled = true;
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
      finish();
    }

    function fail(reason: HttpFailureReason, message: string, cause?: unknown): void {
      const failure = new HttpFailure(reason, { sent: controller !== undefined, message, cause });
      settle(() => reject(failure));
      controller?.abort(failure);
    }

    const onAbort = () => fail('aborted', 'the caller stopped waiting');
    const onTimeout = () => fail('timedOut', `no answer within ${request.timeoutMs} ms`);
    const cancelTimer = clock.setTimer(request.timeoutMs, onTimeout);
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });

    const answer: Received = { status: 0, headers: {}, chunks: [], bytes: 0 };
    pool.dispatch(
      {
        path: request.path,
        method: request.method,
        headers: request.headers,
        body: request.body ?? null,
      },
      {
        onRequestStart(started) {
          // It waited for a connection, and whoever wanted it has gone in the meantime.
          if (!settled && request.mayBegin?.() === false) fail('forbidden', 'it may no longer be sent');
          if (settled)
            started.abort(new HttpFailure('aborted', { sent: false, message: 'nobody waits any more' }));
          else controller = started;
        },
        onResponseStart(_, status, headers) {
          answer.status = status;
          answer.headers = headers;
        },
        onResponseData(_, chunk) {
          answer.bytes += chunk.length;
          if (answer.bytes > answerBytes) fail('tooLarge', `the answer is larger than ${answerBytes} bytes`);
          else answer.chunks.push(chunk);
        },
        onResponseEnd: () => settle(() => resolve(completed(answer))),
        onResponseError: (_, error) =>
          fail('disconnected', disconnection(error, controller !== undefined), error),
      },
    );
  });
}

/** As much of an answer as has come. */
interface Received {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  bytes: number;
  readonly chunks: Buffer[];
}

function completed(answer: Received): HttpAnswer {
  return {
    status: answer.status,
    body: Buffer.concat(answer.chunks).toString('utf8'),
    header(name) {
      const value = answer.headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
  };
}

/**
 * Before the request was sent the error's code tells what is wrong (`ECONNREFUSED`, `ENOTFOUND`, a certificate).
 * Afterwards the same cut shows as one of several codes by chance, so the sentence names none of them.
 */
function disconnection(error: Error, sent: boolean): string {
  if (sent) return 'the connection broke before the answer was complete';
  const code: unknown = Reflect.get(error, 'code');
  return `no connection (${typeof code === 'string' ? code : error.name})`;
}
