/** Every invariant can fail: one case for each breaks it, and nothing else. */
import { describe, expect, it } from 'vitest';
import type { TenantStatus } from '../../src/tenant/schema.ts';
import { PAUSED } from '../../src/tenant/annotations.ts';
import { appName, FINALIZER, VOLUME_NAME } from '../../src/tenant/names.ts';
import { shortLife } from '../simulation/generate.ts';
import type { Act } from '../simulation/history.ts';
import { runHistory } from '../simulation/run.ts';
import type { Stage } from '../simulation/stage.ts';
import { makeTenant, UID } from '../reconcilers/tenant/model.ts';
import type { AppView, MachineView } from './holdings.ts';
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
  /** The tenant with another status, committed. */
  report(status: TenantStatus): void;
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
    mayRepeat: () => false,
    lagMs: () => 0,
    mayLag: false,
  });
  const made = makeTenant(spec);
  const tenant = { ...made, metadata: { ...made.metadata, finalizers: [FINALIZER], ...metadata } };
  let current = tenant;
  safety.committed({ type: 'ADDED', before: undefined, tenant, events: [] });
  return {
    safety,
    tenant,
    pass: (ms) => void (now += ms),
    report(status) {
      const next = { ...current, status };
      safety.committed({ type: 'MODIFIED', before: current, tenant: next, events: [] });
      current = next;
    },
    violations: () => verdicts.violations,
  };
}

function machine(id: string, volume: string, change: Partial<MachineView> = {}): MachineView {
  const config = { image: 'i', guest: { memory_mb: 512 }, mounts: [{ volume }] };
  const made = { id, name: APP, state: 'started', host: 'h', instance_id: 'v1', versions: ['v1'], config };
  return { ...made, secrets_version: 1, ...change };
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
  ['S4', () => happening(({ safety }) => safety.wrote({ operation: 'Apps_delete', app: APP, target: APP }))],
  [
    'S5',
    () => {
      const world = watched({ deletionPolicy: 'Orphan' }, { deletionTimestamp: '2026-01-01T00:00:00Z' });
      world.safety.wrote({ operation: 'Machines_delete', app: APP, target: 'm1' });
      return world;
    },
  ],
  [
    'S6',
    () => {
      const world = watched({}, { annotations: { [PAUSED]: 'true' } });
      world.pass(20_000);
      world.safety.began({ app: APP, epoch: undefined });
      return world;
    },
  ],
  [
    'S7',
    () =>
      happening(({ safety }) => {
        for (const epoch of [1, 2, 1]) safety.began({ app: APP, epoch });
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
  ['S9', () => happening((world) => world.report({ observedGeneration: 2 }))],
  ['S9', () => happening((world) => world.report({ observedGeneration: 1, conditions: [READY] }))],
  [
    'S10',
    () =>
      happening((world) => {
        const condition = { ...READY, status: 'False' as const };
        world.report({ conditions: [condition] });
        world.report({ conditions: [{ ...condition, lastTransitionTime: '2026-01-02T00:00:00Z' }] });
      }),
  ],
  ['S11', () => happening((world) => world.report({ hostname: SECRET }))],
  [
    'ONCE',
    () =>
      happening(({ safety }) => {
        safety.appChanged(APP, app({ volumes: [volume('v1')] }));
        safety.wrote({ operation: 'Volumes_create', app: APP, target: APP });
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
  readonly tamper?: (stage: Stage) => void;
}[] = [
  // Fly is away from the beginning: the spec is never acted on.
  { id: 'S14', acts: [OUTAGE, BIRTH!] },
  { id: 'E1', acts: [act({ do: 'no-capacity', forMs: FOREVER_MS }), BIRTH!] },
  // Nobody notices that something has gone, because nobody can look.
  { id: 'D1', acts: [BIRTH!, OUTAGE, act({ do: 'release-address', tenant: 0 })] },
  { id: 'E5', acts: [BIRTH!, OUTAGE, act({ do: 'delete', tenant: 0 })] },
  // Only its owner can mend that, and does not.
  { id: 'E2', acts: [act({ do: 'create', tenant: 0, spec: { image: 'docker.io/library/nginx:1' } })] },
  { id: 'D3', acts: [BIRTH!, act({ do: 'misedit', tenant: 0, spec: { memoryMb: 1024 } })] },
  { id: 'E7', acts: [BIRTH!], quietMs: 60_000, tamper: scribble },
  { id: 'BUG', acts: [BIRTH!], tamper: trip },
  { id: 'S13', acts: [BIRTH!], tamper: crowd },
];

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

describe('an invariant', () => {
  it.each(STEPS)('can fail at one step: %s', (id, broken) => {
    const violations = broken().violations();
    expect(violations.map(({ invariant }) => invariant)).toEqual([id]);
  });

  it.each(LIVES)('can fail in a whole history: $id', async ({ id, tamper, ...change }) => {
    const { violations } = await runHistory({ ...LIFE, ...change }, tamper === undefined ? {} : { tamper });
    expect(violations[0]?.invariant).toBe(id);
  });

  it('is shown to fail above, whichever it is', () => {
    const shown = new Set([...STEPS.map(([id]) => id), ...LIVES.map(({ id }) => id)]);
    expect([...shown].sort()).toEqual(Object.keys(INVARIANTS).sort());
  });
});
