/**
 * How is an act of a history carried out? People write specs to the store, as every door does; whoever interferes
 * uses the control surface of the simulated Fly; bad luck strikes the daemons.
 */
import { AlreadyExistsError, InvalidError } from '../../src/store/store.ts';
import { PAUSED } from '../../src/tenant/annotations.ts';
import { appName, FINALIZER, imageTag } from '../../src/tenant/names.ts';
import type { Tenant, TenantSpec } from '../../src/tenant/schema.ts';
import { liveMachines, type AppView } from '../invariants/holdings.ts';
import type { Verdicts } from '../invariants/invariant.ts';
import { SETTINGS } from './daemon.ts';
import type { Act, FlyAct, TenantAct, WorldAct } from './history.ts';
import type { Kernel } from './kernel.ts';
import type { Scene } from './scene.ts';

export interface People {
  act(act: Act): void;
  /** When somebody last did something to the tenant, in milliseconds since the epoch; 0: never. */
  lastActMs(name: string): number;
  /** The tenant as the store has it; undefined before it was made and after it is gone. */
  tenant(index: number): Tenant | undefined;
}

export interface PeopleOptions {
  readonly kernel: Kernel;
  readonly scene: Scene;
  readonly verdicts: Verdicts;
}

export const IMAGES = ['hello', 'world'] as const;

/** Images that do not boot, and what becomes of their machines. Pushed by whoever asks for one. */
const BROKEN: Readonly<Record<string, 'failed' | 'destroyed'>> = { broken: 'failed', vanishing: 'destroyed' };

export function isBroken(image: string | undefined): boolean {
  return Object.keys(BROKEN).some((tag) => image === imageNamed(tag));
}

/** Reference of an image that the registry has. */
export function imageNamed(tag: string): string {
  return `${SETTINGS.registryHost}/${SETTINGS.sharedRegistryApp}:${tag}`;
}

export function tenantName(index: number): string {
  return `t${index}`;
}

/** Which tenant of a history it is. */
export function indexOf({ metadata }: Tenant): number {
  return Number(metadata.name.slice(1));
}

export function createPeople(options: PeopleOptions): People {
  const { kernel, scene } = options;
  const lastActs = new Map<string, number>();
  for (const tag of IMAGES) push(scene, tag);
  const named = (index: number) => ({ namespace: 'default', name: tenantName(index) });
  const tenant = (index: number): Tenant | undefined => scene.tenants.get(named(index));

  /** People who ask for what cannot be (any more) are told so, and that is that. */
  function edit(index: number, change: (spec: TenantSpec) => TenantSpec): void {
    const current = tenant(index);
    if (current === undefined || current.metadata.deletionTimestamp !== undefined) return;
    try {
      scene.tenants.update({ ...current, spec: change(current.spec) });
    } catch (error) {
      if (!(error instanceof InvalidError)) throw error;
    }
  }

  function annotate(index: number, annotations: Readonly<Record<string, string>>): void {
    const current = tenant(index);
    if (current !== undefined)
      scene.tenants.update({ ...current, metadata: { ...current.metadata, annotations } });
  }

  function actOnTenant(act: TenantAct): void {
    const now = new Date(kernel.now()).toISOString();
    switch (act.do) {
      case 'create':
        create(scene, act);
        return;
      case 'edit':
        if (isBroken(act.spec.image)) push(scene, act.spec.image?.split(':').at(-1) ?? '');
        edit(act.tenant, (spec) => ({ ...spec, ...act.spec }));
        return;
      case 'undeploy':
        edit(act.tenant, ({ image: _, ...spec }) => spec);
        return;
      case 'restart':
        edit(act.tenant, (spec) => ({ ...spec, restartedAt: now }));
        return;
      case 'retry':
        edit(act.tenant, (spec) => ({ ...spec, retriedAt: now }));
        return;
      case 'rotate':
        edit(act.tenant, (spec) => ({ ...spec, credentialsRotatedAt: now }));
        return;
      case 'pause':
      case 'unpause':
        annotate(act.tenant, act.do === 'pause' ? { [PAUSED]: 'true' } : {});
        return;
      case 'set-secret': {
        const uid = tenant(act.tenant)?.metadata.uid;
        // The API wakes the loop by its next look at the tenant; nobody sets secrets of a tenant that is not there.
        if (uid !== undefined && scene.vault.describe(uid) !== undefined)
          scene.vault.set(uid, { [act.name]: act.value });
        return;
      }
      case 'delete':
        if (tenant(act.tenant) !== undefined) scene.tenants.delete(named(act.tenant));
        return;
      case 'misedit':
        misedit(options, { ...act, current: tenant(act.tenant) });
        return;
      default:
        act satisfies never;
    }
  }

  return {
    tenant,
    lastActMs: (name) => lastActs.get(name) ?? 0,
    act(act) {
      if ('tenant' in act) lastActs.set(tenantName(act.tenant), kernel.now());
      if ('tenant' in act && isFlyAct(act)) interfere(scene, tenant(act.tenant), act.do);
      else if ('tenant' in act) actOnTenant(act);
      else strike(options, act);
    },
  };
}

function push(scene: Scene, tag: string): void {
  const boot = BROKEN[tag] ?? 'ok';
  scene.interfere('POST', '/registry', { repository: SETTINGS.sharedRegistryApp, tag, boot });
}

function create(scene: Scene, { tenant: index, spec }: Extract<TenantAct, { do: 'create' }>): void {
  const metadata = { namespace: 'default', name: tenantName(index), finalizers: [FINALIZER] };
  try {
    const created = scene.tenants.create({ metadata, spec: { owner: 'ctm_1', region: 'iad', ...spec } });
    // Its owner's first push, under the tag that is to go with the tenant.
    push(scene, imageTag(created.metadata.uid));
  } catch (error) {
    if (!(error instanceof AlreadyExistsError)) throw error;
  }
}

/** D3: what is not allowed is refused, and leaves no trace. */
function misedit(
  { scene, verdicts }: PeopleOptions,
  {
    current,
    spec,
  }: { readonly current: Tenant | undefined; readonly spec: Readonly<Record<string, unknown>> },
): void {
  if (current === undefined) return;
  const before = scene.tenants.revision;
  let refused = false;
  try {
    scene.tenants.update({ ...current, spec: { ...current.spec, ...spec } });
  } catch (error) {
    refused = error instanceof InvalidError;
  }
  verdicts.check(
    'D3',
    refused && scene.tenants.revision === before,
    () => `${JSON.stringify(spec)} was taken`,
  );
}

const FLY_ACTS: Readonly<Record<FlyAct['do'], (scene: Scene, name: string, app: AppView) => void>> = {
  'destroy-machine': (scene, _, app) => {
    for (const { id } of liveMachines(app)) scene.interfere('POST', `/machines/${id}/destroy`);
  },
  'crash-machine': (scene, _, app) => {
    for (const { id, state } of liveMachines(app))
      if (state === 'started') scene.interfere('POST', `/machines/${id}/crash`, { exit_code: 1 });
  },
  'migrate-machine': (scene, _, app) => {
    for (const { id, state } of liveMachines(app))
      if (state === 'started') scene.interfere('POST', `/machines/${id}/migrate`);
  },
  'idle-machine': (scene, name) => scene.interfere('POST', '/proxy', { app: name, action: 'stop' }),
  request: (scene, name) => scene.interfere('POST', '/proxy', { app: name, action: 'request' }),
  'release-address': (scene, name) => changeByHand(scene, name, (app) => void app.addresses.pop()),
  'delete-certificate': (scene, name) => changeByHand(scene, name, (app) => void app.certificates.pop()),
  'change-secret': (scene, name) =>
    changeByHand(scene, name, ({ secrets }) => {
      const [first, ...rest] = secrets.face.secrets;
      if (first !== undefined)
        secrets.face = {
          version: secrets.face.version + 1,
          secrets: [{ ...first, value: 'other', digest: 'other' }, ...rest],
        };
    }),
  'lose-volume': (scene, _, app) => {
    for (const { id } of app.volumes) if (id !== '') scene.interfere('POST', `/volumes/${id}/destroy`);
  },
};

function isFlyAct(act: Act): act is { readonly atMs: number } & FlyAct {
  return Object.hasOwn(FLY_ACTS, act.do);
}

function interfere(scene: Scene, tenant: Tenant | undefined, what: FlyAct['do']): void {
  if (tenant === undefined) return;
  const name = appName(tenant.metadata.uid);
  const app = scene.view(name);
  if (app !== undefined) FLY_ACTS[what](scene, name, app);
}

/** What the control surface has no word for: somebody with flyctl. */
function changeByHand(
  scene: Scene,
  name: string,
  change: (app: Scene['world']['state']['apps'][string]) => void,
): void {
  const app = scene.world.state.apps[name];
  if (app === undefined) return;
  change(app);
  scene.appTouched(name);
}

function strike({ kernel, scene }: PeopleOptions, act: WorldAct): void {
  const later = (forMs: number, run: () => void): void => void scene.wire.outside.later(forMs, run);
  switch (act.do) {
    case 'outage':
      scene.interfere('POST', '/outage', { kind: act.kind });
      later(act.forMs, () => scene.interfere('POST', '/outage', { kind: 'off' }));
      return;
    case 'no-capacity':
      scene.interfere('POST', '/regions/iad', { capacity: 'none' });
      later(act.forMs, () => scene.interfere('POST', '/regions/iad', { capacity: 'ok' }));
      return;
    case 'deaf-watches':
      scene.disturbWatches('deaf');
      later(act.forMs, () => scene.disturbWatches('none'));
      return;
    case 'stall':
      oneOf(kernel, scene)?.process.stall(act.forMs);
      return;
    case 'set-clock':
      oneOf(kernel, scene)?.process.stepClock(act.byMs);
      return;
    case 'cut-watches':
      scene.cutWatches();
      return;
    case 'compact-store':
      scene.tenants.forgetHistory();
      return;
    case 'kill': {
      const victim = oneOf(kernel, scene);
      if (victim !== undefined) scene.wire.crash(victim.process);
      return;
    }
    default:
      act satisfies never;
  }
}

function oneOf(kernel: Kernel, { daemons }: Scene): Scene['daemons'][number] | undefined {
  return daemons[Math.floor(kernel.random() * daemons.length)];
}
