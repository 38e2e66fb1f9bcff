/** What every place for leases must do, whatever it is. Two writers each have a way of their own to the same place. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { LeaseBackend, LeaseRecord } from '../../src/controller/leases/backend.ts';
import { createElector, type Elector } from '../../src/controller/leases/elector.ts';
import type { Holding } from '../../src/controller/leases/holdings.ts';
import { SHARD_COUNT } from '../../src/controller/leases/shards.ts';
import { systemClock } from '../../src/clock.ts';
import { silentLog } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

export interface TwoWays {
  readonly one: LeaseBackend;
  readonly two: LeaseBackend;
}

/** `open` is called for each test; what it answers with holds no leases. */
export function describeLeases(what: string, open: () => Promise<TwoWays>): void {
  describe(what, () => {
    let one: LeaseBackend;
    let two: LeaseBackend;
    beforeEach(async () => {
      ({ one, two } = await open());
    });
    const signal = (): AbortSignal => AbortSignal.timeout(10_000);
    const made = async (name: string, holder = 'a'): Promise<LeaseRecord> => {
      const record = await one.put({ name, holder, transitions: 1, expected: undefined }, signal());
      return record ?? expect.fail('the record was not made');
    };

    it('shows both writers what one has written', async () => {
      const record = await made('shard-03');
      expect(record).toMatchObject({ name: 'shard-03', holder: 'a', transitions: 1 });
      expect(await one.list(signal())).toEqual([record]);
      expect(await two.list(signal())).toEqual([record]);
    });

    it('lets only one of two writers make a record', async () => {
      const wish = { name: 'shard-03', transitions: 1, expected: undefined };
      const written = await Promise.all([
        one.put({ ...wish, holder: 'a' }, signal()),
        two.put({ ...wish, holder: 'b' }, signal()),
      ]);
      expect(written.filter((record) => record !== undefined)).toEqual(await one.list(signal()));
    });

    it('lets only one of two writers replace a version', async () => {
      const { name, version } = await made('shard-03');
      const wish = { name, transitions: 2, expected: version };
      const written = await Promise.all([
        one.put({ ...wish, holder: 'a' }, signal()),
        two.put({ ...wish, holder: 'b' }, signal()),
      ]);
      const [winner, ...others] = written.filter((record) => record !== undefined);
      expect(others).toEqual([]);
      expect(await two.list(signal())).toEqual([winner]);
      expect(winner?.version).not.toBe(version);
    });

    it('gives a record another version when it is written with what it says already, which is a renewal', async () => {
      const { name, version } = await made('replica-a');
      const renewed = await one.put({ name, holder: 'a', transitions: 1, expected: version }, signal());
      expect(renewed).toMatchObject({ name, holder: 'a', transitions: 1 });
      expect(renewed?.version).not.toBe(version);
    });

    it('refuses to remove a version that is no longer there, and to write to what was removed', async () => {
      const { name, version } = await made('replica-a');
      const renewed = await one.put({ name, holder: 'a', transitions: 1, expected: version }, signal());
      expect(await two.remove({ name, version }, signal())).toBe(false);
      expect(await two.remove({ name, version: renewed?.version ?? '' }, signal())).toBe(true);
      expect(await two.remove({ name, version: renewed?.version ?? '' }, signal())).toBe(false);
      const late = { name, holder: 'a', transitions: 1, expected: renewed?.version };
      expect(await one.put(late, signal())).toBeUndefined();
      expect(await one.list(signal())).toEqual([]);
    });

    it('never gives a version twice to one name', async () => {
      const first = await made('replica-a');
      await one.remove(first, signal());
      const second = await made('replica-a');
      expect(second.version).not.toBe(first.version);
      expect(await one.remove(first, signal())).toBe(false);
    });

    it('knows a record that nobody has', async () => {
      const { name, version } = await made('shard-03');
      await one.put({ name, holder: '', transitions: 7, expected: version }, signal());
      expect(await two.list(signal())).toMatchObject([{ holder: '', transitions: 7 }]);
    });

    it('carries an election: two share at once, and one takes over what the other gives back', async () => {
      const [a, b] = [elect('a', one), elect('b', two)];
      await eventually(() => a.elector.held === SHARD_COUNT / 2 && b.elector.held === SHARD_COUNT / 2, {
        what: 'two replicas to share',
      });
      const [shardsA, shardsB] = [a, b].map(({ holdings }) => acting(holdings));
      expect([...(shardsA ?? []), ...(shardsB ?? [])].sort((x, y) => x - y)).toEqual(
        Array.from({ length: SHARD_COUNT }, (_, shard) => shard),
      );
      await a.elector.stop({ release: true });
      await eventually(() => b.elector.held === SHARD_COUNT, { what: 'the other one to take over' });
      await b.elector.stop({ release: true });
      const left = await one.list(signal());
      expect(left.map(({ name }) => name).filter((name) => name.startsWith('replica-'))).toEqual([]);
    });
  });
}

function acting(holdings: readonly Holding[]): number[] {
  return holdings.filter((holding) => holding.mayAct()).map(({ shard }) => shard);
}

function elect(identity: string, backend: LeaseBackend): { elector: Elector; holdings: Holding[] } {
  const holdings: Holding[] = [];
  const elector = createElector({ identity, backend, clock: systemClock, log: silentLog() });
  elector.subscribe({
    acquired: (holding) => void holdings.push(holding),
    yielding: () => Promise.resolve(),
    lost: () => undefined,
  });
  elector.start();
  return { elector, holdings };
}
