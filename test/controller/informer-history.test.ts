/**
 * Whatever happens to a source and to the connections to it, an informer ends up holding what the source holds, and
 * has told a story that leads there without a gap.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createInformer, type Change } from '../../src/controller/informer.ts';
import { captureLog } from '../support/captured-log.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createVersionedSource, TooOldError, type Thing } from './versioned-source.ts';

const SILENT_MS = 1_000;
const NAMES = ['a', 'b', 'c', 'd', 'e'];
const name = fc.constantFrom(...NAMES);
const incident = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('write' as const), name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), name }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remake' as const), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('break' as const),
      how: fc.constantFrom('error', 'end', 'silent'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('heal' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 2_500 }) }),
  },
);

/** Applies a change to what the story has told so far. A throw would be caught: gaps are collected instead. */
function retell(told: Map<string, Thing>, change: Change<Thing>, gaps: Change<Thing>[]): void {
  const { key, before, after } = change;
  const follows = told.get(key)?.version === before?.version;
  const isSameThing = !before || !after || before.uid === after.uid;
  if (!follows || !isSameThing) gaps.push(change);
  if (after) told.set(key, after);
  else told.delete(key);
}

it('an informer holds what its source holds once the source is well again, and has left out no step', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(incident, { maxLength: 40 }), async (incidents) => {
      const clock = createFakeClock();
      const server = createVersionedSource();
      const told = new Map<string, Thing>();
      const informer = createInformer({
        name: 'things',
        source: server.source,
        identify: (thing: Thing) => ({ key: thing.name, uid: thing.uid, resourceVersion: thing.version }),
        isGone: (error) => error instanceof TooOldError,
        silentMs: SILENT_MS,
        clock,
        log: captureLog().log,
        indexes: { uid: (thing: Thing) => [thing.uid] },
      });
      const gaps: Change<Thing>[] = [];
      informer.onChange((change) => retell(told, change, gaps));
      informer.start();

      for (const step of incidents) {
        if (step.do === 'write') server.write(step.name);
        if (step.do === 'remove') server.remove(step.name);
        if (step.do === 'remake') {
          server.remove(step.name);
          server.write(step.name);
        }
        if (step.do === 'compact') server.compact();
        if (step.do === 'break') server.break(step.how);
        if (step.do === 'heal') server.heal();
        if (step.do === 'wait') await clock.advance(step.ms);
        else await clock.settle();
      }

      server.heal();
      await clock.advance(SILENT_MS + 60_000);
      const byName = (things: Thing[]) => things.sort((a, b) => (a.name < b.name ? -1 : 1));
      expect(byName(informer.items())).toEqual(server.things());
      expect(byName([...told.values()])).toEqual(server.things());
      for (const thing of server.things()) expect(informer.byIndex('uid', thing.uid)).toEqual([thing]);
      expect(gaps).toEqual([]);
      expect(informer.synced).toBe(true);
      await informer.stop();
      expect(clock.timers).toBe(0);
    }),
    { numRuns: 300 },
  );
});
