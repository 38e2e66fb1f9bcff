/** Are records written in batches, within bounds, and none forgotten at the end? */
import { describe, expect, it } from 'vitest';
import { createBatches } from '../../src/ledger/batches.ts';
import { createFakeClock } from '../support/fake-clock.ts';

function open(options: { lingerMs?: number; mostQueued?: number; mostPerBatch?: number } = {}) {
  const clock = createFakeClock();
  const written: number[][] = [];
  let release = (): void => undefined;
  let failure: Error | undefined;
  const outside = {
    hold: false,
    fail: (error: Error | undefined) => (failure = error),
    release: () => release(),
  };
  const batches = createBatches<number>({
    clock,
    lingerMs: 0,
    mostQueued: 100,
    mostPerBatch: 10,
    ...options,
    async write(batch) {
      if (outside.hold) await new Promise<void>((resolve) => (release = resolve));
      if (failure) throw failure;
      written.push([...batch]);
    },
  });
  return { clock, written, batches, outside };
}

describe('a queue of records', () => {
  it('writes at once what somebody waits for, and together what comes meanwhile', async () => {
    const { batches, written, outside, clock } = open();
    outside.hold = true;
    batches.offer(1);
    await clock.settle();
    batches.offer(2);
    batches.offer(3);
    outside.hold = false;
    outside.release();
    await clock.settle();
    expect(written).toEqual([[1], [2, 3]]);
  });

  it('gathers for a while where nobody waits, and no longer than until a batch is full', async () => {
    const { batches, written, clock } = open({ lingerMs: 1_000, mostPerBatch: 3 });
    batches.offer(1);
    await clock.advance(999);
    expect(written).toEqual([]);
    batches.offer(2);
    await clock.advance(1);
    expect(written).toEqual([[1, 2]]);
    for (const item of [3, 4, 5, 6]) batches.offer(item);
    await clock.advance(1_000);
    await clock.advance(1_000);
    expect(written).toEqual([[1, 2], [3, 4, 5], [6]]);
  });

  it('refuses what does not fit, and takes more when there is room again', async () => {
    const { batches, written, outside, clock } = open({ mostQueued: 2 });
    outside.hold = true;
    expect(batches.offer(1)).toBe(true);
    await clock.settle();
    expect([batches.offer(2), batches.offer(3), batches.offer(4)]).toEqual([true, true, false]);
    expect(batches.queued).toBe(2);
    outside.hold = false;
    outside.release();
    await clock.settle();
    expect(batches.offer(5)).toBe(true);
    await clock.settle();
    expect(written.flat()).toEqual([1, 2, 3, 5]);
  });

  it('tells each record what came of its write, and goes on after a failure', async () => {
    const { batches, written, outside, clock } = open();
    const told: (string | undefined)[] = [];
    outside.fail(new Error('away'));
    batches.offer(1, (error) => told.push(error?.message));
    await clock.settle();
    outside.fail(undefined);
    batches.offer(2, (error) => told.push(error?.message));
    await clock.settle();
    expect(told).toEqual(['away', undefined]);
    expect(written).toEqual([[2]]);
  });

  it('writes all that is queued when it closes, without waiting for more', async () => {
    const { batches, written, clock } = open({ lingerMs: 1_000 });
    for (let item = 0; item < 25; item += 1) batches.offer(item);
    await batches.close();
    expect(written.map((batch) => batch.length)).toEqual([10, 10, 5]);
    expect(batches.offer(1)).toBe(false);
    expect(clock.timers).toBe(0);
  });

  it('gives up at the first failure when it closes: a server that is away is not asked once for each batch', async () => {
    const { batches, written, outside } = open({ lingerMs: 1_000 });
    const told: (string | undefined)[] = [];
    outside.fail(new Error('away'));
    for (let item = 0; item < 25; item += 1) batches.offer(item, (error) => told.push(error?.message));
    await batches.close();
    expect(written).toEqual([]);
    expect(told).toEqual(Array.from({ length: 25 }, () => 'away'));
  });
});
