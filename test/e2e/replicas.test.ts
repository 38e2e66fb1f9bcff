/**
 * Two built daemons share one store. One stands still in the middle of its work, wakes, and must not touch what the
 * other has taken over; one is killed with 200 tenants, and the other serves them all. The simulated Fly is the judge.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { SHARD_COUNT, shardOf } from '../../src/controller/leases/shards.ts';
import { createTenantDatabases } from '../../src/database/tenant-databases.ts';
import { findCondition } from '../../src/tenant/conditions.ts';
import { appName, databaseName } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { createTestDatabase, silentLog, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { persist, seedImage, worldOf, type SimulatedCall } from '../support/operator.ts';
import { addFault, isBy, startReplicas, type Replica, type Replicas } from '../support/replicas.ts';

const IMAGE = 'registry.fly.io/systemprompt-images:one';
const HALF = SHARD_COUNT / 2;
const MOST_TENANTS = 200;
/** Requests at once, as of a script that somebody runs. */
const PARALLEL = 20;

let test: TestDatabase;
let replicas: Replicas;
beforeAll(async () => {
  test = await createTestDatabase();
  replicas = await startReplicas({
    env: { DATABASE_URL: test.url },
    simulatorEnv: { SIMULATOR_LATENCY: '0.1' },
  });
  await seedImage(replicas.simulator.url, 'systemprompt-images', 'one');
});
afterAll(async () => {
  await replicas.stop();
  await dropTenantDatabases();
  await test.drop();
}, 120_000);

async function dropTenantDatabases(): Promise<void> {
  const log = silentLog();
  const options = { adminUrl: test.url, nameOf: databaseName, log, clock: systemClock };
  const databases = createTenantDatabases(options);
  const rows = await test.query<{ uid: string }>('SELECT uid FROM tenants');
  // One after the other on each of its few connections: more would wait too long for one.
  const dropAll = async (): Promise<void> => {
    for (let row = rows.pop(); row !== undefined; row = rows.pop()) await databases.drop(row.uid);
  };
  await Promise.all([dropAll(), dropAll(), dropAll()]);
  await databases.close();
}

async function create(replica: Replica, names: readonly string[]): Promise<Tenant[]> {
  const spec = { owner: 'ctm_1', region: 'iad', memoryMb: 256, image: IMAGE };
  const made: Tenant[] = [];
  for (let from = 0; from < names.length; from += PARALLEL) {
    const some = names
      .slice(from, from + PARALLEL)
      .map((name) => persist(() => replica.operator.create(name, spec)));
    for (const { status, body } of await Promise.all(some)) {
      expect(status).toBe(201);
      made.push(body);
    }
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

describe('two replicas', () => {
  let first: Replica;
  let second: Replica;

  it('share the shards: the first takes all of them, and gives half to the one that comes', async () => {
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
    const names = Array.from({ length: MOST_TENANTS }, (_, index) => `many-${index}`);
    const tenants = await create(second, names);
    await untilRunning(second, MOST_TENANTS / 4, 120_000);
    await first.kill();
    const killedAt = Date.now();
    await replicas.untilHolds(second, SHARD_COUNT);
    const heldAt = Date.now();
    const all = (await second.operator.list()).length;
    await untilRunning(second, all, 120_000);
    console.log(`killed: its shards were held by the other ${heldAt - killedAt} ms later`);
    console.log(`killed: all ${all} tenants ran ${Date.now() - killedAt} ms later`);
    const writes = (await replicas.writes()).filter(on(tenants));
    const alternating = tenants.filter((tenant) => changesOfHand(writes.filter(on([tenant]))) > 1);
    expect(alternating.map(({ metadata }) => metadata.name)).toEqual([]);
    // Both had their part, and the part of the dead went on.
    const ofDead = tenants.filter((tenant) => writes.filter(on([tenant])).some(isBy(first)));
    const inherited = ofDead.filter((tenant) => writes.filter(on([tenant])).some(isBy(second)));
    expect(ofDead.length).toBeGreaterThan(0);
    expect(inherited.length).toBeGreaterThan(0);
    await expectOneOfEach(tenants);
  }, 400_000);
});

/** How often the next call for a tenant came from another replica than the one before. */
function changesOfHand(calls: readonly SimulatedCall[]): number {
  return calls.filter(({ agent }, index) => index > 0 && agent !== calls[index - 1]?.agent).length;
}

/** Nothing was made twice by the two of them. */
async function expectOneOfEach(tenants: readonly Tenant[]): Promise<void> {
  const { apps } = await worldOf(replicas.simulator.url);
  const wrong = tenants.filter(({ metadata }) => {
    const app = apps[appName(metadata.uid)];
    const machines = app?.machines.filter(({ state }) => state !== 'destroyed') ?? [];
    const volumes = app?.volumes.filter(({ state }) => state === 'created') ?? [];
    return machines.length !== 1 || volumes.length !== 1;
  });
  expect(wrong.map(({ metadata }) => metadata.name)).toEqual([]);
}
