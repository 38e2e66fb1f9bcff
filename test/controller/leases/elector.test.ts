import { beforeEach, describe, expect, it } from 'vitest';
import { Registry } from 'prom-client';
import { createElector } from '../../../src/controller/leases/elector.ts';
import { SHARD_COUNT, shardLease, shardOf } from '../../../src/controller/leases/shards.ts';
import { captureLog } from '../../support/captured-log.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLeases, type Fate, type MemoryLeases } from './memory-backend.ts';
import { createReplica, WELL, type TestReplica } from './replica.ts';

const ALL = Array.from({ length: SHARD_COUNT }, (_, shard) => shard);
/** One renewal and one look at the others, with the answers. */
const ROUND_MS = 2_500;
/** After which the dead are replaced: their lease, one look, and one for the second of two takers. */
const TAKE_OVER_MS = 15_000 + 2 * ROUND_MS;

let clock: FakeClock;
let leases: MemoryLeases;
beforeEach(() => {
  clock = createFakeClock();
  leases = createMemoryLeases(clock);
});

const join = (identity: string, yieldMs?: number): TestReplica =>
  createReplica({ identity, leases, clock, ...(yieldMs !== undefined && { yieldMs }) });
const shardsOf = (replica: TestReplica): number[] =>
  replica
    .acting()
    .map(({ shard }) => shard)
    .sort((a, b) => a - b);
const sizes = (...replicas: TestReplica[]): number[] => replicas.map((replica) => shardsOf(replica).length);

describe('a replica alone', () => {
  it('takes every shard in its first round, without waiting', async () => {
    const alone = join('a');
    await clock.advance(100);
    expect(shardsOf(alone)).toEqual(ALL);
    expect(alone.elector).toMatchObject({ healthy: true, replicas: 1, held: SHARD_COUNT });
  });

  it('writes nothing but its own renewals while nothing changes', async () => {
    const alone = join('a');
    await clock.advance(ROUND_MS);
    const before = [...leases.records.values()].filter(({ name }) => name.startsWith('shard-'));
    const writes = leases.writes();
    await clock.advance(60_000);
    expect([...leases.records.values()].filter(({ name }) => name.startsWith('shard-'))).toEqual(before);
    expect(leases.writes() - writes).toBeLessThanOrEqual(60_000 / 1_600);
    expect(alone.lost).toEqual([]);
  });

  it('names the holding of a key by the shard that the key hashes into', async () => {
    const alone = join('a');
    expect(alone.elector.holdingOf('default/hello')).toBeUndefined();
    await clock.advance(100);
    expect(alone.elector.holdingOf('default/hello')?.shard).toBe(shardOf('default/hello'));
  });

  it('may not act from the renew deadline on, and begins anew with a higher epoch when it can renew again', async () => {
    const alone = join('a');
    await clock.advance(ROUND_MS);
    const [first] = alone.acting();
    alone.fate = () => ({ kind: 'refused' });
    await clock.advance(7_500);
    expect(shardsOf(alone)).toEqual(ALL);
    await clock.advance(3_000);
    expect(shardsOf(alone)).toEqual([]);
    expect(alone.elector).toMatchObject({ healthy: false, held: 0 });
    expect([...alone.lost].sort((a, b) => a - b)).toEqual(ALL);
    alone.fate = WELL;
    await clock.advance(ROUND_MS);
    expect(shardsOf(alone)).toEqual(ALL);
    expect(first?.mayAct()).toBe(false);
    expect(alone.acting().find(({ shard }) => shard === first?.shard)?.epoch).toBe((first?.epoch ?? 0) + 1);
  });

  it('may not act when a wall clock says that its permit is over, and recovers by itself', async () => {
    const alone = join('a');
    await clock.advance(ROUND_MS);
    alone.jump(3_600_000);
    expect(shardsOf(alone)).toEqual([]);
    await clock.advance(ROUND_MS);
    expect(shardsOf(alone)).toEqual(ALL);
  });

  it('is not extended by a wall clock that was set back', async () => {
    const alone = join('a');
    await clock.advance(ROUND_MS);
    alone.jump(-3_600_000);
    alone.fate = () => ({ kind: 'refused' });
    await clock.advance(11_000);
    expect(shardsOf(alone)).toEqual([]);
  });

  it('takes over at once what its own dead predecessor of the same identity had', async () => {
    const dead = join('home');
    await clock.advance(ROUND_MS);
    dead.kill();
    const next = join('home');
    await clock.advance(100);
    expect(shardsOf(next)).toEqual(ALL);
    expect(next.holdings.every(({ epoch }) => epoch === 2)).toBe(true);
  });

  it('holds what a write took whose answer was lost, once it has made sure of it', async () => {
    let calls = 0;
    const alone = join('a');
    // The renewal was sent by now and is answered, as is the look after it; the takings arrive without an answer.
    alone.fate = (): Fate => ((calls += 1) <= 1 ? WELL() : { kind: 'lost', landsAfterMs: 10 });
    await clock.advance(1_000);
    expect(leases.records.get(shardLease(3))?.holder).toBe('a');
    expect(shardsOf(alone)).toEqual([]);
    alone.fate = WELL;
    await clock.advance(10_000);
    expect(shardsOf(alone)).toEqual(ALL);
  });
});

describe('several replicas', () => {
  it('share evenly, and whoever comes later gets its part without a moment in which two hold one shard', async () => {
    const [a, b] = [join('a'), join('b')];
    await clock.advance(10_000);
    expect(sizes(a, b)).toEqual([8, 8]);
    const c = join('c');
    await clock.advance(10_000);
    expect(sizes(a, b, c)).toEqual([6, 5, 5]);
    expect([...shardsOf(a), ...shardsOf(b), ...shardsOf(c)].sort((x, y) => x - y)).toEqual(ALL);
  });

  it('move nothing any more once the shares are even', async () => {
    const replicas = [join('a'), join('b'), join('c')];
    await clock.advance(20_000);
    const before = replicas.map(shardsOf);
    const taken = replicas.map(({ holdings }) => holdings.length);
    await clock.advance(120_000);
    expect(replicas.map(shardsOf)).toEqual(before);
    expect(replicas.map(({ holdings }) => holdings.length)).toEqual(taken);
  });

  it('keep acting on a shard that is given up until what is under way has ended, and not longer', async () => {
    const a = join('a', 5_000);
    await clock.advance(ROUND_MS);
    const b = join('b');
    await clock.advance(ROUND_MS);
    const given = ALL.filter((shard) => a.elector.holdingOf(keyIn(shard)) === undefined);
    expect(given).toHaveLength(SHARD_COUNT / 2);
    expect(shardsOf(a)).toEqual(ALL);
    expect(shardsOf(b)).toEqual([]);
    await clock.advance(5_000 + ROUND_MS);
    expect(shardsOf(b)).toEqual(given);
    expect(a.lost).toEqual([]);
  });

  it('take over within a retry from one that stops cleanly', async () => {
    const [a, b] = [join('a'), join('b')];
    await clock.advance(10_000);
    const stopping = a.elector.stop({ release: true });
    await clock.advance(100);
    await stopping;
    await clock.advance(ROUND_MS);
    expect(shardsOf(b)).toEqual(ALL);
  });

  it('wait for the end of the lease of one that could not say that it is done', async () => {
    const [a, b] = [join('a'), join('b')];
    await clock.advance(10_000);
    const stopping = a.elector.stop({ release: false });
    await clock.advance(100);
    await stopping;
    await clock.advance(12_000);
    expect(sizes(a, b)).toEqual([0, 8]);
    await clock.advance(TAKE_OVER_MS - 12_000);
    expect(shardsOf(b)).toEqual(ALL);
  });

  it('take over from one that died, when its lease is over and not before', async () => {
    const [a, b, c] = [join('a'), join('b'), join('c')];
    await clock.advance(20_000);
    a.kill();
    await clock.advance(12_500);
    expect(sizes(b, c)).toEqual([5, 5]);
    await clock.advance(TAKE_OVER_MS - 12_500);
    expect(sizes(b, c)).toEqual([8, 8]);
  });

  it('never act together with one that stood still and wakes', async () => {
    const [a, b] = [join('a'), join('b')];
    await clock.advance(10_000);
    const held = a.acting();
    a.pause();
    await clock.advance(TAKE_OVER_MS);
    expect(shardsOf(b)).toEqual(ALL);
    // In the very moment of waking, before any timer of it has fired.
    expect(held.filter((holding) => holding.mayAct())).toEqual([]);
    await a.resume();
    await clock.advance(20_000);
    expect(sizes(a, b)).toEqual([8, 8]);
    expect(held.filter((holding) => holding.mayAct())).toEqual([]);
  });

  it('never act together with one that stood still while the answer to its renewal was on its way', async () => {
    const [a, b] = [join('a'), join('b')];
    await clock.advance(10_000);
    let asked = false;
    a.fate = () => {
      asked = true;
      return { kind: 'answered', delayMs: 1_000 };
    };
    while (!asked) await clock.advance(100);
    a.pause();
    await clock.advance(TAKE_OVER_MS);
    expect(shardsOf(b)).toEqual(ALL);
    await a.resume();
    for (let moment = 0; moment < 40; moment += 1) {
      expect([...shardsOf(a), ...shardsOf(b)]).toHaveLength(new Set([...shardsOf(a), ...shardsOf(b)]).size);
      await clock.advance(250);
    }
  });

  it('do not take one for dead because a wall clock of theirs jumps', async () => {
    const [a, b] = [join('a'), join('b')];
    await clock.advance(10_000);
    b.jump(86_400_000);
    await clock.advance(ROUND_MS);
    expect(a.lost).toEqual([]);
    expect(sizes(a, b)[0]).toBe(8);
  });

  it('leave one more than there are shards standing by, healthy and without any', async () => {
    const replicas = Array.from({ length: SHARD_COUNT + 1 }, (_, index) =>
      join(`r${String(index).padStart(2, '0')}`),
    );
    await clock.advance(30_000);
    expect(sizes(...replicas)).toEqual([...ALL.map(() => 1), 0]);
    expect(replicas.every(({ elector }) => elector.healthy)).toBe(true);
  });
});

describe('what operators see', () => {
  it('is the number of shards and replicas, every move, and every renewal that failed', async () => {
    const metrics = new Registry();
    let fate: () => Fate = WELL;
    const elector = createElector({
      identity: 'a',
      backend: leases.backend(() => fate()),
      clock,
      log: captureLog().log,
      metrics,
    });
    elector.subscribe({
      acquired: () => undefined,
      yielding: () => Promise.resolve(),
      lost: () => undefined,
    });
    elector.start();
    await clock.advance(100);
    fate = () => ({ kind: 'refused' });
    await clock.advance(11_000);
    const text = await metrics.metrics();
    expect(text).toContain('landlord_shards_held 0');
    expect(text).toContain('landlord_replicas 1');
    expect(text).toContain(`landlord_shard_moves_total{move="taken"} ${SHARD_COUNT}`);
    expect(text).toContain(`landlord_shard_moves_total{move="lost"} ${SHARD_COUNT}`);
    expect(text).toMatch(/landlord_lease_renew_failures_total [4-7]\n/);
  });

  it('is one line when trouble begins and one when it is over, not one for every attempt', async () => {
    const { log, lines } = captureLog();
    let fate: () => Fate = WELL;
    const elector = createElector({ identity: 'a', backend: leases.backend(() => fate()), clock, log });
    elector.subscribe({
      acquired: () => undefined,
      yielding: () => Promise.resolve(),
      lost: () => undefined,
    });
    elector.start();
    await clock.advance(100);
    fate = () => ({ kind: 'refused' });
    await clock.advance(8_000);
    fate = WELL;
    await clock.advance(ROUND_MS);
    expect(lines().map(({ msg }) => msg)).toEqual([
      'took 16 shards, has 16 of 16',
      'cannot look after the leases; trying again',
      'leases can be renewed again',
    ]);
  });
});

function keyIn(shard: number): string {
  for (let index = 0; ; index += 1) if (shardOf(`default/t${index}`) === shard) return `default/t${index}`;
}
