/**
 * What two replicas must do, whatever store they share. One stands still in the middle of its work, wakes, and must not
 * touch what the other has taken over; one is killed with 200 tenants, and the other serves them all. The simulated Fly
 * is the judge.
 */
import { expect, it } from 'vitest';
import { SHARD_COUNT, shardOf } from '../../src/controller/leases/shards.ts';
import { findCondition } from '../../src/tenant/conditions.ts';
import { appName } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { eventually } from './eventually.ts';
import { persist, seedImage, worldOf, type SimulatedCall } from './operator.ts';
import { addFault, clearFaults, isBy, type Replica, type Replicas } from './replicas.ts';

const IMAGE = 'registry.fly.io/systemprompt-images:one';
const HALF = SHARD_COUNT / 2;
const MOST_TENANTS = 200;
/** Enough that each of two replicas has some of them. */
const UNFINISHED = 20;
/** Requests at once, as of a script that somebody runs. */
const PARALLEL = 20;

/** Where the stories play. */
export interface ReplicaHouse {
  /** None of them started yet. */
  readonly replicas: Replicas;
  /** Is told of all tenants that the stories make and leave behind. */
  readonly created: (tenants: readonly Tenant[]) => void;
}

/** The stories, one after the other; `house` is called when the first begins. */
export function tellReplicaStories(house: () => ReplicaHouse): void {
  let replicas: Replicas;
  let first: Replica;
  let second: Replica;

  it('share the shards: the first takes all of them, and gives half to the one that comes', async () => {
    replicas = house().replicas;
    await seedImage(replicas.simulator.url, 'systemprompt-images', 'one');
    first = await replicas.start();
    await replicas.untilHolds(first, SHARD_COUNT);
    second = await replicas.start();
    await replicas.untilHolds(second, HALF);
    await replicas.untilHolds(first, HALF);
  }, 120_000);

  it('never both act: one that stood still in the middle of its work sends nothing more when it wakes', async () => {
    // Its volumes are made while it waits for the answers.
    await addFault(replicas.simulator, {
      operation: 'Volumes_create',
      kind: 'late',
      afterMs: 4_000,
      count: 6,
    });
    const tenants = await create(second, lowNames('paused', 6));
    house().created(tenants);
    await eventually(
      async () =>
        (await replicas.writes()).filter(({ operation }) => operation === 'Volumes_create').length >= 3,
      { what: 'the first replica to be in the middle of its work', intervalMs: 20 },
    );
    first.pause();
    const pausedAt = Date.now();
    await replicas.untilHolds(second, SHARD_COUNT);
    const takenOver = await eventually(
      async () => (await replicas.writes()).filter(on(tenants)).find(isBy(second)),
      { what: 'the second replica to act', during: second, intervalMs: 20 },
    );
    const before = await replicas.writes();
    first.resume();
    // It has come back in full: everything that it still wanted to do has had its chance.
    await replicas.untilHolds(first, HALF);
    await untilRunning(second, tenants.length, 60_000);
    console.log(`stood still: another replica acted ${takenOver.at - pausedAt} ms later`);
    const last = before.at(-1)?.sequence ?? 0;
    const after = (await replicas.writes()).filter(on(tenants)).filter(({ sequence }) => sequence > last);
    expect(before.filter(on(tenants)).filter(isBy(first)).length).toBeGreaterThan(0);
    expect(after.filter(isBy(second)).length).toBeGreaterThan(0);
    expect(after.filter(isBy(first))).toEqual([]);
  }, 180_000);

  it('never both act: when one is killed the other serves all, beginning after the last call of the dead', async () => {
    const many = await create(second, numbered('many', MOST_TENANTS));
    house().created(many);
    await untilRunning(second, MOST_TENANTS / 4, 120_000);
    // It may have nothing in hand by now. These give it something that it cannot finish: it dies before a volume is answered.
    await addFault(replicas.simulator, {
      operation: 'Volumes_create',
      kind: 'late',
      afterMs: 10_000,
      count: MOST_TENANTS + UNFINISHED,
    });
    const last = (await replicas.writes()).at(-1)?.sequence ?? 0;
    const [unfinished, killedAt] = await Promise.all([
      create(second, numbered('unfinished', UNFINISHED)),
      killWhenItHasBegun('Volumes_create', last),
    ]);
    house().created(unfinished);
    await clearFaults(replicas.simulator);
    await replicas.untilHolds(second, SHARD_COUNT);
    const heldAt = Date.now();
    const all = (await second.operator.list()).length;
    await untilRunning(second, all, 120_000);
    console.log(`killed: its shards were held by the other ${heldAt - killedAt} ms later`);
    console.log(`killed: all ${all} tenants ran ${Date.now() - killedAt} ms later`);
    const tenants = [...many, ...unfinished];
    const writes = (await replicas.writes()).filter(on(tenants));
    const alternating = tenants.filter((tenant) => changesOfHand(writes.filter(on([tenant]))) > 1);
    expect(alternating.map(({ metadata }) => metadata.name)).toEqual([]);
    // Both had their part, and the part of the dead went on.
    const inherited = tenants.filter((tenant) => {
      const ofTenant = writes.filter(on([tenant]));
      return ofTenant.some(isBy(first)) && ofTenant.some(isBy(second));
    });
    expect(inherited.length).toBeGreaterThan(0);
    await expectOneOfEach(replicas, tenants);
  }, 400_000);

  /** Resolves with the time of the first replica's death, right after its next call of that kind. */
  async function killWhenItHasBegun(operation: string, last: number): Promise<number> {
    await eventually(
      async () =>
        (await replicas.writes())
          .filter(isBy(first))
          .some((call) => call.sequence > last && call.operation === operation),
      { what: `the first replica to begin ${operation}`, timeoutMs: 60_000, during: first },
    );
    await first.kill();
    return Date.now();
  }
}

async function create(replica: Replica, names: readonly string[]): Promise<Tenant[]> {
  const spec = { owner: 'ctm_1', region: 'iad', memoryMb: 256, image: IMAGE };
  const made: Tenant[] = [];
  for (let from = 0; from < names.length; from += PARALLEL) {
    const some = names.slice(from, from + PARALLEL).map(async (name) => {
      const { status, body } = await persist(() => replica.operator.create(name, spec));
      // A store under load may take it and not say so; repeated, it is there already.
      if (status === 409) return (await persist(() => replica.operator.get(name))).body;
      expect(status).toBe(201);
      return body;
    });
    made.push(...(await Promise.all(some)));
  }
  return made;
}

async function untilRunning(replica: Replica, count: number, timeoutMs: number): Promise<void> {
  await eventually(async () => (await runningOf(replica)) >= count, {
    what: `${count} tenants to run`,
    timeoutMs,
    intervalMs: 250,
    during: replica,
  });
}

async function runningOf({ operator }: Replica): Promise<number> {
  const tenants = await operator.list();
  return tenants.filter(
    ({ status }) =>
      status?.phase === 'running' && findCondition(status.conditions, 'Ready')?.status === 'True',
  ).length;
}

const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

/** Names of tenants in the lower half of the shards: the upper half is what a replica gives up first. */
function lowNames(prefix: string, count: number): string[] {
  const names: string[] = [];
  for (let index = 0; names.length < count; index += 1)
    if (shardOf(`default/${prefix}-${index}`) < HALF) names.push(`${prefix}-${index}`);
  return names;
}

const on =
  (tenants: readonly Tenant[]) =>
  ({ app }: SimulatedCall): boolean =>
    tenants.some(({ metadata }) => appName(metadata.uid) === app);

/** How often the next call for a tenant came from another replica than the one before. */
function changesOfHand(calls: readonly SimulatedCall[]): number {
  return calls.filter(({ agent }, index) => index > 0 && agent !== calls[index - 1]?.agent).length;
}

/** Nothing was made twice by the two of them. */
async function expectOneOfEach(replicas: Replicas, tenants: readonly Tenant[]): Promise<void> {
  const { apps } = await worldOf(replicas.simulator.url);
  const wrong = tenants.filter(({ metadata }) => {
    const app = apps[appName(metadata.uid)];
    const machines = app?.machines.filter(({ state }) => state !== 'destroyed') ?? [];
    const volumes = app?.volumes.filter(({ state }) => state === 'created') ?? [];
    return machines.length !== 1 || volumes.length !== 1;
  });
  expect(wrong.map(({ metadata }) => metadata.name)).toEqual([]);
}
