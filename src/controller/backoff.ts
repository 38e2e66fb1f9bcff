/**
 * How long does a key wait after a failure? Exponential with full jitter, counted for each key: the ceiling
 * doubles with every failure in a row and the delay is drawn evenly below it, so that ten thousand keys that
 * failed together do not come back together.
 */
import type { Clock } from '../clock.ts';

export interface BackoffOptions {
  /** Ceiling after the first failure. */
  readonly baseMs: number;
  /** The ceiling grows no further: nobody waits a quarter of an hour for something that has long recovered. */
  readonly capMs: number;
}

export const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 250, capMs: 60_000 };

/** A delay in [0, min(cap, base * 2^(attempt - 1))), whole milliseconds. `attempt` is 1 for the first. */
export function fullJitterMs(options: BackoffOptions & { attempt: number; random: number }): number {
  return Math.floor(options.random * Math.min(options.capMs, options.baseMs * 2 ** (options.attempt - 1)));
}

/** Drawn before an attempt begins, so that whoever fails can say when the next attempt will be. */
export interface Attempt {
  /** 1 when the key has not failed since it last went well. */
  readonly attempt: number;
  /** Wait this long if this attempt fails. */
  readonly retryDelayMs: number;
}

export interface Backoff {
  /** The attempt that begins now. */
  draw(key: string): Attempt;
  /** The attempt failed: the next one counts one higher. */
  fail(key: string): void;
  /** The key went well, or a person changed it: the next attempt is the first. */
  forget(key: string): void;
  /** Keys with a failure; nothing is kept of the others. */
  readonly size: number;
}

export function createBackoff(options: { clock: Clock; backoff?: BackoffOptions }): Backoff {
  const { clock, backoff = DEFAULT_BACKOFF } = options;
  const failures = new Map<string, number>();
  return {
    draw(key) {
      const attempt = (failures.get(key) ?? 0) + 1;
      return { attempt, retryDelayMs: fullJitterMs({ ...backoff, attempt, random: clock.random() }) };
    },
    fail: (key) => void failures.set(key, (failures.get(key) ?? 0) + 1),
    forget: (key) => void failures.delete(key),
    get size() {
      return failures.size;
    },
  };
}
