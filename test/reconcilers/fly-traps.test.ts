/**
 * What does Fly do that others were caught by? Each case is one trap of its API, or one bad day of somebody else, which
 * the simulation has no word for. docs/incidents.md tells which case stands for which. Lists lag far behind, as in
 * incidents.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findCondition, type Condition, type ConditionType } from '../../src/tenant/conditions.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { liveMachines } from '../invariants/holdings.ts';
import { eventually } from '../support/eventually.ts';
import { createHarness, IMAGE, LISTS_LAG, settings, type Harness } from './harness.ts';
import { invariants } from './invariants.ts';

let house: Harness;
beforeAll(async () => {
  house = await createHarness({ timeFactor: 10, latency: LISTS_LAG });
});
afterAll(() => house.close());

const SIGNAL = new AbortController().signal;

function condition(tenant: Tenant, type: ConditionType): Condition | undefined {
  return findCondition(tenant.status?.conditions, type);
}

/** How Fly answered each call of one operation. */
async function answers(tenant: Tenant, wanted: string): Promise<(number | null)[]> {
  const calls = await house.calls(`sp-${tenant.metadata.uid}`);
  return calls.filter(({ operation }) => operation === wanted).map(({ status }) => status);
}

describe('a host without room', () => {
  async function fill(tenant: Tenant, full: boolean): Promise<void> {
    const [volume] = (await house.app(tenant))?.volumes ?? [];
    await house.control('POST', `/hosts/${volume?.host ?? ''}`, { full });
  }

  it('holds a first deploy up until it has room, and no other volume is made elsewhere for that', async () => {
    await house.create('pinned', { image: undefined });
    const tenant = await house.phase('pinned', 'awaiting_deploy');
    await fill(tenant, true);
    await house.edit('pinned', { image: IMAGE });
    const waiting = await house.reason('pinned', 'MachineReady', 'HostWithoutCapacity');
    expect(waiting.status?.failure).toMatchObject({ step: 'createMachine', terminal: false });
    expect(condition(waiting, 'Stalled')?.status).toBe('False');
    await fill(tenant, false);
    const healed = await invariants(house, 'pinned');
    expect(healed.status?.volume?.id).toBe(tenant.status?.volume?.id);
    expect(await house.writes(healed)).toMatchObject({ Volumes_create: 1 });
  });

  it('keeps a machine from growing, which runs on as it is and is not replaced', async () => {
    await house.create('cramped');
    const tenant = await house.phase('cramped', 'running');
    await fill(tenant, true);
    await house.edit('cramped', { memoryMb: 2048 });
    const waiting = await house.reason('cramped', 'MachineReady', 'HostWithoutCapacity');
    expect(waiting.status?.failure).toMatchObject({ step: 'updateMachine', terminal: false });
    expect(liveMachines(await house.app(waiting))).toMatchObject([{ state: 'started' }]);
    await fill(tenant, false);
    const healed = await invariants(house, 'cramped');
    expect(healed.status?.machine?.id).toBe(tenant.status?.machine?.id);
    expect(await house.writes(healed)).not.toHaveProperty('Machines_delete');
  });
});

describe('an image that does not boot', () => {
  it.each([
    ['leaves its machine failed', 'failed', 'Machines_start'],
    ['has its machine destroyed', 'destroyed', 'Machines_create'],
  ] as const)(
    'and %s is tried again once a minute, until another one is deployed',
    async (_, boot, again) => {
      const repository = settings.sharedRegistryApp;
      await house.control('POST', '/registry', { repository, tag: boot, boot });
      const name = `broken-${boot}`;
      await house.create(name, { image: `${settings.registryHost}/${repository}:${boot}` });
      const broken = await house.reason(name, 'MachineReady', 'MachineDoesNotBoot');
      expect(broken.status?.phase).toBe('failed');
      expect(condition(broken, 'Ready')?.message).toContain('see its logs, or deploy another image');
      expect(condition(broken, 'Stalled')?.status).toBe('False');
      expect(await house.eventsOf(broken)).toContainEqual(
        expect.objectContaining({ type: 'Warning', reason: 'MachineDoesNotBoot' }),
      );
      const attempts = async () => {
        const calls = await house.calls(`sp-${broken.metadata.uid}`);
        return calls.filter(({ operation, status }) => operation === again && status === 200);
      };
      const tried = await eventually(
        async () => {
          const calls = await attempts();
          return calls.length >= 3 && calls;
        },
        { what: 'it to be tried again', timeoutMs: 60_000 },
      );
      for (const [index, call] of tried.entries())
        expect(call.at - (tried[index - 1]?.at ?? -Infinity)).toBeGreaterThan(50_000);
      await house.edit(name, { image: IMAGE });
      const mended = await invariants(house, name);
      expect(mended.status?.phase).toBe('running');
    },
  );

  it('is not blamed for a machine that ran and was destroyed: that is made again at once', async () => {
    await house.create('ran');
    const tenant = await house.phase('ran', 'running');
    await house.control('POST', `/machines/${tenant.status?.machine?.id ?? ''}/destroy`);
    await eventually(async () => (await house.writes(tenant))['Machines_create'] === 2, {
      what: 'another machine to be made',
    });
    const healed = await invariants(house, 'ran');
    expect(healed.status?.machine?.id).not.toBe(tenant.status?.machine?.id);
  });
});

describe('a machine', () => {
  it('boots with the secrets that were set a moment before, although its host sees older ones', async () => {
    await house.create('up-to-date');
    await house.phase('up-to-date', 'running');
    const app = await house.app(await invariants(house, 'up-to-date'));
    expect(app?.secrets.version).toBeGreaterThan(0);
    expect(app?.machines.map(({ secrets_version }) => secrets_version)).toEqual([app?.secrets.version]);
  });

  it('that somebody else changes between look and update keeps that change: the update is refused and made anew', async () => {
    await house.create('overtaken');
    const tenant = await house.phase('overtaken', 'running');
    const { fly } = house.parts;
    let overtaken = false;
    await house.loop.stop(5_000);
    const loop = house.newLoop({
      fly: {
        ...fly,
        machines: {
          ...fly.machines,
          async update(target, request, signal) {
            if (!overtaken) {
              overtaken = true;
              const seen = await fly.machines.get(target, signal);
              const metadata = { ...seen?.config?.metadata, team: 'blue' };
              const current_version = seen?.instance_id ?? '';
              const theirs = { config: { ...seen?.config, metadata }, current_version, skip_launch: false };
              const { instance_id: version } = await fly.machines.update(target, theirs, signal);
              await fly.machines.wait(target, { states: ['started'], version, timeoutMs: 60_000 }, signal);
            }
            return fly.machines.update(target, request, signal);
          },
        },
      },
    });
    loop.start();
    try {
      await house.edit('overtaken', { memoryMb: 1024 });
      const after = await invariants(house, 'overtaken');
      const [machine] = liveMachines(await house.app(after));
      expect(machine?.config.metadata).toMatchObject({ team: 'blue' });
      expect(machine?.id).toBe(tenant.status?.machine?.id);
    } finally {
      await loop.stop(5_000);
      await house.restartLoop();
    }
  });

  it('that is edited again before it has settled is sent no update that Fly must refuse, nor a wait', async () => {
    await house.create('hasty');
    const tenant = await house.phase('hasty', 'running');
    await house.edit('hasty', { memoryMb: 1024 });
    await eventually(async () => (await house.writes(tenant))['Machines_update'] === 1, {
      what: 'the first update to be asked for',
      intervalMs: 5,
    });
    await house.edit('hasty', { memoryMb: 2048 });
    await house.phase('hasty', 'running');
    await house.edit('hasty', { state: 'Suspended' });
    const after = await house.phase('hasty', 'suspended');
    expect(new Set(await answers(after, 'Machines_update'))).toEqual(new Set([200]));
    expect(await answers(after, 'Machines_wait')).not.toContain(400);
  });

  it.each(['machine still active, refusing to start', 'machine getting replaced, refusing to start'])(
    'that will not start at once is started when it will: %s',
    async (words) => {
      const name = `sluggish-${words.split(' ')[1] ?? ''}`;
      await house.create(name);
      await house.phase(name, 'running');
      await house.edit(name, { state: 'Suspended' });
      const tenant = await house.phase(name, 'suspended');
      const body = { error: `failed_precondition: ${words}` };
      await house.fault(tenant, { operation: 'Machines_start', kind: 'status', status: 412, body, count: 3 });
      await house.edit(name, { state: 'Running' });
      const resumed = await invariants(house, name);
      expect(liveMachines(await house.app(resumed))).toMatchObject([{ state: 'started' }]);
      expect(await answers(resumed, 'Machines_start')).toEqual([412, 412, 412, 200]);
      expect((await house.eventsOf(resumed)).map((event) => event.reason)).not.toContain('Stalled');
    },
  );

  it('whose health check fails is called so, and is neither restarted nor replaced', async () => {
    await house.create('unwell');
    const tenant = await house.reason('unwell', 'Available', 'Serving');
    const before = await house.writes(tenant);
    const checks = `/machines/${tenant.status?.machine?.id ?? ''}/checks`;
    await house.control('POST', checks, { status: 'critical' });
    const unwell = await house.reason('unwell', 'Available', 'HealthCheckFailing');
    expect(condition(unwell, 'Ready')?.status).toBe('True');
    await house.control('POST', checks, { status: null });
    await house.reason('unwell', 'Available', 'Serving');
    expect(await house.writes(tenant)).toEqual(before);
  });

  it('is made anew although a certificate of the tenant is refused for good: no verdict is shared', async () => {
    const tenant = await house.create('half-refused', { hostnames: ['refused.example.com'] });
    const status = { kind: 'status', status: 422, body: { error: 'Validation failed: Hostname' }, count: 50 };
    await house.fault(tenant, { operation: 'App_Certificates_acme_create', ...status });
    const stalled = await house.reason('half-refused', 'Stalled', 'BadRequest');
    const [first] = await eventually(
      async () => {
        const machines = liveMachines(await house.app(stalled));
        return machines[0]?.state === 'started' ? machines : undefined;
      },
      { what: 'the machine to run' },
    );
    await house.control('POST', `/machines/${first?.id ?? ''}/destroy`);
    await eventually(
      async () =>
        liveMachines(await house.app(stalled)).some(
          ({ id, state }) => id !== first?.id && state === 'started',
        ),
      { what: 'another machine to run' },
    );
    expect(condition((await house.get('half-refused'))!, 'Stalled')?.status).toBe('True');
  });
});

describe('a volume', () => {
  it('whose id is lost with the whole status, and whose machine is gone, is found by its name', async () => {
    await house.create('amnesiac');
    const before = await house.phase('amnesiac', 'running');
    await invariants(house, 'amnesiac');
    const app = `sp-${before.metadata.uid}`;
    await eventually(async () => (await house.fly.volumes.list(app, SIGNAL))?.length === 1, {
      what: 'the volume to be listed',
    });
    await house.loop.stop(5_000);
    await house.control('POST', `/machines/${before.status?.machine?.id ?? ''}/destroy`);
    const { metadata } = (await house.get('amnesiac'))!;
    await house.store.updateStatus({ metadata, status: {} });
    await house.restartLoop();
    const after = await invariants(house, 'amnesiac');
    expect(after.status?.volume?.id).toBe(before.status?.volume?.id);
    expect(await house.writes(after)).toMatchObject({ Volumes_create: 1 });
    expect(await house.writes(after)).not.toHaveProperty('Volume_delete');
  });
});
