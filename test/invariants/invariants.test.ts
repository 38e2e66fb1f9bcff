/** Every invariant can fail: one case for each breaks it, and nothing else. */
import { describe, expect, it } from 'vitest';
import { METADATA } from '../../src/reconcilers/tenant/parts/machine-identity.ts';
import { machineEnvironment } from '../../src/tenant/environment.ts';
import type { TenantSpec, TenantStatus } from '../../src/tenant/schema.ts';
import { PAUSED } from '../../src/tenant/annotations.ts';
import { appName, FINALIZER, hostname, VOLUME_NAME } from '../../src/tenant/names.ts';
import { FAIR_TURN } from '../../src/controller/schedule.ts';
import { createAttention } from '../simulation/attention.ts';
import { shortLife } from '../simulation/generate.ts';
import type { Act } from '../simulation/history.ts';
import {
  compareWithAsked,
  compareWithDetour,
  compareWithMore,
  type Comparison,
} from '../simulation/paths.ts';
import { runHistory } from '../simulation/run.ts';
import { raiseCurtain, type Stage } from '../simulation/stage.ts';
import { createKernel } from '../simulation/kernel.ts';
import { DIGEST, IMAGE, makeTenant, UID } from '../reconcilers/tenant/model.ts';
import type { AppView, MachineView } from './holdings.ts';
import { count, mayRepeat, type Count, type Made } from './maker.ts';
import { createVerdicts, INVARIANTS, type InvariantId, type Violation } from './invariant.ts';
import { createSafety, type Safety } from './safety.ts';

const APP = appName(UID);
const settings = {
  orgSlug: 'systemprompt',
  registryHost: 'registry.fly.io',
  sharedRegistryApp: 'systemprompt-images',
  subdomainSuffix: 'tenants.test',
};
const SECRET = 'a-secret-that-nobody-may-be-told';

interface World {
  readonly safety: Safety;
  readonly tenant: ReturnType<typeof makeTenant>;
  /** Lets time pass. */
  pass(ms: number): void;
  /** A person wants something else. */
  edit(spec: Partial<TenantSpec>): void;
  /** The tenant with another status, committed. */
  report(status: TenantStatus, maker?: Made): void;
  violations(): readonly Violation[];
}

/** A tenant whose safety is watched; `spec` and `metadata` are changes of the usual one. */
function watched(spec: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}): World {
  const verdicts = createVerdicts();
  let now = 0;
  const safety = createSafety({
    verdicts,
    settings,
    now: () => now,
    secrets: () => [SECRET],
    leftElsewhere: () => [],
    listLagMs: 0,
  });
  const usual = makeTenant(spec);
  const tenant = { ...usual, metadata: { ...usual.metadata, finalizers: [FINALIZER], ...metadata } };
  let current = tenant;
  safety.committed({ type: 'ADDED', before: undefined, tenant, events: [] });
  return {
    safety,
    tenant,
    pass: (ms) => void (now += ms),
    edit(spec) {
      const { metadata } = current;
      const next = {
        ...current,
        metadata: { ...metadata, generation: metadata.generation + 1 },
        spec: { ...current.spec, ...spec },
      };
      safety.committed({ type: 'MODIFIED', before: current, tenant: next, events: [] });
      current = next;
    },
    report(status, maker = made()) {
      const next = { ...current, status };
      safety.committed({ type: 'MODIFIED', before: current, tenant: next, events: [] }, maker);
      current = next;
    },
    violations: () => verdicts.violations,
  };
}

/** A call of the one daemon there is, which looked at once and took no time. */
function made(change: Partial<Made> = {}): Made {
  const instant = { beganMs: 0, sinceMs: 0, atMs: 0 };
  return { process: 'daemon-1', ...instant, skewMs: 0, awakeSinceMs: 0, late: false, ...change };
}

function machine(id: string, volume: string, change: Partial<MachineView> = {}): MachineView {
  const config = { image: 'i', guest: { memory_mb: 512 }, mounts: [{ volume }] };
  const made = { id, name: APP, state: 'started', host: 'h', instance_id: 'v1', versions: ['v1'], config };
  return { ...made, secrets_version: 1, events: [], ...change };
}

function app(change: Partial<AppView>): AppView {
  const nothing = { machines: [], volumes: [], addresses: [], certificates: [] };
  return { org: 'systemprompt', deleting: false, ...nothing, secrets: { version: 1, names: [] }, ...change };
}

function volume(id: string): AppView['volumes'][number] {
  return { id, name: VOLUME_NAME, state: 'created', host: 'h', size_gb: 1, attached_machine_id: null };
}

const READY = {
  type: 'Ready',
  status: 'True',
  reason: 'Running',
  message: 'running',
  lastTransitionTime: '2026-01-01T00:00:00Z',
  observedGeneration: 1,
} as const;

const IMAGE_BY_DIGEST = { image: `${IMAGE}@${DIGEST}` };
const RUNNING: TenantStatus = { observedGeneration: 1, conditions: [READY] };
const START = { type: 'start', status: 'started' };
const UPDATE = { type: 'update', status: 'replacing' };
const CONFIG: MachineView['config'] = {
  image: `i@${DIGEST}`,
  guest: { memory_mb: 512 },
  env: machineEnvironment(makeTenant(), hostname(UID, settings.subdomainSuffix)),
  mounts: [{ volume: 'v1' }],
  metadata: { [METADATA.state]: 'Running', [METADATA.wake]: 'yes' },
  services: [{ autostart: true }],
};
const SUSPENDED: Partial<MachineView['config']> = {
  metadata: { [METADATA.state]: 'Suspended', [METADATA.wake]: 'no' },
  services: [{ autostart: false }],
};

/** What Fly should hold of the usual tenant, but for its machine's `change`. */
function asWanted(change: Partial<MachineView> = {}): AppView {
  return app({
    machines: [machine('m1', 'v1', { config: CONFIG, events: [START, UPDATE], ...change })],
    volumes: [volume('v1')],
    addresses: ['shared_v4', 'v6'].map((type) => ({ ip: type, type })),
    certificates: [{ hostname: hostname(UID, settings.subdomainSuffix) }],
    secrets: { version: 1, names: ['DATABASE_URL'] },
  });
}

/** Ready is said of the tenant, whose machine is not quite as it should be. */
function reportOf(world: World, change: Partial<MachineView>): World {
  world.safety.appChanged(APP, asWanted(change));
  world.report(RUNNING);
  return world;
}

/** What goes wrong, for each invariant that is judged step by step. */
const STEPS: readonly (readonly [InvariantId, () => World])[] = [
  [
    'S1',
    () =>
      happening((world) =>
        world.safety.appChanged(APP, app({ machines: [machine('m1', 'a'), machine('m2', 'a')] })),
      ),
  ],
  [
    'S2',
    () =>
      happening(({ safety }) => {
        safety.appChanged(APP, app({ machines: [machine('m1', 'vol_data')] }));
        safety.appChanged(APP, app({ machines: [machine('m2', 'vol_empty')] }));
      }),
  ],
  [
    'S3',
    () =>
      happening(({ safety }) => safety.appChanged(APP, app({ volumes: [{ ...volume('v'), name: 'x' }] }))),
  ],
  [
    'S4',
    () =>
      happening(({ safety }) =>
        safety.wrote({ operation: 'Apps_delete', app: APP, target: APP, made: made() }),
      ),
  ],
  [
    'S5',
    () => {
      const world = watched({ deletionPolicy: 'Orphan' }, { deletionTimestamp: '2026-01-01T00:00:00Z' });
      world.safety.wrote({ operation: 'Machines_delete', app: APP, target: 'm1', made: made() });
      return world;
    },
  ],
  [
    'S6',
    () => {
      const world = watched({}, { annotations: { [PAUSED]: 'true' } });
      world.pass(20_000);
      world.safety.began({ app: APP, epoch: undefined, maker: made() });
      return world;
    },
  ],
  [
    'S7',
    () =>
      happening(({ safety }) => {
        for (const epoch of [1, 2, 1]) safety.began({ app: APP, epoch, maker: made() });
      }),
  ],
  [
    'S8',
    () => {
      const world = watched({}, { deletionTimestamp: '2026-01-01T00:00:00Z' });
      world.safety.appChanged(APP, app({}));
      const metadata = { ...world.tenant.metadata, finalizers: [] };
      world.safety.committed({
        type: 'DELETED',
        before: world.tenant,
        tenant: { ...world.tenant, metadata },
        events: [],
      });
      return world;
    },
  ],
  [
    'S4',
    () => {
      // It was wanted once, and not any more when the pass began that does it.
      const world = watched({ image: undefined });
      world.edit({ image: IMAGE });
      world.pass(1_000);
      const late = made({ sinceMs: 1_000 });
      world.safety.wrote({ operation: 'Machines_delete', app: APP, target: 'm1', made: late });
      return world;
    },
  ],
  [
    'S6',
    () => {
      // Whoever has stood still, long before.
      const world = watched({}, { annotations: { [PAUSED]: 'true' } });
      world.pass(20_000);
      world.safety.began({ app: APP, epoch: undefined, maker: made({ awakeSinceMs: 9_000 }) });
      return world;
    },
  ],
  ['S9', () => happening((world) => world.report({ observedGeneration: 2 }))],
  ['S9', () => happening((world) => world.report({ observedGeneration: 1, conditions: [READY] }))],
  [
    'S9',
    () => {
      // It was as it should be, and is not any more when that is said.
      const world = watched(IMAGE_BY_DIGEST);
      world.safety.appChanged(APP, asWanted());
      world.pass(1_000);
      world.safety.appChanged(APP, { ...asWanted(), machines: [] });
      world.pass(1_000);
      world.report(RUNNING, made({ sinceMs: 1_500 }));
      return world;
    },
  ],
  ['S9', () => reportOf(watched(IMAGE_BY_DIGEST), { events: [UPDATE, START] })],
  [
    'S9',
    () => {
      const world = watched({ ...IMAGE_BY_DIGEST, state: 'Suspended' });
      return reportOf(world, { config: { ...CONFIG, ...SUSPENDED } });
    },
  ],
  ['S9', () => reportOf(watched(IMAGE_BY_DIGEST), { config: { ...CONFIG, env: { OLD: 'yes' } } })],
  [
    'S10',
    () =>
      happening((world) => {
        const condition = { ...READY, status: 'False' as const };
        world.report({ conditions: [condition] });
        world.report({ conditions: [{ ...condition, lastTransitionTime: '2026-01-02T00:00:00Z' }] });
      }),
  ],
  [
    'S10',
    () =>
      happening((world) => {
        world.report({ conditions: [{ ...READY, status: 'False' }] });
        world.pass(5_000);
        world.report({ conditions: [{ ...READY, status: 'Unknown' }] });
      }),
  ],
  ['S11', () => happening((world) => world.report({ hostname: SECRET }))],
  [
    'ONCE',
    () =>
      happening(({ safety }) => {
        safety.appChanged(APP, app({ volumes: [volume('v1')] }));
        safety.wrote({ operation: 'Volumes_create', app: APP, target: APP, made: made() });
      }),
  ],
  [
    'ONCE',
    () =>
      happening(({ safety }) => {
        safety.appChanged(APP, app({ addresses: [{ ip: '::1', type: 'v6' }] }));
        const operation = 'App_IPAssignments_create';
        safety.wrote({ operation, app: APP, target: 'v6', made: made() });
      }),
  ],
];

/** The usual tenant, to which this happens. */
function happening(happen: (world: World) => void): World {
  const world = watched();
  happen(world);
  return world;
}

const LIFE = shortLife(1);
const [BIRTH] = LIFE.acts;
const FOREVER_MS = 100_000_000;
const OUTAGE: Act = { atMs: 0, do: 'outage', kind: 'status', forMs: FOREVER_MS };

function act(act: Undated<Act>): Act {
  return { atMs: 0, ...act };
}
type Undated<A> = A extends unknown ? Omit<A, 'atMs'> : never;

/** A life that is spoiled, for each invariant that is judged of a whole history. */
const LIVES: readonly {
  readonly id: InvariantId;
  readonly acts: readonly Act[];
  readonly quietMs?: number;
  readonly replicas?: number;
  readonly tamper?: (stage: Stage) => void;
}[] = [
  // Fly is away from the beginning: the spec is never acted on.
  { id: 'S14', acts: [OUTAGE, BIRTH!] },
  { id: 'E1', acts: [act({ do: 'no-capacity', forMs: FOREVER_MS }), BIRTH!] },
  // Nobody notices that something has gone, because nobody can look.
  { id: 'D1', acts: [BIRTH!, OUTAGE, act({ do: 'release-address', tenant: 0 })] },
  { id: 'E3', acts: [BIRTH!], quietMs: 60_000, tamper: vanish },
  { id: 'E5', acts: [BIRTH!, OUTAGE, act({ do: 'delete', tenant: 0 })] },
  // Only its owner can mend that, and does not.
  { id: 'E2', acts: [act({ do: 'create', tenant: 0, spec: { image: 'docker.io/library/nginx:1' } })] },
  { id: 'D3', acts: [BIRTH!, act({ do: 'misedit', tenant: 0, spec: { memoryMb: 1024 } })] },
  { id: 'E7', acts: [BIRTH!], quietMs: 60_000, tamper: scribble },
  { id: 'BUG', acts: [BIRTH!], tamper: trip },
  { id: 'S13', acts: [BIRTH!], tamper: crowd },
  { id: 'S12', acts: [BIRTH!], quietMs: 60_000, tamper: boast },
  { id: 'E6', acts: [BIRTH!], replicas: 2, quietMs: 60_000, tamper: abdicate },
];

/** While all is quiet somebody wants something, and whoever serves is gone for good. */
function vanish({ people, scene }: Stage): void {
  scene.wire.outside.later(60_000, () => {
    for (const { process } of scene.daemons) process.kill();
    people.act(act({ do: 'retry', tenant: 0 }));
  });
}

/** Somebody adds a secret by hand, which is not Landlord's to take away. */
function addSecret({ scene }: Stage): void {
  scene.wire.outside.later(60_000, () => {
    for (const { secrets } of Object.values(scene.world.state.apps)) {
      const [first] = secrets.face.secrets;
      if (first !== undefined)
        secrets.face = { ...secrets.face, secrets: [...secrets.face.secrets, { ...first, name: 'ADDED' }] };
    }
  });
}

/** No daemon has anything any more, as far as one can see. */
function abdicate({ scene }: Stage): void {
  for (const daemon of scene.daemons) Object.assign(daemon, { elector: { holdingOf: () => undefined } });
}

/** The daemon tells who asks it that it is about to do what it never does. */
function boast({ scene }: Stage): void {
  for (const daemon of scene.daemons)
    Object.assign(daemon, {
      preview: () => Promise.resolve({ steps: [{ kind: 'createVolume', target: 'x' }] }),
    });
}

/** Somebody keeps writing although nothing changes. */
function scribble({ scene }: Stage): void {
  const name = { namespace: 'default', name: 't0' };
  scene.wire.outside.later(150_000, () => {
    const tenant = scene.tenants.get(name);
    if (tenant !== undefined)
      scene.tenants.update({ ...tenant, metadata: { ...tenant.metadata, labels: { scribbled: 'yes' } } });
  });
}

/** The vault's code has a defect that shows once. */
function trip({ scene: { vault } }: Stage): void {
  const look = vault.describe.bind(vault);
  let trips = 1;
  Object.assign(vault, {
    describe(uid: string) {
      if (trips-- > 0) throw new TypeError('nothing has no properties');
      return look(uid);
    },
  });
}

/** Somebody else spends what the organisation may ask of Fly. */
function crowd({ kernel, scene }: Stage): void {
  for (let atMs = 0; atMs < 8_000; atMs += 100)
    scene.wire.outside.later(atMs, () =>
      scene.world.arrive(
        {
          method: 'GET',
          path: '/v1/orgs/systemprompt/machines',
          query: new URLSearchParams(),
          headers: { authorization: 'Bearer other' },
        },
        kernel.now(),
      ),
    );
}

type Compare = (tamper?: (stage: Stage) => void) => Promise<Comparison>;

/** Judged by comparison. */
const WAYS: readonly (readonly [InvariantId, Compare])[] = [
  ['D1', (tamper) => compareWithAsked(LIFE, tamper)],
  ['D2', (tamper) => compareWithDetour([LIFE, LIFE], tamper)],
  ['D5', (tamper) => compareWithMore(LIFE, tamper)],
];
/** Judged of the order of passes. */
const TURNS: readonly InvariantId[] = ['E4'];

describe('an invariant', () => {
  it.each(STEPS)('can fail at one step: %s', (id, broken) => {
    const violations = broken().violations();
    expect(violations.map(({ invariant }) => invariant)).toEqual([id]);
  });

  it('holds of a tenant that is as it should be when that is said, or was when it was looked at', () => {
    const [running, idle, gone] = [
      watched(IMAGE_BY_DIGEST),
      watched(IMAGE_BY_DIGEST),
      watched(IMAGE_BY_DIGEST),
    ];
    expect(reportOf(running, {}).violations()).toEqual([]);
    // Fly's proxy has put it to sleep.
    expect(reportOf(idle, { state: 'suspended' }).violations()).toEqual([]);
    gone.safety.appChanged(APP, asWanted());
    gone.pass(1_000);
    gone.safety.appChanged(APP, undefined);
    gone.report(RUNNING, made({ sinceMs: 500 }));
    expect(gone.violations()).toEqual([]);
  });

  it('excuses Ready beside a second volume until its maker can see both', () => {
    const world = watched(IMAGE_BY_DIGEST);
    const create = (change: Partial<Made>) => {
      world.safety.wrote({ operation: 'Volumes_create', app: APP, target: APP, made: made(change) });
    };
    create({ process: 'daemon-0', skewMs: -3_600_000 });
    world.safety.appChanged(APP, asWanted());
    create({});
    world.safety.appChanged(APP, { ...asWanted(), volumes: [volume('v1'), volume('v2')] });
    world.report(RUNNING);
    expect(world.violations()).toEqual([]);
    world.pass(1_000);
    world.report({ ...RUNNING }, made({ sinceMs: 500 }));
    expect(world.violations().map(({ invariant }) => invariant)).toEqual(['S9']);
  });

  it.each(LIVES)('can fail in a whole history: $id', async ({ id, tamper, ...change }) => {
    const { violations } = await runHistory({ ...LIFE, ...change }, tamper === undefined ? {} : { tamper });
    expect(violations[0]?.invariant).toBe(id);
  });

  it.each(WAYS)('can fail when two ways to one spec are compared: %s', async (id, compare) => {
    expect(await compare()).toEqual({ violations: [], tenants: 1 });
    const { violations } = await compare(addSecret);
    expect(violations[0]).toEqual({ invariant: id, message: expect.stringContaining('ADDED') as string });
  });

  it.each(TURNS)('can fail when turns are counted: %s', async (id) => {
    const kernel = createKernel({ seed: 1 });
    const { scene } = raiseCurtain(LIFE, { keep: false });
    const verdicts = createVerdicts();
    const attention = createAttention({ history: LIFE, verdicts, kernel, scene: () => scene });
    const process = kernel.spawn('daemon');
    for (let turn = 1; turn < FAIR_TURN; turn += 1)
      attention.began({ process, key: `other-${turn}`, waitedMs: 0 });
    attention.began({ process, key: 'patient', waitedMs: 1 });
    await kernel.run({ limitMs: kernel.now() + 1_000 });
    // One that was wanted during its own pass has waited for that.
    attention.ended({ process, key: 'other-1' });
    attention.began({ process, key: 'other-1', waitedMs: 1_000 });
    expect(verdicts.violations).toEqual([]);
    attention.began({ process, key: 'last', waitedMs: 1_000 });
    expect(verdicts.violations.map(({ invariant }) => invariant)).toEqual([id]);
  });

  it('is shown to fail above, whichever it is', () => {
    const shown = new Set([
      ...STEPS.map(([id]) => id),
      ...LIVES.map(({ id }) => id),
      ...WAYS.map(([id]) => id),
      ...TURNS,
    ]);
    expect([...shown].sort()).toEqual(Object.keys(INVARIANTS).sort());
  });
});

describe('what is made twice', () => {
  const LAG_MS = 2_000;
  const call = made({ beganMs: 10_000, sinceMs: 9_000, atMs: 52_000, late: true });
  const other = { process: 'daemon-2', beganMs: 50_000, sinceMs: 49_000, atMs: 51_000, late: false };

  it('is excused when the first call took effect after all graces, whoever made the second', () => {
    expect(mayRepeat(call, made(other), LAG_MS)).toBe(true);
    expect(mayRepeat(made(other), call, LAG_MS)).toBe(true);
    expect(mayRepeat(call, made({ ...other, process: call.process }), LAG_MS)).toBe(true);
  });

  it.each([
    ['it could be seen in time', { ...call, atMs: 51_000 }, other],
    ['it had shown before the second one looked', call, { ...other, sinceMs: 54_001, beganMs: 55_000 }],
    ['the second one came late itself', { ...call, atMs: 11_000 }, { ...other, sinceMs: 12_000, late: true }],
    [
      'the clock is ahead by no more than a grace can spare',
      { ...call, atMs: 51_000 },
      { ...other, skewMs: 2_000 },
    ],
  ])('is not excused when %s', (_, first, second) => {
    expect(mayRepeat(first, made(second), LAG_MS)).toBe(false);
  });

  it('is excused by a clock ahead of the one by which the first call was written down', () => {
    const inTime = { ...call, atMs: 51_000 };
    expect(mayRepeat(inTime, made({ ...other, skewMs: 3_600_000 }), LAG_MS)).toBe(true);
    expect(mayRepeat({ ...inTime, skewMs: -3_600_000 }, made(other), LAG_MS)).toBe(true);
    expect(mayRepeat({ ...inTime, skewMs: 3_600_000 }, made(other), LAG_MS)).toBe(false);
  });
});

describe('who counts calls', () => {
  const odd = [{ process: 'daemon-2' }, { late: true }, { skewMs: 1_000 }];

  it.each(odd)('has lost count of them after one such as %o, until the bucket is full again', (change) => {
    const steady = (from: number): Made[] => [from, from + 1_000, from + 2_000].map((atMs) => made({ atMs }));
    const after = (calls: readonly Made[]): boolean =>
      calls.reduce<Count | undefined>(count, undefined)?.lost === true;
    expect(after(steady(0))).toBe(false);
    expect(after([made({ atMs: 0, ...change }), ...steady(1_000)])).toBe(true);
    expect(after([made({ atMs: 0, ...change }), ...steady(6_000)])).toBe(false);
  });
});
