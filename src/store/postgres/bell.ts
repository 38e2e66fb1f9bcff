/**
 * How does a loop sleep until there is something to look at, without missing what happened while it looked? It
 * counts the rings before it looks, and waits only while the count is still the same.
 */
import type { Clock } from '../../clock.ts';

export interface Bell {
  /** How often it has rung. */
  readonly rings: number;
  ring(): void;
  /** Resolves at the first ring after `seen`, after `limitMs` if given, or when the signal aborts. */
  wait(options: {
    readonly seen: number;
    readonly limitMs?: number;
    readonly signal: AbortSignal;
  }): Promise<void>;
}

export function createBell(clock: Clock): Bell {
  const waiting = new Set<() => void>();
  let rings = 0;
  return {
    get rings() {
      return rings;
    },
    ring() {
      rings += 1;
      for (const wake of [...waiting]) wake();
    },
    wait({ seen, limitMs, signal }) {
      if (rings !== seen || signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const cancel = limitMs === undefined ? undefined : clock.setTimer(limitMs, wake);
        function wake(): void {
          cancel?.();
          waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        }
        waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    },
  };
}
