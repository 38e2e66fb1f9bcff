/**
 * How is something awaited that may never come? A connection is a signal that aborts when its owner stops or when
 * nothing was heard for too long, and a way to wait that ends then, whether or not whoever is waited for heeds it.
 */
import type { Clock } from '../clock.ts';

/** The other side has said nothing for longer than it may. */
export class SilenceError extends Error {
  override readonly name = 'SilenceError';
}

export interface Connection {
  readonly signal: AbortSignal;
  /** Waits for the next thing to be heard. Rejects with the signal's reason as soon as the signal aborts. */
  heard<T>(next: Promise<T>): Promise<T>;
  /** Aborts the signal, so that nothing is left open behind the connection. */
  close(): void;
}

export function openConnection(options: {
  readonly clock: Clock;
  readonly silentMs: number;
  /** Aborts the connection from outside. */
  readonly stop: AbortSignal;
}): Connection {
  const { clock, silentMs, stop } = options;
  const ending = new AbortController();
  const onStop = () => ending.abort(stop.reason);
  if (stop.aborted) onStop();
  stop.addEventListener('abort', onStop, { once: true });

  return {
    signal: ending.signal,
    async heard(next) {
      const cancel = clock.setTimer(silentMs, () => {
        ending.abort(new SilenceError(`nothing was heard for ${silentMs} ms`));
      });
      try {
        return await unlessAborted(next, ending.signal);
      } finally {
        cancel();
      }
    },
    close() {
      stop.removeEventListener('abort', onStop);
      ending.abort();
    },
  };
}

/** Not Promise.race with one promise for the whole connection: that would keep a reaction for every event ever heard. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(reasonOf(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}
