/**
 * When do watchers of the store hear of a commit? Each after a delay of its own; at their next poll, when the bell that
 * wakes them is lost; never again on a connection that is cut.
 */
import type { Kernel, Process } from '../kernel.ts';

export interface Watches {
  /** As `StoreLink.news`, for one process. */
  news(process: Process, wanted: { readonly limitMs: number; readonly signal: AbortSignal }): Promise<void>;
  /** To be told of every commit. */
  committed(): void;
  /** Cuts every connection on which somebody waits. */
  cut(): void;
  /** Bells are lost from now on, or no longer. */
  disturb(disturbance: 'deaf' | 'none'): void;
}

/** From a commit until a watcher hears of it, when the bell that wakes it rings. */
const BELL_MS = [1, 30] as const;
/** The store's own poll: what a bell that is lost costs. */
const POLL_MS = 5_000;

export function createWatches(kernel: Kernel): Watches {
  const waiting = new Set<{ wake(): void; cut(): void }>();
  let deaf = false;
  return {
    disturb: (disturbance) => void (deaf = disturbance === 'deaf'),
    committed() {
      for (const watcher of waiting) watcher.wake();
    },
    cut() {
      for (const watcher of [...waiting]) watcher.cut();
    },
    news: (process, { limitMs, signal }) =>
      new Promise((resolve, reject) => {
        const calledOff = [process.later(limitMs, () => end(resolve))];
        const watcher = {
          wake: () =>
            void calledOff.push(process.later(deaf ? POLL_MS : kernel.draw(BELL_MS), () => end(resolve))),
          cut: () =>
            void calledOff.push(
              process.later(0, () => end(() => reject(new Error('the connection was lost')))),
            ),
        };
        function end(finish: () => void): void {
          waiting.delete(watcher);
          signal.removeEventListener('abort', onAbort);
          for (const callOff of calledOff) callOff();
          finish();
        }
        function onAbort(): void {
          end(resolve);
        }
        waiting.add(watcher);
        signal.addEventListener('abort', onAbort, { once: true });
      }),
  };
}
