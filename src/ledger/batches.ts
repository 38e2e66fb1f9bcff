/**
 * How are many small records written without a statement each? They queue up while one batch is being written, and
 * the next batch takes what has come meanwhile. The queue is bounded: what does not fit is refused, and whoever offers
 * decides what that means.
 */
import { sleep, type Clock } from '../clock.ts';

export interface Batches<T> {
  /** False when the queue is full or closed. `settled` is called once: after the write, with its error if it failed. */
  offer(item: T, settled?: (error?: Error) => void): boolean;
  readonly queued: number;
  /** Writes what is queued, until that fails, and takes nothing more. */
  close(): Promise<void>;
}

export interface BatchOptions<T> {
  /**
   * Writes one batch; must end by itself in bounded time, and once `closing` has aborted after one try. A failed batch
   * is not tried again here.
   */
  readonly write: (batch: readonly T[], closing: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly mostPerBatch: number;
  readonly mostQueued: number;
  /** How long to gather before a batch is written; 0 where somebody waits for it. */
  readonly lingerMs: number;
}

interface Entry<T> {
  readonly item: T;
  readonly settled: ((error?: Error) => void) | undefined;
}

export function createBatches<T>(options: BatchOptions<T>): Batches<T> {
  const { write, clock, mostPerBatch, mostQueued, lingerMs } = options;
  const closing = new AbortController();
  let queue: Entry<T>[] = [];
  let writing: Promise<void> | undefined;

  async function writeAll(): Promise<void> {
    while (queue.length > 0) {
      // A full batch need not wait for more.
      if (lingerMs > 0 && queue.length < mostPerBatch) await sleep(clock, lingerMs, closing.signal);
      const batch = queue.slice(0, mostPerBatch);
      queue = queue.slice(mostPerBatch);
      const failure = await write(
        batch.map(({ item }) => item),
        closing.signal,
      ).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error : new Error('cannot write', { cause: error })),
      );
      for (const { settled } of batch) settled?.(failure);
      // Whoever stops does not wait for one time-out after the other.
      if (failure !== undefined && closing.signal.aborted) giveUp(failure);
    }
    writing = undefined;
  }

  function giveUp(failure: Error): void {
    for (const { settled } of queue) settled?.(failure);
    queue = [];
  }

  return {
    offer(item, settled) {
      if (closing.signal.aborted || queue.length >= mostQueued) return false;
      queue.push({ item, settled });
      writing ??= writeAll();
      return true;
    },
    get queued() {
      return queue.length;
    },
    async close() {
      closing.abort();
      await writing;
    },
  };
}
