import { describe, expect, it } from 'vitest';
import { createInformer, type Change, type WatchEvent } from '../../src/controller/informer.ts';
import { captureLog } from '../support/captured-log.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createScriptedSource } from './scripted-source.ts';

interface Thing {
  readonly name: string;
  readonly uid: string;
  readonly version: string;
}

class TooOldError extends Error {}

const SILENT_MS = 120_000;
/** Longer than any delay before the next connection in these tests. */
const RECONNECTED_MS = 1_000;

const thing = (name: string, version: string, uid = `uid-${name}`): Thing => ({ name, uid, version });
const added = (object: Thing): WatchEvent<Thing> => ({ type: 'ADDED', object });
const modified = (object: Thing): WatchEvent<Thing> => ({ type: 'MODIFIED', object });
const deleted = (object: Thing): WatchEvent<Thing> => ({ type: 'DELETED', object });
const bookmark = (resourceVersion: string): WatchEvent<Thing> => ({ type: 'BOOKMARK', resourceVersion });

function setUp() {
  const clock = createFakeClock();
  const source = createScriptedSource<Thing>();
  const captured = captureLog();
  const changes: Change<Thing>[] = [];
  const informer = createInformer({
    name: 'things',
    source,
    identify: (object: Thing) => ({ key: object.name, uid: object.uid, resourceVersion: object.version }),
    isGone: (error) => error instanceof TooOldError,
    silentMs: SILENT_MS,
    clock,
    log: captured.log,
    indexes: { uid: (object: Thing) => [object.uid] },
  });
  informer.onChange((change) => changes.push(change));
  return { clock, source, informer, changes, lines: captured.lines };
}

/** An informer that has listed `a` at version 1 and whose watch stands. */
async function setUpWatching() {
  const context = setUp();
  const { clock, source, informer, changes } = context;
  informer.start();
  source.lists[0]!.answer({ items: [thing('a', '1')], resourceVersion: '10' });
  await clock.settle();
  source.watches[0]!.send(bookmark('10'));
  await clock.settle();
  changes.length = 0;
  return context;
}

describe('an informer', () => {
  it('lists, then watches from the version of the list', async () => {
    const { clock, source, informer, changes } = setUp();
    informer.start();
    expect(informer.synced).toBe(false);
    source.lists[0]!.answer({ items: [thing('a', '1'), thing('b', '2')], resourceVersion: '10' });
    await clock.settle();
    expect(informer.synced).toBe(true);
    expect(informer.items()).toEqual([thing('a', '1'), thing('b', '2')]);
    expect(informer.byIndex('uid', 'uid-b')).toEqual([thing('b', '2')]);
    expect(changes).toEqual([
      { key: 'a', after: thing('a', '1') },
      { key: 'b', after: thing('b', '2') },
    ]);
    expect(source.watches.map((watch) => watch.resourceVersion)).toEqual(['10']);
    await informer.stop();
  });

  it('reads every page, and watches from the version of the first', async () => {
    const { clock, source, informer, changes } = setUp();
    informer.start();
    source.lists[0]!.answer({ items: [thing('a', '1')], resourceVersion: '10', continue: 'page-2' });
    await clock.settle();
    expect(informer.size).toBe(0);
    expect(source.lists[1]!.continue).toBe('page-2');
    source.lists[1]!.answer({ items: [thing('b', '12')], resourceVersion: '12' });
    await clock.settle();
    expect(informer.size).toBe(2);
    expect(source.watches[0]!.resourceVersion).toBe('10');
    source.watches[0]!.send(added(thing('b', '12')));
    await clock.settle();
    expect(changes.map((change) => change.key)).toEqual(['a', 'b']);
    await informer.stop();
  });

  it('follows what is added, modified and deleted', async () => {
    const { clock, source, informer, changes } = await setUpWatching();
    source.watches[0]!.send(added(thing('b', '11')), modified(thing('a', '12')), deleted(thing('b', '13')));
    await clock.settle();
    expect(informer.items()).toEqual([thing('a', '12')]);
    expect(changes).toEqual([
      { key: 'b', after: thing('b', '11') },
      { key: 'a', before: thing('a', '1'), after: thing('a', '12') },
      { key: 'b', before: thing('b', '11') },
    ]);
    await informer.stop();
  });

  it('is healthy once its watch has said something, and not before', async () => {
    const { clock, source, informer } = setUp();
    informer.start();
    source.lists[0]!.answer({ items: [], resourceVersion: '10' });
    await clock.settle();
    expect(informer.healthy).toBe(false);
    source.watches[0]!.send(bookmark('10'));
    await clock.settle();
    expect(informer.healthy).toBe(true);
    await informer.stop();
    expect(informer.healthy).toBe(false);
  });

  it('knows of the whole list before it tells of any part of it, and is synced after telling', async () => {
    const { clock, source, informer } = setUp();
    const seen: { size: number; synced: boolean }[] = [];
    informer.onChange(() => seen.push({ size: informer.size, synced: informer.synced }));
    informer.start();
    source.lists[0]!.answer({ items: [thing('a', '1'), thing('b', '2')], resourceVersion: '10' });
    await clock.settle();
    expect(seen).toEqual([
      { size: 2, synced: false },
      { size: 2, synced: false },
    ]);
    await informer.stop();
  });

  it('lets everybody go who waited for it to be synced', async () => {
    const { clock, source, informer } = setUp();
    const live = new AbortController().signal;
    const waits = [informer.waitForSync(live), informer.waitForSync(live)];
    informer.start();
    source.lists[0]!.answer({ items: [], resourceVersion: '10' });
    await clock.settle();
    await Promise.all(waits);
    await informer.waitForSync(live);
    expect(informer.synced).toBe(true);
    await informer.stop();
  });

  it('lets go who waited in vain: aborted, or when it stops', async () => {
    const { informer } = setUp();
    const abort = new AbortController();
    const waits = [informer.waitForSync(abort.signal), informer.waitForSync(new AbortController().signal)];
    informer.start();
    abort.abort();
    await waits[0];
    await informer.stop();
    await waits[1];
    expect(informer.synced).toBe(false);
  });

  it('goes on when a handler throws, for the other handlers and for later changes', async () => {
    const { clock, source, informer, lines } = await setUpWatching();
    const keys: string[] = [];
    informer.onChange(() => {
      throw new Error('handler out of order');
    });
    informer.onChange((change) => keys.push(change.key));
    source.watches[0]!.send(added(thing('b', '11')), added(thing('c', '12')));
    await clock.settle();
    expect(keys).toEqual(['b', 'c']);
    expect(informer.healthy).toBe(true);
    const thrown = lines().filter((line) => JSON.stringify(line).includes('handler out of order'));
    expect(thrown.map((line) => line['key'])).toEqual(['b', 'c']);
    await informer.stop();
  });

  it('no longer calls a handler that was taken off', async () => {
    const { clock, source, informer } = await setUpWatching();
    const keys: string[] = [];
    const takeOff = informer.onChange((change) => keys.push(change.key));
    source.watches[0]!.send(added(thing('b', '11')));
    await clock.settle();
    takeOff();
    source.watches[0]!.send(added(thing('c', '12')));
    await clock.settle();
    expect(keys).toEqual(['b']);
    await informer.stop();
  });
});

describe('an informer whose source breaks', () => {
  it('while listing: lists again', async () => {
    const { clock, source, informer } = setUp();
    informer.start();
    source.lists[0]!.fail(new Error('connection reset'));
    await clock.advance(RECONNECTED_MS);
    expect(source.lists).toHaveLength(2);
    source.lists[1]!.answer({ items: [thing('a', '1')], resourceVersion: '10' });
    await clock.settle();
    expect(informer.synced).toBe(true);
    await informer.stop();
  });

  it('between two pages: begins at the first page again, and shows no half of a list', async () => {
    const { clock, source, informer } = setUp();
    informer.start();
    source.lists[0]!.answer({ items: [thing('a', '1')], resourceVersion: '10', continue: 'page-2' });
    await clock.settle();
    source.lists[1]!.fail(new TooOldError('the continue token has expired'));
    await clock.advance(RECONNECTED_MS);
    expect(informer.size).toBe(0);
    expect(source.lists.map((list) => list.continue)).toEqual([undefined, 'page-2', undefined]);
    await informer.stop();
  });

  it('while a list is not answered: gives up after the silence and lists again', async () => {
    const { clock, source, informer } = setUp();
    informer.start();
    await clock.advance(SILENT_MS + RECONNECTED_MS);
    expect(source.lists).toHaveLength(2);
    expect(source.lists[0]!.signal.aborted).toBe(true);
    await informer.stop();
  });

  it('between list and watch: watches from the version of the list, without listing again', async () => {
    const { clock, source, informer } = setUp();
    informer.start();
    source.lists[0]!.answer({ items: [], resourceVersion: '10' });
    await clock.settle();
    source.watches[0]!.fail(new Error('connection refused'));
    await clock.advance(RECONNECTED_MS);
    expect(source.lists).toHaveLength(1);
    expect(source.watches.map((watch) => watch.resourceVersion)).toEqual(['10', '10']);
    await informer.stop();
  });

  it.each<{ name: string; cut: 'end' | 'fail' }>([
    { name: 'by an error', cut: 'fail' },
    { name: 'by its end', cut: 'end' },
  ])(
    'in the middle of the watch, $name: goes on from the last version, unhealthy meanwhile',
    async ({ cut }) => {
      const { clock, source, informer, changes } = await setUpWatching();
      source.watches[0]!.send(modified(thing('a', '11')));
      source.watches[0]![cut](new Error('connection reset'));
      await clock.settle();
      expect(informer.healthy).toBe(false);
      expect(informer.synced).toBe(true);
      await clock.advance(RECONNECTED_MS);
      expect(source.watches[1]!.resourceVersion).toBe('11');
      source.watches[1]!.send(bookmark('11'));
      await clock.settle();
      expect(informer.healthy).toBe(true);
      expect(changes).toHaveLength(1);
      expect(source.watches[0]!.returned()).toBe(true);
      await informer.stop();
    },
  );

  it('goes on from a bookmark when nothing came after it', async () => {
    const { clock, source, informer } = await setUpWatching();
    source.watches[0]!.send(bookmark('99'));
    source.watches[0]!.end();
    await clock.advance(RECONNECTED_MS);
    expect(source.watches[1]!.resourceVersion).toBe('99');
    await informer.stop();
  });

  it('with Gone: lists anew and makes up for what it missed', async () => {
    const { clock, source, informer, changes } = await setUpWatching();
    source.watches[0]!.send(added(thing('b', '11')));
    source.watches[0]!.fail(new TooOldError('too old resource version'));
    await clock.advance(RECONNECTED_MS);
    expect(source.lists).toHaveLength(2);
    source.lists[1]!.answer({ items: [thing('a', '50'), thing('c', '51')], resourceVersion: '60' });
    await clock.settle();
    expect(changes).toEqual([
      { key: 'b', after: thing('b', '11') },
      { key: 'b', before: thing('b', '11') },
      { key: 'a', before: thing('a', '1'), after: thing('a', '50') },
      { key: 'c', after: thing('c', '51') },
    ]);
    expect(source.watches.at(-1)!.resourceVersion).toBe('60');
    await informer.stop();
  });

  it('keeps what it knew, and stays synced, until the fresh list is there', async () => {
    const { clock, source, informer } = await setUpWatching();
    source.watches[0]!.fail(new TooOldError('too old resource version'));
    await clock.advance(RECONNECTED_MS);
    expect(informer.synced).toBe(true);
    expect(informer.get('a')).toEqual(thing('a', '1'));
    await informer.stop();
  });

  it.each<{ name: string; play: (source: ReturnType<typeof createScriptedSource<Thing>>) => void }>([
    {
      name: 'seen as one late event',
      play: (source) => source.watches[0]!.send(added(thing('a', '12', 'uid-new'))),
    },
    {
      name: 'seen as two events',
      play: (source) =>
        source.watches[0]!.send(deleted(thing('a', '11')), added(thing('a', '12', 'uid-new'))),
    },
  ])('tells a tenant that was deleted and made again as two changes, $name', async ({ play }) => {
    const { clock, source, informer, changes } = await setUpWatching();
    play(source);
    await clock.settle();
    expect(changes).toEqual([
      { key: 'a', before: thing('a', '1') },
      { key: 'a', after: thing('a', '12', 'uid-new') },
    ]);
    await informer.stop();
  });

  it('tells so too when both happened in the gap before a fresh list', async () => {
    const { clock, source, informer, changes } = await setUpWatching();
    source.watches[0]!.fail(new TooOldError('too old resource version'));
    await clock.advance(RECONNECTED_MS);
    source.lists[1]!.answer({ items: [thing('a', '12', 'uid-new')], resourceVersion: '20' });
    await clock.settle();
    expect(changes).toEqual([
      { key: 'a', before: thing('a', '1') },
      { key: 'a', after: thing('a', '12', 'uid-new') },
    ]);
    await informer.stop();
  });

  it('by silence: cuts the watch after exactly that long and connects again, though it ignores its signal', async () => {
    const { clock, source, informer, lines } = await setUpWatching();
    await clock.advance(SILENT_MS - 1);
    expect(informer.healthy).toBe(true);
    await clock.advance(1);
    expect(informer.healthy).toBe(false);
    expect(source.watches[0]!.signal.aborted).toBe(true);
    await clock.advance(RECONNECTED_MS);
    expect(source.watches[1]!.resourceVersion).toBe('10');
    expect(lines().map((line) => line['cause'])).toContain('silent');
    await informer.stop();
  });

  it('does not take a source for dead that sends bookmarks', async () => {
    const { clock, source, informer } = await setUpWatching();
    for (let minute = 0; minute < 10; minute += 1) {
      await clock.advance(60_000);
      source.watches[0]!.send(bookmark('10'));
      await clock.settle();
    }
    expect(source.watches).toHaveLength(1);
    expect(informer.healthy).toBe(true);
    await informer.stop();
  });

  it('ignores what a watch says that was cut', async () => {
    const { clock, source, informer, changes } = await setUpWatching();
    await clock.advance(SILENT_MS + RECONNECTED_MS);
    source.watches[0]!.send(deleted(thing('a', '11')));
    await clock.settle();
    expect(changes).toEqual([]);
    expect(informer.size).toBe(1);
    await informer.stop();
  });

  it('connects again more and more slowly, and at most every 30 seconds', async () => {
    const { clock, source, informer } = setUp();
    const gaps: number[] = [];
    informer.start();
    for (let n = 0; n < 10; n += 1) {
      source.lists[n]!.fail(new Error('connection refused'));
      const before = clock.now();
      while (source.lists.length === n + 1) await clock.advance(125);
      gaps.push(clock.now() - before);
    }
    expect(gaps).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    await informer.stop();
  });

  it('begins at the shortest delay again once a watch has lasted', async () => {
    const { clock, source, informer } = await setUpWatching();
    for (let n = 0; n < 3; n += 1) {
      source.watches[n]!.fail(new Error('connection refused'));
      await clock.advance(2_000);
    }
    await clock.advance(10_000);
    source.watches[3]!.end();
    await clock.advance(125);
    expect(source.watches).toHaveLength(5);
    await informer.stop();
  });

  it('lists anew when it cannot get past its version, whatever the source calls the error', async () => {
    const { clock, source, informer } = await setUpWatching();
    for (let n = 0; n < 5; n += 1) {
      expect(source.lists).toHaveLength(1);
      source.watches[n]!.fail(new Error('400: invalid resource version'));
      while (source.watches.length === n + 1 && source.lists.length === 1) await clock.advance(125);
    }
    expect(source.lists).toHaveLength(2);
    await informer.stop();
  });

  it('never shows the error of a source without saying that it connects again', async () => {
    const { clock, source, informer, lines } = await setUpWatching();
    source.watches[0]!.fail(new Error('connection reset'));
    await clock.settle();
    expect(lines().at(-1)).toMatchObject({
      informer: 'things',
      cause: 'error',
      msg: 'connecting again: connection reset',
    });
    await informer.stop();
  });
});

describe('stopping an informer', () => {
  it('ends a watch that ignores its signal, and leaves no timer', async () => {
    const { clock, source, informer } = await setUpWatching();
    await informer.stop();
    expect(source.watches[0]!.signal.aborted).toBe(true);
    expect(clock.timers).toBe(0);
    expect(informer.get('a')).toEqual(thing('a', '1'));
  });

  it('ends the wait before the next connection', async () => {
    const { clock, source, informer } = await setUpWatching();
    source.watches[0]!.fail(new Error('connection reset'));
    await clock.settle();
    await informer.stop();
    await clock.advance(100_000);
    expect(source.watches).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });

  it('ends a list that is not answered', async () => {
    const { clock, informer } = setUp();
    informer.start();
    await informer.stop();
    expect(informer.synced).toBe(false);
    expect(clock.timers).toBe(0);
  });

  it('is nothing before the start', async () => {
    const { informer } = setUp();
    await informer.stop();
    informer.start();
    await informer.stop();
    expect(informer.synced).toBe(false);
  });
});
