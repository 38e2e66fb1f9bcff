/** How are very many histories lived at once? Slices of the seeds are handed to as many processes as there are cores. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { NOTHING, sum, type Slice, type Tally } from './tally.ts';

/** Tenants in a slice: a few seconds of work, so that no core is left alone with a long rest. */
const SLICE = 200;

export interface CoresOptions extends Slice {
  /** How many processes. */
  readonly jobs: number;
  /** What came of one more slice, and of all until then. */
  readonly onSlice: (slice: Tally, all: Tally) => void;
}

/** Rejects when a process breaks down. */
export async function liveOnAllCores({
  first,
  count,
  tenants,
  how,
  jobs,
  onSlice,
}: CoresOptions): Promise<Tally> {
  let next = first;
  let all = NOTHING;
  async function work(): Promise<void> {
    // The compiled file beside this one.
    const worker = fork(new URL('./worker.js', import.meta.url));
    try {
      while (next < first + count) {
        const most = Math.ceil(SLICE / (tenants ?? 1));
        const slice = { first: next, count: Math.min(most, first + count - next), tenants, how };
        next += slice.count;
        const tally = await lived(worker, slice);
        all = sum(all, tally);
        onSlice(tally, all);
      }
    } finally {
      if (worker.connected) worker.disconnect();
    }
  }
  await Promise.all(Array.from({ length: jobs }, work));
  return all;
}

async function lived(worker: ChildProcess, slice: Slice): Promise<Tally> {
  const over = new AbortController();
  const { signal } = over;
  try {
    const brokeDown = once(worker, 'exit', { signal }).then(() => {
      throw new Error(`a process broke down while it lived the seeds from ${slice.first} on`);
    });
    brokeDown.catch(() => undefined);
    worker.send(slice);
    const [tally] = (await Promise.race([once(worker, 'message', { signal }), brokeDown])) as [Tally];
    return tally;
  } finally {
    over.abort();
  }
}
