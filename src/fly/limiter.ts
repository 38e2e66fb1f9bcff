/**
 * May this call go out now? Fly allows each action on each machine or app a steady rate and a small burst
 * (1/s and 3; reading a machine 5/s and 10). Callers wait their turn here, in order, rather than be refused
 * there. A token bucket for each key, and a bound on how long anybody queues.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';

/**
 * We go a little slower than Fly allows: calls that leave here a second apart may arrive there less than a second
 * apart, and would then be refused.
 */
export const PACE = 0.95;

/** What one bucket allows. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What came of asking for a turn. */
export type Turn =
  | { readonly outcome: 'granted'; readonly waitedMs: number }
  | { readonly outcome: 'aborted' }
  /** So many wait already that one's turn would come too late. */
  | { readonly outcome: 'refused'; readonly retryAfterMs: number };

export interface Limiter {
  /** Resolves when it is this caller's turn, at the latest `longestWaitMs` from now. Never rejects. */
  take(key: string, rate: Rate, signal: AbortSignal): Promise<Turn>;
  /** Lets nobody through for `holdMs`: Fly said that we are too fast. Shortens no hold that is longer. */
  hold(key: string, rate: Rate, holdMs: number): void;
}

interface Bucket {
  readonly rate: Rate;
  /** Tokens at `asOf`; more come from then on. `asOf` may lie ahead: until then there are none. */
  tokens: number;
  asOf: number;
  readonly queue: Waiting[];
  cancelTimer: (() => void) | undefined;
}

interface Waiting {
  readonly since: number;
  finish(turn: Turn): void;
}

/**
 * The least recently used bucket is dropped beyond this. It is full again by then (a bucket fills in seconds),
 * and a full bucket is the same as a new one.
 */
const MOST_BUCKETS = 20_000;

export function createLimiter({ clock, longestWaitMs }: { clock: Clock; longestWaitMs: number }): Limiter {
  const time = (): number => clock.monotonic();
  // A bound by size and not by number, for which room would be set aside at once.
  const buckets = new LRUCache<string, Bucket>({ maxSize: MOST_BUCKETS, sizeCalculation: () => 1 });

  function bucketFor(key: string, rate: Rate): Bucket {
    const known = buckets.get(key);
    if (known !== undefined) return known;
    const bucket: Bucket = { rate, tokens: rate.burst, asOf: time(), queue: [], cancelTimer: undefined };
    buckets.set(key, bucket);
    return bucket;
  }

  /** Lets through whoever has a token, and comes back when the next one is there. */
  function drain(bucket: Bucket): void {
    bucket.cancelTimer?.();
    bucket.cancelTimer = undefined;
    refill(bucket, time());
    while (bucket.tokens >= 1 && bucket.asOf <= time()) {
      const next = bucket.queue.shift();
      if (next === undefined) return;
      bucket.tokens -= 1;
      next.finish({ outcome: 'granted', waitedMs: time() - next.since });
    }
    if (bucket.queue.length === 0) return;
    // At least a millisecond: a token that lacks less than the clock can tell would be waited for in no time, for ever.
    bucket.cancelTimer = clock.setTimer(Math.max(1, waitFor(bucket, 1, time())), () => drain(bucket));
  }

  function enqueue(bucket: Bucket, signal: AbortSignal): Promise<Turn> {
    return new Promise((resolve) => {
      const waiting: Waiting = {
        since: time(),
        finish(turn) {
          signal.removeEventListener('abort', leave);
          resolve(turn);
        },
      };
      function leave(): void {
        bucket.queue.splice(bucket.queue.indexOf(waiting), 1);
        waiting.finish({ outcome: 'aborted' });
        drain(bucket);
      }
      signal.addEventListener('abort', leave, { once: true });
      bucket.queue.push(waiting);
      drain(bucket);
    });
  }

  return {
    async take(key, rate, signal) {
      if (signal.aborted) return { outcome: 'aborted' };
      const bucket = bucketFor(key, rate);
      refill(bucket, time());
      const waitMs = waitFor(bucket, bucket.queue.length + 1, time());
      if (waitMs > longestWaitMs) return { outcome: 'refused', retryAfterMs: waitMs };
      return await enqueue(bucket, signal);
    },
    hold(key, rate, holdMs) {
      const bucket = bucketFor(key, rate);
      const until = time() + holdMs;
      if (bucket.asOf >= until) return;
      bucket.tokens = 1;
      bucket.asOf = until;
      drain(bucket);
    },
  };
}

function refill(bucket: Bucket, now: number): void {
  if (now <= bucket.asOf) return;
  const gained = ((now - bucket.asOf) / 1_000) * bucket.rate.perSecond;
  bucket.tokens = Math.min(bucket.rate.burst, bucket.tokens + gained);
  bucket.asOf = now;
}

/** Milliseconds until `count` tokens will be there, rounded up so that a timer never comes too early. */
function waitFor(bucket: Bucket, count: number, now: number): number {
  const missing = Math.max(0, count - bucket.tokens);
  return Math.max(0, Math.ceil(bucket.asOf + (missing / bucket.rate.perSecond) * 1_000 - now));
}
