/** Did it happen in time? Waiting with an upper bound, and without a timer that is left behind. */
import { sleep, type Clock } from '../clock.ts';

/** What the promise resolves with, or `late` when `limitMs` are over or the signal aborts first. Rejects if it does. */
export async function within<T>(
  done: Promise<T>,
  options: { readonly clock: Clock; readonly limitMs: number; readonly signal?: AbortSignal },
): Promise<T | 'late'> {
  const over = new AbortController();
  const until = options.signal === undefined ? over.signal : AbortSignal.any([over.signal, options.signal]);
  try {
    return await Promise.race([
      done,
      sleep(options.clock, options.limitMs, until).then(() => 'late' as const),
    ]);
  } finally {
    over.abort();
  }
}
