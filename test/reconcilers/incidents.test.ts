/**
 * Bad days by name: what happened to others who drive Fly, and what would be worst to happen to us. Lists lag far
 * behind here, so that nothing holds only because everybody sees everything at once.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findCondition, type Condition, type ConditionType } from '../../src/tenant/conditions.ts';
import { imageTag } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { eventually } from '../support/eventually.ts';
import { createHarness, IMAGE, LISTS_LAG, settings, type Harness, type SimulatedWorld } from './harness.ts';
import { invariants, nothingLeft, secretsOf } from './invariants.ts';
import { liveMachines, liveVolumes } from '../invariants/holdings.ts';

let house: Harness;
beforeAll(async () => {
  house = await createHarness({ timeFactor: 10, latency: LISTS_LAG });
});
afterAll(() => house.close());

const SIGNAL = new AbortController().signal;

function condition(tenant: Tenant, type: ConditionType): Condition | undefined {
  return findCondition(tenant.status?.conditions, type);
}

/** Creates tenants while nobody looks, so that a test can prepare what the loop is to find. */
async function createUnseen(names: readonly string[], spec: Record<string, unknown> = {}): Promise<Tenant[]> {
  await house.loop.stop(5_000);
  return Promise.all(names.map((name) => house.create(name, spec)));
}

async function remove(name: string): Promise<void> {
  await house.store.delete({ namespace: 'default', name });
}

/** Deletes the tenant and looks that nothing of it is left. */
async function removed(tenant: Tenant): Promise<void> {
  const secrets = await secretsOf(house, tenant);
  await remove(tenant.metadata.name);
  await house.gone(tenant.metadata.name);
  await nothingLeft(house, tenant, secrets);
}

function world(): Promise<SimulatedWorld> {
  return house.control<SimulatedWorld>('GET', '/world');
}

describe('a machine', () => {
  it('that was made although the answer was lost is found, whether it shows before a second create or refuses it', async () => {
    const [tenant] = await createUnseen(['lost-machine']);
    await house.fault(tenant!, { operation: 'Machines_create', kind: 'applied-answer-lost' });
    await house.restartLoop();
    const found = await invariants(house, 'lost-machine');
    const creates = (await house.calls(`sp-${tenant!.metadata.uid}`)).filter(
      ({ operation }) => operation === 'Machines_create',
    );
    // Which of the two depends on how busy this computer is: Fly's time runs faster than its own here.
    expect([[null], [null, 409]]).toContainEqual(creates.map(({ status }) => status));
    expect((await house.app(found))?.machines).toHaveLength(1);
  });

  it('whose lease somebody else holds is waited for, which is no failure', async () => {
    await house.create('leased');
    const tenant = await house.phase('leased', 'running');
    const target = { app: `sp-${tenant.metadata.uid}`, machineId: tenant.status?.machine?.id ?? '' };
    const { nonce } = await house.fly.machines.lease(
      target,
      { ttlMs: 600_000, description: 'by hand' },
      SIGNAL,
    );
    await house.edit('leased', { memoryMb: 1024 });
    const waiting = await house.reason('leased', 'MachineReady', 'LeaseHeld');
    expect(waiting.status?.failure).toBeUndefined();
    expect(condition(waiting, 'Stalled')?.status).toBe('False');
    await house.fly.machines.releaseLease({ ...target, nonce }, SIGNAL);
    await invariants(house, 'leased');
  });

  it('on a host that does not answer is left alone until the host is back, and the tenant says so', async () => {
    await house.create('cut-off');
    const tenant = await house.phase('cut-off', 'running');
    const host = liveMachines(await house.app(tenant))[0]?.host ?? '';
    await house.control('POST', `/hosts/${host}`, { status: 'unreachable' });
    await house.edit('cut-off', { memoryMb: 1024 });
    const waiting = await house.reason('cut-off', 'MachineReady', 'HostUnreachable');
    expect(condition(waiting, 'Ready')).toMatchObject({ status: 'False', reason: 'HostUnreachable' });
    expect(condition(waiting, 'Available')).toMatchObject({ status: 'False', reason: 'HostUnreachable' });
    expect(await house.writes(waiting)).not.toHaveProperty('Machines_update');
    await house.control('POST', `/hosts/${host}`, { status: 'ok' });
    await invariants(house, 'cut-off');
    expect(await house.writes(waiting)).toMatchObject({ Machines_update: 1, Machines_create: 1 });
  });

  it('that Fly moves to another host keeps its data: the loop follows to the new volume', async () => {
    await house.create('moved');
    const before = await house.phase('moved', 'running');
    await house.control('POST', `/machines/${before.status?.machine?.id ?? ''}/migrate`);
    await house.waitFor(
      'moved',
      'have another volume',
      ({ status }) => status?.volume !== undefined && status.volume.id !== before.status?.volume?.id,
    );
    const after = await invariants(house, 'moved');
    expect(after.status?.machine?.id).toBe(before.status?.machine?.id);
    const writes = await house.writes(after);
    expect(writes).not.toHaveProperty('Machines_delete');
    expect(writes).toMatchObject({ Machines_create: 1, Volumes_create: 1 });
  });

  it('that Fly moves while it is idle stays asleep', async () => {
    await house.create('moved-asleep');
    const before = await house.phase('moved-asleep', 'running');
    const app = `sp-${before.metadata.uid}`;
    const machine = `/machines/${before.status?.machine?.id ?? ''}`;
    await house.control('POST', '/proxy', { app, action: 'stop' });
    await eventually(async () => liveMachines(await house.app(before))[0]?.state === 'suspended', {
      what: 'the machine to be asleep',
    });
    await house.control('POST', `${machine}/migrate`);
    await house.waitFor(
      'moved-asleep',
      'have another volume',
      ({ status }) => status?.volume !== undefined && status.volume.id !== before.status?.volume?.id,
    );
    const after = await invariants(house, 'moved-asleep');
    expect(after.status?.machine?.state).toBe('stopped');
    expect(await house.writes(after)).not.toHaveProperty('Machines_start');
  });

  it('whose image ends by itself again and again is not available, and says how it ended', async () => {
    await house.create('crashing');
    const tenant = await house.phase('crashing', 'running');
    const machine = `/machines/${tenant.status?.machine?.id ?? ''}/crash`;
    await eventually(
      async () => {
        const state = liveMachines(await house.app(tenant))[0]?.state;
        if (state === 'started') await house.control('POST', machine, { exit_code: 3 });
        return state === 'stopped';
      },
      { what: 'Fly to give up restarting the machine' },
    );
    const crashed = await house.reason('crashing', 'Available', 'Crashed');
    expect(condition(crashed, 'Available')?.status).toBe('False');
    expect(condition(crashed, 'Available')?.message).toContain('exit code 3');
    expect(await house.writes(crashed)).not.toHaveProperty('Machines_start');
  });
});

describe('a volume', () => {
  it('that Fly shows but cannot mount is a failure with back-off, and stalls nobody', async () => {
    const [tenant] = await createUnseen(['half-dead']);
    const body = { error: 'invalid_argument: volume not found' };
    await house.fault(tenant!, { operation: 'Machines_create', kind: 'status', status: 400, body, count: 3 });
    await house.restartLoop();
    const healed = await invariants(house, 'half-dead');
    const refusals = (await house.eventsOf(healed)).filter((event) => event.reason === 'NotFound');
    expect(refusals.map(({ count }) => count)).toEqual([3]);
    expect(await house.writes(healed)).toMatchObject({ Machines_create: 4, Volumes_create: 1 });
  });

  it('that is lost before the first deploy is never replaced in silence', async () => {
    await house.create('robbed', { image: undefined });
    const tenant = await house.phase('robbed', 'awaiting_deploy');
    const volume = tenant.status?.volume?.id ?? '';
    await house.control('POST', `/volumes/${volume}/destroy`);
    await house.edit('robbed', { image: IMAGE });
    const lost = await house.reason('robbed', 'VolumeReady', 'VolumeLost');
    expect(lost.status?.phase).toBe('failed');
    expect(condition(lost, 'Stalled')?.message).toContain(volume);
    expect(await house.writes(lost)).toMatchObject({ Volumes_create: 1 });
    await house.edit('robbed', { acknowledgedVolumeLoss: volume });
    const healed = await invariants(house, 'robbed');
    expect(healed.status?.volume?.id).not.toBe(volume);
    expect(await house.writes(healed)).toMatchObject({ Volumes_create: 2 });
  });

  it('that is lost under a running machine stalls the tenant, and is replaced only when that is acknowledged', async () => {
    await house.create('bereft');
    const tenant = await house.phase('bereft', 'running');
    const volume = tenant.status?.volume?.id ?? '';
    await house.control('POST', `/volumes/${volume}/destroy`);
    const lost = await house.reason('bereft', 'VolumeReady', 'VolumeLost');
    expect(condition(lost, 'Stalled')?.status).toBe('True');
    expect(liveMachines(await house.app(lost)).map(({ id }) => id)).toEqual([lost.status?.machine?.id]);
    // An acknowledgement of another loss is none of this one.
    await house.edit('bereft', { acknowledgedVolumeLoss: 'vol_another' });
    const still = await house.reason('bereft', 'VolumeReady', 'VolumeLost');
    expect(await house.writes(still)).toMatchObject({ Volumes_create: 1 });
    await house.edit('bereft', { acknowledgedVolumeLoss: volume });
    const healed = await invariants(house, 'bereft');
    expect(healed.status?.volume?.id).not.toBe(volume);
  });

  it('that is made after the client has given up waiting is found, not made a second time', async () => {
    const slow = await createHarness({
      timeFactor: 10,
      latency: { ranges: { volumeCreate: [28_000, 28_000] } },
      timeouts: { writeMs: 25_000 },
    });
    try {
      await slow.create('late-volume');
      await slow.phase('late-volume', 'running');
      const tenant = await invariants(slow, 'late-volume');
      expect(await slow.writes(tenant)).toMatchObject({ Volumes_create: 1 });
    } finally {
      await slow.close();
    }
  });
});

describe('Fly', () => {
  it('without room in a region is asked again with back-off, and nobody need do anything', async () => {
    await house.control('POST', '/regions/lhr', { capacity: 'none' });
    await house.create('crowded', { region: 'lhr' });
    const waiting = await house.reason('crowded', 'VolumeReady', 'RegionWithoutCapacity');
    expect(waiting.status?.failure).toMatchObject({ step: 'createVolume', terminal: false });
    expect(waiting.status?.failure?.nextAttemptAt).toBeDefined();
    expect(condition(waiting, 'Stalled')?.status).toBe('False');
    await house.control('POST', '/regions/lhr', { capacity: 'ok' });
    await invariants(house, 'crowded');
  });

  it('that refuses for the quota of the organisation does not stall tenants: they go on once it is raised', async () => {
    await house.create('over-quota', { region: 'fra', image: undefined });
    await house.phase('over-quota', 'awaiting_deploy');
    await house.control('POST', '/regions/fra', { capacity: 'quota' });
    await house.edit('over-quota', { image: IMAGE });
    const waiting = await house.reason('over-quota', 'MachineReady', 'QuotaExceeded');
    expect(waiting.status?.failure).toMatchObject({ step: 'createMachine', terminal: false });
    expect(condition(waiting, 'Stalled')?.status).toBe('False');
    await house.control('POST', '/regions/fra', { capacity: 'ok' });
    await invariants(house, 'over-quota');
  });

  it('that is down while a tenant is deleted delays the deletion, no more', async () => {
    await house.create('deleted-in-the-dark');
    await house.phase('deleted-in-the-dark', 'running');
    const tenant = await invariants(house, 'deleted-in-the-dark');
    const secrets = await secretsOf(house, tenant);
    await house.control('POST', '/outage', { kind: 'status', status: 503 });
    await remove('deleted-in-the-dark');
    const deleting = await house.waitFor(
      'deleted-in-the-dark',
      'say why it is not gone',
      ({ status }) => status?.phase === 'deleting' && status.failure !== undefined,
    );
    expect(deleting.status?.failure?.terminal).toBe(false);
    await house.control('POST', '/outage', { kind: 'off' });
    await house.gone('deleted-in-the-dark');
    await nothingLeft(house, tenant, secrets);
  });
});

describe('a person', () => {
  it('who edits twice in the middle of a pass gets the last spec, by one machine that was never updated', async () => {
    const [tenant] = await createUnseen(['restless']);
    await house.fault(tenant!, { operation: 'Volumes_create', kind: 'late', afterMs: 5_000 });
    await house.restartLoop();
    await eventually(async () => (await house.writes(tenant))['Volumes_create'] === 1, {
      what: 'the volume to be asked for',
    });
    for (const memoryMb of [1024, 2048])
      await eventually(() => house.edit('restless', { memoryMb }).catch(() => undefined), {
        what: 'the edit to be accepted',
      });
    const after = await invariants(house, 'restless');
    expect(after.spec.memoryMb).toBe(2048);
    expect(await house.writes(after)).toMatchObject({ Volumes_create: 1, Machines_create: 1 });
    expect(await house.writes(after)).not.toHaveProperty('Machines_update');
  });

  it('who edits between the note of a step and the step waits for nothing that was never asked for', async () => {
    const [tenant] = await createUnseen(['interrupted'], { image: undefined });
    const { store } = house.parts;
    const written: (string | undefined)[] = [];
    const loop = house.newLoop({
      store: {
        ...store,
        async updateStatus(wanted, events) {
          written.push(findCondition(wanted.status.conditions, 'AppReady')?.reason);
          if (written.length === 1) await house.edit('interrupted', { memoryMb: 1024 });
          return store.updateStatus(wanted, events);
        },
      },
    });
    loop.start();
    try {
      await invariants(house, 'interrupted');
      expect(written).toContain('CreatingApp');
      expect(written).not.toContain('AppNotVisibleYet');
      expect(await house.writes(tenant)).toMatchObject({ Apps_create: 1 });
    } finally {
      await loop.stop(5_000);
      await house.restartLoop();
    }
  });

  it.each(['AppCreated', 'AddressAllocated', 'VolumeCreated', 'SecretsSet', 'MachineCreated'])(
    'who deletes a tenant just after %s leaves nothing behind',
    async (moment) => {
      const name = `regretted-${moment.toLowerCase()}`;
      const tenant = await house.create(name);
      await eventually(async () => (await house.eventsOf(tenant)).some((event) => event.reason === moment), {
        what: moment,
        intervalMs: 5,
      });
      await removed(tenant);
    },
  );

  it('who deletes a tenant while the answer to making its app is lost leaves nothing behind', async () => {
    const [tenant] = await createUnseen(['regretted-at-once']);
    await house.fault(tenant!, { operation: 'Apps_create', kind: 'applied-answer-lost' });
    await house.restartLoop();
    await eventually(async () => (await house.writes(tenant))['Apps_create'] === 1, {
      what: 'the app to be asked for',
      intervalMs: 5,
    });
    await removed(tenant!);
  });

  it('who lets go of a tenant by the policy Orphan causes not one call to Fly', async () => {
    await house.create('orphan', { deletionPolicy: 'Orphan' });
    await house.phase('orphan', 'running');
    const tenant = await invariants(house, 'orphan');
    const app = `sp-${tenant.metadata.uid}`;
    const before = (await house.calls(app)).length;
    await remove('orphan');
    await house.gone('orphan');
    expect((await house.calls(app)).length).toBe(before);
    expect(liveMachines(await house.app(tenant))).toHaveLength(1);
  });

  it('who has a tenant adopt an app made by hand keeps its machine, its volume and all that is on it', async () => {
    const app = 'made-by-hand';
    await house.control('POST', '/apps', { name: app });
    const volume = await house.fly.volumes.create(
      app,
      { name: 'precious', region: 'iad', size_gb: 2 },
      SIGNAL,
    );
    const machine = await house.fly.machines.create(
      app,
      {
        name: 'by-hand',
        region: 'iad',
        config: { image: IMAGE, mounts: [{ volume: volume.id, path: '/data' }] },
      },
      SIGNAL,
    );
    await eventually(
      async () =>
        ((await house.fly.machines.list(app, SIGNAL))?.length ?? 0) +
          ((await house.fly.volumes.list(app, SIGNAL))?.length ?? 0) ===
        2,
      { what: 'what was made by hand to be listed' },
    );
    await house.create('adopting', { adopt: { app } });
    const tenant = await invariants(house, 'adopting');
    expect(tenant.status?.machine?.id).toBe(machine.id);
    expect(tenant.status?.volume?.id).toBe(volume.id);
    expect(liveVolumes(await house.app(tenant))).toHaveLength(1);
    await removed(tenant);
  });
});

describe('what is not ours', () => {
  it('stops a deletion: a machine of somebody else in the app is named, and nothing is destroyed', async () => {
    await house.create('visited');
    const tenant = await house.phase('visited', 'running');
    const app = `sp-${tenant.metadata.uid}`;
    const visitor = await house.fly.machines.create(
      app,
      { name: 'visitor', region: 'iad', config: { image: IMAGE } },
      SIGNAL,
    );
    await eventually(
      async () => (await house.fly.machines.list(app, SIGNAL))?.some(({ id }) => id === visitor.id),
      { what: 'the visitor to be listed' },
    );
    await remove('visited');
    const blocked = await house.reason('visited', 'Stalled', 'ForeignMachine');
    expect(condition(blocked, 'Stalled')?.message).toContain(visitor.id);
    expect(liveMachines(await house.app(blocked))).toHaveLength(2);
    await house.control('POST', `/machines/${visitor.id}/destroy`);
    await house.gone('visited');
    await nothingLeft(house, tenant, []);
  });

  it.each([
    ['which we may not see', { foreign: true, org: 'others' }],
    ['which our token sees as well', { org: 'others' }],
  ])('survives: an app of another organisation, %s, by the name of a tenant', async (_, kind) => {
    const name = `namesake-${Object.keys(kind).length}`;
    const [tenant] = await createUnseen([name]);
    const app = `sp-${tenant!.metadata.uid}`;
    await house.control('POST', '/apps', { name: app, ...kind });
    await house.restartLoop();
    await house.reason(name, 'Stalled', 'AppNameTaken');
    await remove(name);
    await house.gone(name);
    expect((await world()).apps[app]).toMatchObject({ org: 'others', deleting: false });
    expect(Object.keys(await house.writes(tenant))).toEqual([]);
  });

  it('ends a pass: when another writer has written the status, no further step is begun', async () => {
    const [tenant] = await createUnseen(['contested']);
    const { store, fly } = house.parts;
    const begunOn: (string | undefined)[] = [];
    const loop = house.newLoop({
      fly: {
        ...fly,
        apps: {
          ...fly.apps,
          async create(request, signal) {
            const made = await fly.apps.create(request, signal);
            const fresh = (await store.get(tenant!.metadata))!;
            await store.updateStatus({
              metadata: fresh.metadata,
              status: { ...fresh.status, url: 'https://usurper.test' },
            });
            return made;
          },
        },
        volumes: {
          ...fly.volumes,
          async create(app, request, signal) {
            const known = (await store.get(tenant!.metadata))!;
            begunOn.push(known.status?.url);
            return fly.volumes.create(app, request, signal);
          },
        },
      },
    });
    loop.start();
    try {
      const after = await invariants(house, 'contested');
      // The pass that met the usurper has ended; the one after it has read and replaced what the usurper wrote.
      expect(begunOn).toEqual([after.status?.url]);
      expect(await house.writes(tenant)).toMatchObject({ Apps_create: 1, Volumes_create: 1 });
    } finally {
      await loop.stop(5_000);
      await house.restartLoop();
    }
  });

  it('is kept in the registry: an image that another tenant runs, until nobody does', async () => {
    const repository = settings.sharedRegistryApp;
    const [author, reader] = await createUnseen(['author', 'reader'], { image: undefined });
    const tag = imageTag(author!.metadata.uid);
    const { digest } = await house.control<{ digest: string }>('POST', '/registry', { repository, tag });
    await house.control('POST', '/registry', { repository, tag: imageTag(reader!.metadata.uid) });
    const image = `registry.fly.io/${repository}:${tag}@${digest}`;
    await house.restartLoop();
    for (const name of ['author', 'reader']) {
      await house.phase(name, 'awaiting_deploy');
      await house.edit(name, { image });
      await house.phase(name, 'running');
    }
    await remove('author');
    await house.gone('author');
    expect((await world()).registry?.tags[`${repository}:${tag}`]).toBe(digest);
    await invariants(house, 'reader');
    await removed(reader!);
  });

  it('does not keep an image in the registry: two tenants that go at the same time', async () => {
    const repository = settings.sharedRegistryApp;
    const tenants = await createUnseen(['twin-one', 'twin-two'], { image: undefined });
    for (const { metadata } of tenants)
      await house.control('POST', '/registry', {
        repository,
        tag: imageTag(metadata.uid),
        content: 'the same',
      });
    await house.restartLoop();
    for (const { metadata } of tenants) {
      await house.edit(metadata.name, {
        image: `registry.fly.io/${repository}:${imageTag(metadata.uid)}`,
      });
      await house.phase(metadata.name, 'running');
    }
    await Promise.all(tenants.map(({ metadata }) => remove(metadata.name)));
    for (const tenant of tenants) {
      await house.gone(tenant.metadata.name);
      await nothingLeft(house, tenant, []);
    }
  });
});

describe('many tenants', () => {
  it('are not held up by one among them that cannot go on', async () => {
    const names = Array.from({ length: 50 }, (_, index) => `many-${index}`);
    const tenants = await createUnseen(names);
    const unlucky = tenants[17]!;
    await house.control('POST', '/apps', { name: `sp-${unlucky.metadata.uid}`, foreign: true });
    await house.restartLoop();
    await house.reason('many-17', 'Stalled', 'AppNameTaken');
    for (const name of names.filter((other) => other !== 'many-17')) await house.phase(name, 'running');
    for (const name of ['many-0', 'many-18', 'many-49']) await invariants(house, name);
  }, 60_000);
});
