import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Tenant } from '../../src/tenant/schema.ts';
import { findCondition } from '../../src/tenant/conditions.ts';
import { eventually } from '../support/eventually.ts';
import { createHarness, IMAGE, type Harness } from './harness.ts';

let house: Harness;
beforeAll(async () => {
  house = await createHarness({ timeFactor: 10 });
});
afterAll(() => house.close());

function ready(tenant: Tenant): string | undefined {
  const condition = findCondition(tenant.status?.conditions, 'Ready');
  return condition?.status === 'True' ? condition.reason : undefined;
}

async function revision(): Promise<string | undefined> {
  const { resourceVersion } = await house.store.list({ limit: 1 });
  return resourceVersion;
}

describe('a tenant', () => {
  it('converges from nothing to a running machine with one write to Fly for each thing made', async () => {
    const { metadata } = await house.create('first');
    const tenant = await house.phase('first', 'running');
    expect(ready(tenant)).toBe('Running');
    expect(await house.writes(tenant)).toEqual({
      Apps_create: 1,
      App_IPAssignments_create: 2,
      App_Certificates_acme_create: 1,
      Volumes_create: 1,
      Secrets_update: 1,
      Machines_create: 1,
    });
    const app = await house.app(tenant);
    expect(app?.machines).toHaveLength(1);
    expect(app?.volumes.map(({ name, size_gb }) => [name, size_gb])).toEqual([['services', 1]]);
    expect(app?.secrets.names.toSorted()).toEqual(['DATABASE_URL', 'JWT_SECRET']);
    const databases = await house.test.query('SELECT 1 FROM pg_database WHERE datname = $1', [
      `sp_${metadata.uid.replaceAll('-', '_')}`,
    ]);
    expect(databases).toHaveLength(1);
  });

  it('tells of each thing that was made, in order, without a secret', async () => {
    const tenant = await house.phase('first', 'running');
    const reasons = (await house.eventsOf(tenant)).map(({ reason }) => reason);
    expect(reasons[0]).toBe('TenantCreated');
    for (const reason of [
      'AppCreated',
      'VolumeCreated',
      'DatabaseCreated',
      'InfrastructureReady',
      'MachineCreated',
    ])
      expect(reasons).toContain(reason);
    expect(reasons.at(-1)).toBe('TenantReady');
    const secrets = await house.vault.reveal(tenant.metadata.uid);
    const told = JSON.stringify([tenant, await house.eventsOf(tenant)]);
    expect(told).not.toContain(secrets?.databasePassword);
    expect(told).not.toContain(secrets?.values['JWT_SECRET']);
  });

  it('that has converged causes no write anywhere when it is looked at again', async () => {
    const tenant = await house.waitFor(
      'first',
      'pass its health check',
      ({ status }) => findCondition(status?.conditions, 'Available')?.reason === 'Serving',
    );
    expect((await house.plan(tenant)).converged).toBe(true);
    const before = {
      fly: await house.writes(),
      store: await revision(),
      events: await house.eventsOf(tenant),
    };
    const calls = (await house.calls()).length;
    await house.restartLoop();
    await eventually(async () => (await house.calls()).length > calls + 5, {
      what: 'the tenant to be looked at',
    });
    await eventually(() => house.loop.tenants.synced, { what: 'the loop to be synced' });
    expect(await house.writes()).toEqual(before.fly);
    expect(await revision()).toBe(before.store);
    expect(await house.eventsOf(tenant)).toEqual(before.events);
  });

  it('without an image awaits its first deploy, and then runs it', async () => {
    await house.create('newcomer', { image: undefined });
    const waiting = await house.phase('newcomer', 'awaiting_deploy');
    expect(ready(waiting)).toBe('AwaitingDeploy');
    expect((await house.app(waiting))?.machines).toEqual([]);
    await house.edit('newcomer', { image: IMAGE });
    const running = await house.phase('newcomer', 'running');
    expect((await house.app(running))?.machines).toHaveLength(1);
  });

  it('grows in memory by one update, and in volume by one extension', async () => {
    await house.create('growing');
    await house.phase('growing', 'running');
    await house.edit('growing', { memoryMb: 1024, volumeGb: 3 });
    const grown = await house.phase('growing', 'running');
    const app = await house.app(grown);
    expect(app?.machines[0]?.config.guest.memory_mb).toBe(1024);
    expect(app?.volumes.map(({ size_gb }) => size_gb)).toEqual([3]);
    expect(await house.writes(grown)).toMatchObject({
      Volumes_extend: 1,
      Machines_update: 1,
      Machines_create: 1,
    });
  });

  it('is restarted once for one request', async () => {
    await house.create('restarted');
    const before = await house.phase('restarted', 'running');
    await house.edit('restarted', { restartedAt: new Date(house.clock.now()).toISOString() });
    const after = await house.phase('restarted', 'running');
    expect(after.status?.machine?.id).toBe(before.status?.machine?.id);
    expect(after.status?.machine?.version).not.toBe(before.status?.machine?.version);
    expect(await house.writes(after)).toMatchObject({ Machines_update: 1 });
    await house.restartLoop();
    await eventually(() => house.loop.tenants.synced, { what: 'the loop to be synced' });
    expect((await house.plan(after)).converged).toBe(true);
  });

  it('sleeps while it is suspended, whoever knocks, and runs again after that', async () => {
    await house.create('sleepy');
    await house.phase('sleepy', 'running');
    await house.edit('sleepy', { state: 'Suspended' });
    const suspended = await house.phase('sleepy', 'suspended');
    const app = `sp-${suspended.metadata.uid}`;
    expect((await house.app(suspended))?.machines[0]?.state).toBe('stopped');
    const knock = await house.control<{ woke: boolean }>('POST', '/proxy', { app, action: 'request' });
    expect(knock.woke).toBe(false);
    await house.edit('sleepy', { state: 'Running' });
    const resumed = await house.phase('sleepy', 'running');
    expect((await house.app(resumed))?.machines[0]?.state).toBe('started');
  });

  it('rotates its database password without keeping the old one alive', async () => {
    await house.create('rotating');
    const { metadata } = await house.phase('rotating', 'running');
    const old = (await house.vault.reveal(metadata.uid))?.databasePassword;
    await house.edit('rotating', { credentialsRotatedAt: new Date(house.clock.now()).toISOString() });
    const after = await house.phase('rotating', 'running');
    const fresh = (await house.vault.reveal(metadata.uid))?.databasePassword;
    expect(fresh).not.toBe(old);
    expect(await house.writes(after)).toMatchObject({ Secrets_update: 2, Machines_update: 1 });
  });

  it('leaves nothing behind when it is deleted', async () => {
    await house.create('leaving');
    const tenant = await house.phase('leaving', 'running');
    const { uid } = tenant.metadata;
    await house.store.delete({ namespace: 'default', name: 'leaving' });
    await house.gone('leaving');
    expect(await house.app(tenant)).toBeUndefined();
    expect(await house.vault.describe(uid)).toBeUndefined();
    expect(
      await house.test.query('SELECT 1 FROM pg_database WHERE datname = $1', [
        `sp_${uid.replaceAll('-', '_')}`,
      ]),
    ).toEqual([]);
  });

  it('that is orphaned keeps everything on Fly', async () => {
    await house.create('orphan', { deletionPolicy: 'Orphan' });
    const tenant = await house.phase('orphan', 'running');
    await house.store.delete({ namespace: 'default', name: 'orphan' });
    await house.gone('orphan');
    expect((await house.app(tenant))?.machines).toHaveLength(1);
  });

  it('whose image nobody knows is stalled by name, while others do not notice', async () => {
    const missing = 'registry.fly.io/systemprompt-images:never-pushed';
    await house.create('mistaken', { image: missing });
    await house.create('neighbour');
    const stalled = await house.phase('mistaken', 'failed');
    const condition = findCondition(stalled.status?.conditions, 'Stalled');
    expect(condition).toMatchObject({ status: 'True', reason: 'ImageNotFound' });
    expect(condition?.message).toContain(missing);
    await house.phase('neighbour', 'running');
    await house.edit('mistaken', { image: IMAGE });
    await house.phase('mistaken', 'running');
  });
});

describe('drift', () => {
  it('of a destroyed machine is told by the plan in words, mended, and told as an event', async () => {
    await house.create('drifting');
    const tenant = await house.phase('drifting', 'running');
    await house.loop.stop(5_000);
    await house.control('POST', `/machines/${tenant.status?.machine?.id ?? ''}/destroy`);
    const plan = await eventually(
      async () => {
        // Looking so often meets Fly's rate limits now and then.
        const seen = await house.plan(tenant).catch(() => undefined);
        return seen !== undefined && seen.steps.length > 0 ? seen : undefined;
      },
      { what: 'the plan to see the loss' },
    );
    expect(plan.steps).toMatchObject([{ kind: 'createMachine', needs: [] }]);
    expect(plan.steps[0]?.why).toContain('does not exist');
    await house.restartLoop();
    await house.waitFor(
      'drifting',
      'have another machine',
      ({ status }) => status?.phase === 'running' && status.machine?.id !== tenant.status?.machine?.id,
    );
    const drift = (await house.eventsOf(tenant)).find(({ reason }) => reason === 'DriftDetected');
    expect(drift?.message).toContain('create machine');
    expect((await house.app(tenant))?.machines.filter(({ state }) => state !== 'destroyed')).toHaveLength(1);
  });

  it('is found by the feed, without anybody asking for the tenant', async () => {
    await house.create('watched');
    const tenant = await house.phase('watched', 'running');
    await house.control('POST', `/machines/${tenant.status?.machine?.id ?? ''}/destroy`);
    await house.waitFor(
      'watched',
      'have another machine',
      ({ status }) => status?.phase === 'running' && status.machine?.id !== tenant.status?.machine?.id,
    );
  });

  it('is not what the proxy does: a machine that it stopped stays stopped', async () => {
    await house.create('idle');
    const tenant = await house.phase('idle', 'running');
    const before = await house.writes(tenant);
    await house.control('POST', '/proxy', { app: `sp-${tenant.metadata.uid}`, action: 'stop' });
    const idle = await house.waitFor('idle', 'be seen to rest', ({ status }) =>
      ['stopped', 'suspended'].includes(status?.machine?.state ?? ''),
    );
    expect(idle.status?.phase).toBe('running');
    expect(findCondition(idle.status?.conditions, 'Available')).toMatchObject({
      status: 'True',
      reason: 'Idle',
    });
    expect(await house.writes(idle)).toEqual(before);
  });
});
