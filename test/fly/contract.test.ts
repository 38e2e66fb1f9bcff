/**
 * Does the client get on with a whole Fly? Every operation against the simulator over HTTP, in the orders in which
 * Landlord uses them, with Fly's rate limits switched on: the client must never run into them.
 */
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createFly } from '../../src/fly/client.ts';
import type { Fly, MachineTarget } from '../../src/fly/fly.ts';
import type { WireMachine, WireMachineCreate } from '../../src/fly/wire.ts';
import { createSimulatorServer, type SimulatorServer } from '../../src/simulator/server.ts';
import { failureOf, verdictOf } from './support/client.ts';

const ORG = 'systemprompt';
const signal = new AbortController().signal;

let simulator: SimulatorServer;
let fly: Fly;
let digest: string;
let apps = 0;

beforeAll(async () => {
  simulator = await createSimulatorServer({
    clock: systemClock,
    seed: 7,
    latency: 0,
    autostopEveryMs: 0,
    apps: ['images'],
  });
  fly = createFly({
    apiUrl: simulator.url,
    registryUrl: simulator.url,
    logsUrl: simulator.url,
    prometheusUrl: `${simulator.url}/prometheus`,
    token: 'FlyV1 fm2_contract',
    orgSlug: ORG,
    clock: systemClock,
  });
  const pushed = await control('/registry', { repository: 'images', tag: 'v1', content: 'one' });
  digest = String(Reflect.get(pushed, 'digest'));
});

afterAll(async () => {
  await fly.close();
  await simulator.close();
});

afterEach(() => {
  const refused = simulator.world.calls.list({}).filter(({ status }) => status === 429);
  expect(refused, 'calls that ran into a rate limit').toEqual([]);
});

/** Interferes behind the client's back. */
async function control(path: string, body: object): Promise<object> {
  const answer = await request(`${simulator.url}/_simulator${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await answer.body.text();
  expect(answer.statusCode, text).toBeLessThan(300);
  return text === '' ? {} : (JSON.parse(text) as object);
}

async function newApp(): Promise<string> {
  const name = `t-${(apps += 1)}`;
  await fly.apps.create({ name }, signal);
  return name;
}

function machineRequest(name: string): WireMachineCreate {
  return {
    name,
    region: 'iad',
    config: {
      image: `registry.fly.io/images@${digest}`,
      guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 256 },
      env: { A: '1' },
      metadata: { landlord_uid: name },
      services: [
        {
          protocol: 'tcp',
          internal_port: 8080,
          autostart: true,
          autostop: 'suspend',
          ports: [{ port: 443, handlers: ['tls', 'http'] }],
        },
      ],
    },
  };
}

async function newMachine(app: string): Promise<{ machine: WireMachine; target: MachineTarget }> {
  const machine = await fly.machines.create(app, machineRequest(`${app}-web`), signal);
  const target = { app, machineId: machine.id };
  await reach(target, 'started', machine.instance_id);
  return { machine, target };
}

async function reach(target: MachineTarget, state: string, version?: string): Promise<void> {
  const options = { states: [state], timeoutMs: 20_000, ...(version !== undefined && { version }) };
  expect(await fly.machines.wait(target, options, signal)).toBe(true);
}

describe('apps', () => {
  test('come and go, and are absent before and after', async () => {
    expect(await fly.apps.get('t-none', signal)).toBeUndefined();
    const app = await newApp();
    expect(await fly.apps.get(app, signal)).toMatchObject({ name: app, organization: { slug: ORG } });
    expect((await fly.apps.list(signal)).map(({ name }) => name)).toContain(app);
    await fly.apps.delete(app, signal);
    await expect.poll(() => fly.apps.get(app, signal)).toBeUndefined();
    await fly.apps.delete(app, signal);
  });

  test('whose name is taken are ours or somebody else’s, as the next read says', async () => {
    const app = await newApp();
    const again = await failureOf(fly.apps.create({ name: app }, signal));
    expect(verdictOf(again)).toEqual({ kind: 'transient', reason: 'NameTaken', ambiguous: false });
    await control('/apps', { name: 'foreign', org: 'others', foreign: true });
    const foreign = await failureOf(fly.apps.get('foreign', signal));
    expect(verdictOf(foreign)).toEqual({ kind: 'terminal', reason: 'NameTaken', ambiguous: false });
  });

  test('whose name Fly does not allow are refused for good', async () => {
    const error = await failureOf(fly.apps.create({ name: 'Not_Allowed' }, signal));
    expect(verdictOf(error)).toEqual({ kind: 'terminal', reason: 'BadRequest', ambiguous: false });
  });

  test('that are not there are not known to any list', async () => {
    expect(await fly.machines.list('t-none', signal)).toBeUndefined();
    expect(await fly.volumes.list('t-none', signal)).toBeUndefined();
    expect(await fly.network.listAddresses('t-none', signal)).toBeUndefined();
    expect(await fly.certificates.list('t-none', signal)).toBeUndefined();
    expect(await fly.secrets.list('t-none', undefined, signal)).toBeUndefined();
    expect(await fly.telemetry.logs('t-none', {}, signal)).toEqual({ lines: [] });
  });
});

describe('what an app has beside machines', () => {
  test('a volume is created, grown, deleted, and then not there any more', async () => {
    const app = await newApp();
    const wanted = { name: 'data', region: 'iad', size_gb: 1, encrypted: true };
    const volume = await fly.volumes.create(app, wanted, signal);
    expect(volume).toMatchObject({ name: 'data', region: 'iad', size_gb: 1 });
    await expect.poll(async () => (await fly.volumes.get(app, volume.id, signal))?.state).toBe('created');
    const extended = await fly.volumes.extend(app, volume.id, 3, signal);
    expect(extended.volume).toMatchObject({ id: volume.id, size_gb: 3 });
    expect((await fly.volumes.list(app, signal))?.map(({ id }) => id)).toEqual([volume.id]);
    await fly.volumes.delete(app, volume.id, signal);
    expect(await fly.volumes.get(app, volume.id, signal)).toBeUndefined();
    expect(await fly.volumes.list(app, signal)).toEqual([]);
    await expect(fly.volumes.delete(app, 'vol_none', signal)).rejects.toMatchObject({ reason: 'NotFound' });
  });

  test('addresses are allocated and released', async () => {
    const app = await newApp();
    expect((await fly.network.allocateAddress(app, 'shared_v4', signal)).shared).toBe(true);
    const { ip } = await fly.network.allocateAddress(app, 'v6', signal);
    const listed = await fly.network.listAddresses(app, signal);
    expect(listed).toHaveLength(2);
    expect(listed?.map((address) => address.ip)).toContain(ip);
    await fly.network.releaseAddress(app, ip, signal);
    await expect(fly.network.releaseAddress(app, ip, signal)).rejects.toMatchObject({ reason: 'NotFound' });
    expect(await fly.network.listAddresses(app, signal)).toHaveLength(1);
  });

  test('certificates are requested once, read, listed and deleted', async () => {
    const app = await newApp();
    const hostname = `${app}.example.com`;
    expect(await fly.certificates.get(app, hostname, signal)).toBeUndefined();
    expect((await fly.certificates.create(app, hostname, signal)).hostname).toBe(hostname);
    const again = await failureOf(fly.certificates.create(app, hostname, signal));
    expect(verdictOf(again)).toEqual({ kind: 'waiting', reason: 'AlreadyExists', ambiguous: false });
    expect((await fly.certificates.list(app, signal))?.map((one) => one.hostname)).toEqual([hostname]);
    expect(await fly.certificates.get(app, hostname, signal)).toMatchObject({
      hostname,
      acme_requested: true,
    });
    await fly.certificates.delete(app, hostname, signal);
    await expect(fly.certificates.delete(app, hostname, signal)).rejects.toMatchObject({
      reason: 'NotFound',
    });
    expect(await fly.certificates.list(app, signal)).toEqual([]);
  });

  test('secrets are set and unset in one call that makes one version, and never come back', async () => {
    const app = await newApp();
    const first = await fly.secrets.set(app, { A: 'alpha-value', B: 'beta-value' }, signal);
    const second = await fly.secrets.set(app, { A: null, C: 'gamma-value' }, signal);
    expect(second.version).toBeGreaterThan(first.version);
    const listed = await fly.secrets.list(app, second.version, signal);
    expect(listed?.map(({ name }) => name).sort()).toEqual(['B', 'C']);
    expect(JSON.stringify([first, second, listed])).not.toMatch(/(?:alpha|beta|gamma)-value/);
  });
});

describe('machines', () => {
  test('are created, known by their digest, and found again by a second create', async () => {
    const app = await newApp();
    const { machine, target } = await newMachine(app);
    const read = await fly.machines.get(target, signal);
    expect(read).toMatchObject({
      id: machine.id,
      name: `${app}-web`,
      state: 'started',
      region: 'iad',
      image_ref: { registry: 'registry.fly.io', repository: 'images', digest },
      config: { env: { A: '1' }, guest: { memory_mb: 256 } },
      host_status: 'ok',
    });
    expect((await fly.machines.list(app, signal))?.map(({ id }) => id)).toEqual([machine.id]);
    const again = await failureOf(fly.machines.create(app, machineRequest(`${app}-web`), signal));
    expect(again.details).toMatchObject({ kind: 'waiting', reason: 'AlreadyExists', existingId: machine.id });
    expect(await fly.machines.get({ app, machineId: '00000000000000' }, signal)).toBeUndefined();
  });

  test('of an image that is not there are not created', async () => {
    const app = await newApp();
    const wanted = machineRequest('web');
    const missing = `registry.fly.io/images@sha256:${'0'.repeat(64)}`;
    const error = await failureOf(
      fly.machines.create(app, { ...wanted, config: { ...wanted.config, image: missing } }, signal),
    );
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'ImageNotFound', ambiguous: false });
  });

  test('are updated against the version that was seen, and against no other', async () => {
    const { machine, target } = await newMachine(await newApp());
    const config = { ...machineRequest('web').config, env: { A: '2' } };
    const updated = await fly.machines.update(
      target,
      { config, current_version: machine.instance_id },
      signal,
    );
    expect(updated.instance_id).not.toBe(machine.instance_id);
    await reach(target, 'started', updated.instance_id);
    const stale = await failureOf(
      fly.machines.update(target, { config, current_version: machine.instance_id }, signal),
    );
    expect(verdictOf(stale)).toEqual({ kind: 'waiting', reason: 'MachineVersionChanged', ambiguous: false });
    expect((await fly.machines.get(target, signal))?.config?.env).toEqual({ A: '2' });
    const options = { states: ['started'], version: machine.instance_id, timeoutMs: 1_000 };
    expect(await fly.machines.wait(target, options, signal)).toBe(false);
  });

  test('are stopped, started, suspended, resumed, restarted and destroyed', async () => {
    const { machine, target } = await newMachine(await newApp());
    const version = machine.instance_id;
    await fly.machines.stop(target, signal);
    await reach(target, 'stopped', version);
    await expect
      .poll(() => fly.machines.start(target, signal).then(() => 'accepted', String))
      .toBe('accepted');
    await reach(target, 'started', version);
    await fly.machines.suspend(target, signal);
    await reach(target, 'suspended', version);
    await expect
      .poll(() => fly.machines.start(target, signal).then(() => 'accepted', String))
      .toBe('accepted');
    await reach(target, 'started', version);
    await fly.machines.restart(target, signal);
    await reach(target, 'started', version);
    expect((await fly.machines.events(target, { limit: 20 }, signal)).map(({ type }) => type)).toContain(
      'launch',
    );
    await fly.machines.destroy(target, signal);
    await reach(target, 'destroyed');
    await expect(fly.machines.destroy(target, signal)).rejects.toMatchObject({ reason: 'NotFound' });
    expect(await fly.machines.list(target.app, signal)).toEqual([]);
  });

  test('that do not get there are not waited for longer than asked', async () => {
    const { machine, target } = await newMachine(await newApp());
    const options = { states: ['suspended'], version: machine.instance_id, timeoutMs: 1_000 };
    expect(await fly.machines.wait(target, options, signal)).toBe(false);
  });

  test('under a lease obey only who holds it', async () => {
    const { machine, target } = await newMachine(await newApp());
    expect(await fly.machines.getLease(target, signal)).toBeUndefined();
    const lease = await fly.machines.lease(target, { ttlMs: 30_000, description: 'reconcile' }, signal);
    expect(lease).toMatchObject({ description: 'reconcile', version: machine.instance_id });
    expect(await fly.machines.getLease(target, signal)).toMatchObject({ expires_at: lease.expires_at });
    const refused = await failureOf(fly.machines.stop(target, signal));
    expect(verdictOf(refused)).toEqual({ kind: 'waiting', reason: 'LeaseHeld', ambiguous: false });
    const held = { ...target, nonce: lease.nonce };
    const longer = await fly.machines.lease(held, { ttlMs: 60_000, description: 'reconcile' }, signal);
    expect(longer.nonce).toBe(lease.nonce);
    await fly.machines.stop(held, signal);
    await fly.machines.releaseLease(held, signal);
    await fly.machines.releaseLease(held, signal);
    expect(await fly.machines.getLease(target, signal)).toBeUndefined();
  });

  test('have metadata that are merged without a new version, and only for the version that was seen', async () => {
    const { machine, target } = await newMachine(await newApp());
    const seen = { machineVersion: machine.instance_id };
    await fly.machines.setMetadata(target, { metadata: { a: '1', b: '2' }, ...seen }, signal);
    await fly.machines.setMetadata(target, { metadata: { b: '' }, ...seen }, signal);
    const metadata = await fly.machines.getMetadata(target, signal);
    expect(metadata).toMatchObject({ a: '1', landlord_uid: machine.name });
    expect(metadata).not.toHaveProperty('b');
    expect((await fly.machines.get(target, signal))?.instance_id).toBe(machine.instance_id);
    const other = { metadata: { a: '3' }, machineVersion: `01${'0'.repeat(24)}` };
    const stale = await failureOf(fly.machines.setMetadata(target, other, signal));
    expect(verdictOf(stale)).toEqual({ kind: 'waiting', reason: 'MachineVersionChanged', ambiguous: false });
  });

  test('keep their volume from being deleted, and say so', async () => {
    const app = await newApp();
    const volume = await fly.volumes.create(app, { name: 'data', region: 'iad', size_gb: 1 }, signal);
    const wanted = machineRequest(`${app}-web`);
    const config = { ...wanted.config, mounts: [{ volume: volume.id, path: '/data' }] };
    const machine = await fly.machines.create(app, { ...wanted, config }, signal);
    await expect
      .poll(async () => (await fly.volumes.get(app, volume.id, signal))?.attached_machine_id)
      .toBe(machine.id);
    const bound = await failureOf(fly.volumes.delete(app, volume.id, signal));
    expect(verdictOf(bound)).toEqual({ kind: 'waiting', reason: 'VolumeBound', ambiguous: false });
  });

  test('whose answer was lost may be there, and are', async () => {
    const app = await newApp();
    await control('/faults', { operation: 'Machines_create', app, kind: 'applied-answer-lost' });
    const error = await failureOf(fly.machines.create(app, machineRequest(`${app}-web`), signal));
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'FlyUnreachable', ambiguous: true });
    await expect.poll(async () => (await fly.machines.list(app, signal))?.length, { interval: 300 }).toBe(1);
  });
});

describe('the organisation', () => {
  test('shows its machines and volumes page by page to the end, and those that changed since', async () => {
    const app = await newApp();
    const { machine } = await newMachine(app);
    const volume = await fly.volumes.create(app, { name: 'data', region: 'iad', size_gb: 1 }, signal);
    const machines: string[] = [];
    for (let cursor: string | undefined, page = 0; page < 50; page += 1) {
      const next = await fly.organisation.machines(cursor === undefined ? {} : { cursor }, signal);
      machines.push(...next.items.filter(({ app_name: name }) => name === app).map(({ id }) => id));
      cursor = next.nextCursor;
      if (cursor === undefined) break;
    }
    expect(machines).toEqual([machine.id]);
    const volumes = await fly.organisation.volumes({ updatedAfter: '2020-01-01T00:00:00Z' }, signal);
    expect(volumes.items.filter(({ app_name: name }) => name === app)).toMatchObject([{ id: volume.id }]);
    expect(volumes.errorRegions).toEqual([]);
    const future = await fly.organisation.machines({ updatedAfter: '2100-01-01T00:00:00Z' }, signal);
    expect(future.items).toEqual([]);
  });

  test('knows the regions of Fly', async () => {
    expect(await fly.organisation.regions(signal)).toContainEqual(
      expect.objectContaining({ code: 'iad', name: expect.stringContaining('Ashburn') as string }),
    );
  });
});

describe('the registry', () => {
  test('resolves tags and digests, and forgets what is deleted', async () => {
    const image = { registry: 'registry.fly.io', repository: 'images' };
    const pushed = await control('/registry', { repository: 'images', tag: 'v2', content: 'two' });
    const second = String(Reflect.get(pushed, 'digest'));
    expect(await fly.registry.resolve({ ...image, reference: 'v1' }, signal)).toBe(digest);
    expect(await fly.registry.resolve({ ...image, reference: 'v2' }, signal)).toBe(second);
    expect(await fly.registry.resolve({ ...image, reference: second }, signal)).toBe(second);
    expect(await fly.registry.resolve({ ...image, reference: 'none' }, signal)).toBeUndefined();
    await fly.registry.deleteManifest({ repository: 'images', digest: second }, signal);
    await fly.registry.deleteManifest({ repository: 'images', digest: second }, signal);
    expect(await fly.registry.resolve({ ...image, reference: 'v2' }, signal)).toBeUndefined();
  });
});

describe('telemetry', () => {
  test('brings what an app said, once, and goes on from there', async () => {
    const app = await newApp();
    const { machine } = await newMachine(app);
    await control('/logs', { app, machine: machine.id, message: 'first' });
    const first = await fly.telemetry.logs(app, { instance: machine.id }, signal);
    expect(first.lines).toContainEqual(
      expect.objectContaining({ message: 'first', level: 'info', instance: machine.id, region: 'iad' }),
    );
    await control('/logs', { app, machine: machine.id, message: 'second' });
    const seen = new Set(first.lines.map(({ id }) => id));
    const token = first.nextToken === undefined ? {} : { nextToken: first.nextToken };
    const next = await fly.telemetry.logs(app, token, signal);
    expect(next.lines.filter(({ id }) => !seen.has(id)).map(({ message }) => message)).toEqual(['second']);
  });

  test('measures what a machine uses, now and over time', async () => {
    const app = await newApp();
    const { machine } = await newMachine(app);
    const promql = `fly_instance_memory_mem_total{app="${app}"}`;
    const instant = await fly.telemetry.query(promql, signal);
    expect(instant).toMatchObject([{ metric: { app, instance: machine.id } }]);
    expect(Number(instant[0]?.values[0]?.[1])).toBeGreaterThan(0);
    const toMs = systemClock.now();
    const range = await fly.telemetry.queryRange(
      { promql, fromMs: toMs - 60_000, toMs, stepMs: 15_000 },
      signal,
    );
    expect(range).toMatchObject([{ metric: { app, instance: machine.id } }]);
  });
});
