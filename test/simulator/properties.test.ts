import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AppRecord, MachineRecord, WorldState } from '../../src/simulator/state.ts';
import { createVirtualFly, sleepyService, type VirtualFly } from './support/virtual-fly.ts';

type What = (typeof deeds)[number];

/** One thing that somebody does; numbers choose among what there is. */
type Deed = readonly [what: What, which: number];

const deeds = [
  'createApp',
  'deleteApp',
  'createVolume',
  'deleteVolume',
  'extendVolume',
  'createMachine',
  'update',
  'start',
  'stop',
  'suspend',
  'restart',
  'destroy',
  'lease',
  'crash',
  'migrate',
  'destroyBehind',
  'address',
  'certificate',
  'secret',
  'proxyStop',
  'proxyRequest',
  'pass',
  'pass',
  'pass',
  'list',
  'fillHost',
  'freeHost',
] as const;

const names = ['a', 'b'];

/** What makes no sense without a machine, or a volume: histories would be mostly 404 if these were not made first. */
const needsMachine: readonly string[] = [
  'update',
  'start',
  'stop',
  'suspend',
  'restart',
  'destroy',
  'lease',
  'crash',
  'migrate',
  'proxyStop',
  'proxyRequest',
  'destroyBehind',
];
const needsVolume: readonly string[] = ['deleteVolume', 'extendVolume', 'fillHost', 'freeHost'];

function at<T>(items: readonly T[], which: number): T | undefined {
  return items[which % Math.max(1, items.length)];
}

/** Does one deed; every answer is checked against the OpenAPI document on the way. */
function act(fly: VirtualFly, [what, which]: Deed): void {
  const app = at(names, which)!;
  const base = `/v1/apps/${app}`;
  const record = fly.world.state.apps[app];
  const living = Object.values(record?.machines ?? {}).filter(({ face }) => face.state !== 'destroyed');
  const machine = at(living, which >> 2);
  const volume = at(Object.values(record?.volumes ?? {}), which >> 2);
  const onMachine = `${base}/machines/${machine?.id ?? 'none'}`;
  const onVolume = `${base}/volumes/${volume?.id ?? 'none'}`;
  const body = {
    name: at(['m', 'n'], which >> 1),
    region: 'iad',
    skip_launch: which % 5 === 0,
    config: {
      image: 'nginx',
      services: [sleepyService],
      ...(volume !== undefined && which % 3 > 0 && { mounts: [{ volume: volume.id, path: '/d' }] }),
    },
  };
  const run: Record<What, () => unknown> = {
    createApp: () => fly.call('POST', '/v1/apps', { name: app, org_slug: 'o' }),
    deleteApp: () => which % 4 === 0 && fly.call('DELETE', base),
    createVolume: () =>
      fly.call('POST', `${base}/volumes`, { name: 'd', region: 'iad', require_unique_zone: which % 2 === 0 }),
    deleteVolume: () => fly.call('DELETE', onVolume),
    extendVolume: () => fly.call('PUT', `${onVolume}/extend`, { size_gb: 1 + (which % 10) }),
    createMachine: () => fly.call('POST', `${base}/machines`, body),
    update: () =>
      fly.call('POST', onMachine, {
        config: { ...machine?.face.config, env: { N: String(which) } },
        skip_launch: which % 2 === 0,
      }),
    start: () => fly.call('POST', `${onMachine}/start`),
    stop: () => fly.call('POST', `${onMachine}/stop`),
    suspend: () => fly.call('POST', `${onMachine}/suspend`),
    restart: () => fly.call('POST', `${onMachine}/restart`),
    destroy: () => fly.call('DELETE', `${onMachine}?force=${which % 2 === 0}`),
    lease: () => fly.call('POST', `${onMachine}/lease`, { ttl: 1 + (which % 20) }),
    crash: () => fly.control('POST', `/machines/${machine?.id ?? 'none'}/crash`, { exit_code: which % 2 }),
    migrate: () => fly.control('POST', `/machines/${machine?.id ?? 'none'}/migrate`),
    destroyBehind: () => fly.control('POST', `/machines/${machine?.id ?? 'none'}/destroy`),
    address: () => fly.call('POST', `${base}/ip_assignments`, { type: at(['v4', 'v6', 'shared_v4'], which) }),
    certificate: () => fly.call('POST', `${base}/certificates/acme`, { hostname: `${app}.example.com` }),
    secret: () =>
      fly.call('POST', `${base}/secrets`, { values: { A: which % 3 === 0 ? null : String(which) } }),
    proxyStop: () => fly.control('POST', '/proxy', { app, action: 'stop' }),
    proxyRequest: () => fly.control('POST', '/proxy', { app, action: 'request' }),
    pass: () => fly.pass(which * which * 3),
    list: () => [
      fly.call('GET', '/v1/orgs/o/machines'),
      fly.call('GET', `${base}/machines`),
      fly.call('GET', `${base}/volumes`),
    ],
    fillHost: () => fly.control('POST', `/hosts/${volume?.host ?? 'none'}`, { full: true }),
    freeHost: () => fly.control('POST', `/hosts/${volume?.host ?? 'none'}`, { full: false }),
  };
  if (record === undefined) run.createApp();
  else if (machine === undefined && needsMachine.includes(what)) run.createMachine();
  else if (volume === undefined && needsVolume.includes(what)) run.createVolume();
  else run[what]();
}

function repeated(items: readonly string[]): string[] {
  return items.filter((item, index) => items.indexOf(item) !== index);
}

function complaintsOfMachine(app: AppRecord, machine: MachineRecord): (string | false)[] {
  const { face, runs, path, id } = machine;
  const open = runs.filter(({ to }) => to === null).length;
  const planned = app.agenda.filter((entry) => entry.what === 'machineStep' && entry.id === id).length;
  // Somebody may have deleted the volume behind everybody's back; one that is left must be bound and near.
  const volumes = (face.config.mounts ?? []).map(({ volume }) => app.volumes[volume]);
  return [
    open > 1 && 'runs twice',
    face.state === 'started' && open !== 1 && 'is started and does not run',
    ['created', 'starting', 'stopped', 'suspended', 'destroyed'].includes(face.state) &&
      open > 0 &&
      `is ${face.state} and runs`,
    face.events.length > 50 && 'has too many events',
    planned !== (path.length > 0 ? 1 : 0) && 'is on a path that the agenda does not know',
    ...volumes.flatMap((volume) => [
      face.state !== 'destroyed' &&
        volume?.face.state === 'created' &&
        volume.face.attachedMachineId !== id &&
        'mounts a volume that is not bound to it',
      face.state !== 'destroyed' &&
        volume?.face.state === 'created' &&
        volume.host !== machine.host &&
        'is not where its volume is',
    ]),
  ].map((complaint) => complaint !== false && `machine ${id} ${complaint}`);
}

/** What is wrong with a world; nothing, at any time. */
function complaints(state: WorldState): string[] {
  const apps = Object.values(state.apps);
  const all = apps.flatMap((app) => {
    const machines = Object.values(app.machines);
    const living = machines.filter(({ face }) => face.state !== 'destroyed');
    const mounted = living.flatMap(({ face }) => (face.config.mounts ?? []).map(({ volume }) => volume));
    const times = app.agenda.map((entry) => entry.at);
    return [
      ...repeated(living.map(({ name }) => name)).map((name) => `two machines are called ${name}`),
      ...repeated(mounted).map((volume) => `two machines mount ${volume}`),
      times.some((time, index) => time < (times[index - 1] ?? 0)) && 'the agenda is out of order',
      ...machines.flatMap((machine) => complaintsOfMachine(app, machine)),
    ];
  });
  const ids = apps.flatMap((app) => [
    ...Object.keys(app.machines),
    ...Object.keys(app.volumes),
    ...app.addresses.filter(({ type }) => type !== 'shared_v4').map(({ ip }) => ip),
  ]);
  return [...all, ...repeated(ids).map((id) => `${id} was given twice`)].filter(
    (complaint) => complaint !== false,
  );
}

const history = fc.array(fc.tuple(fc.constantFrom(...deeds), fc.integer({ min: 0, max: 99 })), {
  minLength: 20,
  maxLength: 200,
  size: 'max',
});
const options = { seed: 5, latency: { kinds: { call: 0.1 } }, autostopEveryMs: 30_000 };

describe('any history', () => {
  it('leaves a sound world after every deed', () => {
    fc.assert(
      fc.property(history, (all) => {
        const fly = createVirtualFly(options);
        for (const deed of all) {
          act(fly, deed);
          expect(complaints(fly.world.state)).toEqual([]);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('goes on the same from a copy of the state as from the state itself', () => {
    fc.assert(
      fc.property(history, history, (before, after) => {
        const fly = createVirtualFly(options);
        for (const deed of before) act(fly, deed);
        const copy = JSON.parse(JSON.stringify(fly.world.state)) as WorldState;
        expect(copy).toEqual(fly.world.state);
        const twin = createVirtualFly({ ...options, state: copy });
        twin.pass(fly.now() - twin.now());
        for (const deed of after) {
          act(fly, deed);
          act(twin, deed);
        }
        expect(twin.world.state).toEqual(fly.world.state);
      }),
      { numRuns: 60 },
    );
  });

  it('comes to rest when nobody does anything any more', () => {
    fc.assert(
      fc.property(history, (all) => {
        const fly = createVirtualFly({ ...options, autostopEveryMs: 0 });
        for (const deed of all) act(fly, deed);
        fly.pass(600_000);
        const states = Object.values(fly.world.state.apps).flatMap((app) =>
          Object.values(app.machines).map(({ face }) => face.state),
        );
        expect(
          states.filter(
            (state) => !['created', 'started', 'stopped', 'suspended', 'destroyed'].includes(state),
          ),
        ).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
