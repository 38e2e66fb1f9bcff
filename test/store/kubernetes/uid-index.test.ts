import { beforeEach, describe, expect, it } from 'vitest';
import { createUidIndex, type UidIndex } from '../../../src/store/kubernetes/uid-index.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';

describe('an index of uids', () => {
  let clock: FakeClock;
  let stop: AbortController;
  /** What the cluster holds, by uid. */
  let held: Map<string, string>;
  let lists: number;
  let failure: Error | undefined;
  let index: UidIndex;

  beforeEach(() => {
    clock = createFakeClock();
    stop = new AbortController();
    held = new Map();
    lists = 0;
    failure = undefined;
    index = createUidIndex({
      clock,
      stopped: stop.signal,
      list: async (learn) => {
        lists += 1;
        const listed = [...held];
        await clock.settle();
        if (failure !== undefined) throw failure;
        for (const [uid, name] of listed) learn({ metadata: { uid, namespace: 'n', name } });
      },
    });
  });

  it('lists for nothing that it has learned', async () => {
    index.learn({ metadata: { uid: 'u', namespace: 'n', name: 'a' } });
    expect(await index.find('u')).toEqual({ namespace: 'n', name: 'a' });
    expect(lists).toBe(0);
    index.forget('u');
    expect(await index.find('u')).toBeUndefined();
    expect(lists).toBe(1);
  });

  it('lists once for all who ask together, and at most once a second', async () => {
    held.set('u', 'a');
    const first = Promise.all(['u', 'v', 'w'].map((uid) => index.find(uid)));
    expect(await first).toEqual([{ namespace: 'n', name: 'a' }, undefined, undefined]);
    expect(lists).toBe(1);
    const second = Promise.all(Array.from({ length: 100 }, (_, each) => index.find(`x-${each}`)));
    await clock.advance(999);
    expect(lists).toBe(1);
    await clock.advance(1);
    await second;
    expect(lists).toBe(2);
  });

  it('does not trust a list that had begun before the question', async () => {
    const early = index.find('v');
    await Promise.resolve();
    await Promise.resolve();
    expect(lists).toBe(1);
    // Made after that list has passed its place.
    held.set('u', 'a');
    const late = index.find('u');
    await clock.advance(1_000);
    expect(await early).toBeUndefined();
    expect(await late).toEqual({ namespace: 'n', name: 'a' });
    expect(lists).toBe(2);
  });

  it('passes on that it cannot list, and lists anew for the next question', async () => {
    failure = new Error('away');
    await expect(index.find('u')).rejects.toThrow('away');
    failure = undefined;
    held.set('u', 'a');
    const again = index.find('u');
    await clock.advance(1_000);
    expect(await again).toEqual({ namespace: 'n', name: 'a' });
  });

  it('ends its waits when it is stopped', async () => {
    await index.find('u');
    const waiting = index.find('v');
    stop.abort();
    await expect(waiting).rejects.toThrow();
    expect(clock.timers).toBe(0);
  });
});
