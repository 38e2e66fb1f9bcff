/**
 * How is a call to Fly carried out? The order of things for every call: wait for the rate limit, pass the
 * circuit, exchange, and turn what came back into a result or a FlyError. Reads are tried again a
 * few times; a write is sent once, because only its caller can look whether it happened.
 */
import { isBrokenCircuitError } from 'cockatiel';
import pRetry from 'p-retry';
import { sleep, type Clock } from '../clock.ts';
import { isWrite, RefusedWithin, Unintelligible, type Call, type Transport } from './call.ts';
import type { Circuit } from './circuit.ts';
import { FlyError, type FlyReason } from './errors.ts';
import {
  circuitOpen,
  failed,
  queueFull,
  refused,
  refusedWithin,
  stopped,
  unaddressable,
  unintelligible,
  type Context,
} from './failure.ts';
import { HttpFailure, type Http, type HttpAnswer } from './http.ts';
import { PACE, type Limiter, type Rate } from './limiter.ts';
import type { FlyMetrics } from './metrics.ts';
import { requestPath } from './path.ts';

export interface TransportOptions {
  /** Address that paths are added to, such as `https://api.machines.dev/v1`. */
  readonly baseUrl: URL;
  /** Headers of every call, such as `authorization` and `user-agent`; those of the call itself win. */
  readonly headers: Readonly<Record<string, string>>;
  readonly http: Http;
  readonly circuit: Circuit;
  readonly limiter: Limiter;
  readonly metrics: FlyMetrics;
  readonly clock: Clock;
  readonly timeouts: Timeouts;
  /** Told about every read that is tried again. */
  readonly onRetry?: (error: FlyError) => void;
}

export interface Timeouts {
  readonly readMs: number;
  readonly writeMs: number;
}

/** Fly's limit of any action on one machine or app is 1/s with a burst of 3. */
const ACTION_RATE: Rate = { perSecond: 1 * PACE, burst: 3 };

/** After a 429 without Retry-After. */
const DEFAULT_HOLD_MS = 1_000;
/** A Retry-After beyond this is reported to the caller but not waited for here. */
const LONGEST_HOLD_MS = 60_000;

const READ_RETRIES = 2;
const RETRY_DELAY_MS = { least: 100, most: 500 };

/** Failures that may be gone a moment later. Rate limits and open circuits are not: the queue backs off. */
const RETRIED: readonly FlyReason[] = ['FlyUnreachable', 'FlyTimeout', 'FlyServerError', 'FlyUnintelligible'];

export function createTransport(options: TransportOptions): Transport {
  return async (call, signal) => {
    const context: Context = { call, host: options.baseUrl.host };
    if (isWrite(call) || call.longPoll === true) return await attempt(options, { context, call, signal });
    return await pRetry(() => attempt(options, { context, call, signal }), {
      retries: READ_RETRIES,
      // p-retry draws its delays from the system; ours come from the injected clock, in shouldRetry.
      minTimeout: 0,
      maxTimeout: 0,
      shouldRetry: async ({ error }) => {
        if (!(error instanceof FlyError) || !RETRIED.includes(error.reason)) return false;
        options.onRetry?.(error);
        const span = RETRY_DELAY_MS.most - RETRY_DELAY_MS.least;
        await sleep(options.clock, RETRY_DELAY_MS.least + options.clock.random() * span, signal);
        return true;
      },
    });
  };
}

interface Attempt<T> {
  readonly context: Context;
  readonly call: Call<T>;
  readonly signal: AbortSignal;
}

async function attempt<T>(options: TransportOptions, { context, call, signal }: Attempt<T>): Promise<T> {
  await awaitTurn(options, { context, call, signal });
  const startedAt = options.clock.monotonic();
  const finished = (outcome: 'success' | FlyReason) =>
    options.metrics.called(call.operation, { outcome, durationMs: options.clock.monotonic() - startedAt });
  try {
    const answer = await exchange(options, { context, call, signal });
    const result = interpret(options, { context, call, answer });
    finished('success');
    return result;
  } catch (error) {
    if (error instanceof FlyError) finished(error.reason);
    throw error;
  }
}

/** Waits for the rate limit. */
async function awaitTurn(
  options: TransportOptions,
  { context, call, signal }: Attempt<unknown>,
): Promise<void> {
  if (signal.aborted) throw stopped(context);
  if (call.limit === undefined) return;
  const turn = await options.limiter.take(
    limitKey(call, call.limit.id),
    call.limit.rate ?? ACTION_RATE,
    signal,
  );
  switch (turn.outcome) {
    case 'granted':
      if (turn.waitedMs > 0) options.metrics.waited(call.operation, turn.waitedMs);
      return;
    case 'aborted':
      throw stopped(context);
    case 'refused':
      throw queueFull(context, turn.retryAfterMs);
  }
}

/** Sends the call and brings the answer, whatever its status. */
async function exchange(
  options: TransportOptions,
  { context, call, signal }: Attempt<unknown>,
): Promise<HttpAnswer> {
  const path = requestPath(options.baseUrl, call);
  if (path === undefined) throw unaddressable(context);
  const request = {
    origin: options.baseUrl.origin,
    method: call.method ?? 'GET',
    path,
    headers: {
      accept: 'application/json',
      ...options.headers,
      ...(call.body !== undefined && { 'content-type': 'application/json' }),
      ...call.headers,
    },
    ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
    timeoutMs: call.timeoutMs ?? (isWrite(call) ? options.timeouts.writeMs : options.timeouts.readMs),
    longPoll: call.longPoll === true,
    ...(isWrite(call) && call.mayAct !== undefined && { mayBegin: call.mayAct }),
  };
  try {
    return await options.circuit.run(() => options.http.exchange(request, signal), {
      mayProbe: call.longPoll !== true,
    });
  } catch (error) {
    if (isBrokenCircuitError(error)) throw circuitOpen(context);
    if (error instanceof HttpFailure) throw failed(context, error);
    throw error;
  }
}

/** What the answer means for this call. */
function interpret<T>(
  options: TransportOptions,
  { context, call, answer }: { context: Context; call: Call<T>; answer: HttpAnswer },
): T {
  if (answer.status >= 200 && answer.status < 300) {
    try {
      return call.decode(answer);
    } catch (error) {
      if (error instanceof Unintelligible) throw unintelligible(context, answer, error.message);
      if (error instanceof RefusedWithin) throw refusedWithin(context, answer, error.message);
      throw error;
    }
  }
  call.onRefusal?.(answer);
  const error = refused(context, answer);
  if (error.reason === 'RateLimited' && call.limit !== undefined) {
    const holdMs = Math.min(error.details.retryAfterMs ?? DEFAULT_HOLD_MS, LONGEST_HOLD_MS);
    options.limiter.hold(limitKey(call, call.limit.id), call.limit.rate ?? ACTION_RATE, holdMs);
  }
  const meaning = call.means?.[answer.status];
  // Something that is not Fly must not make us believe that a thing does not exist.
  if (meaning !== undefined && error.reason !== 'FlyUnintelligible') return meaning();
  throw error;
}

function limitKey(call: Call<unknown>, id: string): string {
  return `${call.operation} ${id}`;
}
