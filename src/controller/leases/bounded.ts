/** How long is an answer waited for that may never come? Then the call counts as one of which nothing is known. */
import type { Clock } from '../../clock.ts';
import { unlessAborted } from '../connection.ts';

/** What the call resolves with; rejects when it does, or after `limitMs`, whether or not it heeds its signal. */
export async function bounded<T>(
  call: (signal: AbortSignal) => Promise<T>,
  { clock, limitMs }: { readonly clock: Clock; readonly limitMs: number },
): Promise<T> {
  const over = new AbortController();
  const cancel = clock.setTimer(limitMs, () => over.abort(new Error(`no answer within ${limitMs} ms`)));
  try {
    return await unlessAborted(call(over.signal), over.signal);
  } finally {
    cancel();
  }
}
