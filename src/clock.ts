/**
 * What time is it, and wake me later. Everything that waits, stamps or draws lots takes a Clock, so that
 * tests and the simulation can replace time and chance; only main.ts uses the system's own.
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds since some moment; only ever grows, whatever is done to the machine's clock. For durations. */
  monotonic(): number;
  /** A number in [0, 1); used for jitter, never for secrets. */
  random(): number;
  /** Calls back once after `delayMs` (at once when not positive). Returns a function that cancels it. */
  setTimer(delayMs: number, callback: () => void): () => void;
}

/** setTimeout fires at once for anything longer than this many milliseconds (a signed 32-bit number). */
const LONGEST_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

/**
 * Resolves after `delayMs`, or at once when `signal` aborts: whoever waits checks the signal afterwards,
 * so that stopping is never an exception that somebody has to swallow.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const cancel = clock.setTimer(delayMs, finish);
    function finish(): void {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    }
    signal?.addEventListener('abort', finish, { once: true });
  });
}
