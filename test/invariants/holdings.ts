/**
 * What does Fly hold of a tenant, and what should it hold? Both in the same shape, so that one can be compared with
 * the other: read off the simulator's own view of an app, and derived from the spec.
 */
import { isDeepStrictEqual } from 'node:util';
import { appOf, hostnameOf } from '../../src/reconcilers/tenant/input.ts';
import { METADATA } from '../../src/reconcilers/tenant/parts/machine-identity.ts';
import { DATABASE_URL } from '../../src/reconcilers/tenant/parts/secrets.ts';
import type { TenantSettings } from '../../src/reconcilers/tenant/settings.ts';
import { machineEnvironment } from '../../src/tenant/environment.ts';
import { VOLUME_NAME } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';

/** An app as the simulator's control surface shows it. */
export interface AppView {
  readonly org: string;
  readonly deleting: boolean;
  readonly machines: readonly MachineView[];
  readonly volumes: readonly VolumeView[];
  readonly addresses: readonly { readonly ip: string; readonly type: string }[];
  readonly certificates: readonly { readonly hostname: string }[];
  readonly secrets: { readonly version: number; readonly names: readonly string[] };
}

export interface MachineView {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly host: string;
  readonly instance_id: string;
  readonly versions: readonly string[];
  readonly config: {
    readonly image: string;
    readonly guest: { readonly memory_mb: number };
    readonly env?: Readonly<Record<string, string>>;
    readonly metadata?: Readonly<Record<string, string>>;
    readonly mounts?: readonly { readonly volume: string }[];
    readonly services?: readonly { readonly autostart?: boolean }[];
  };
  /** Version of the app's secrets that its process was started with. */
  readonly secrets_version: number;
  /** What happened to it, newest first. */
  readonly events: readonly { readonly type: string; readonly status: string }[];
}

export interface VolumeView {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly host: string;
  readonly size_gb: number;
  readonly attached_machine_id: string | null;
}

const DELETED_VOLUME = /destroy|detach|fork_cleanup/;

/** Machines of the app that are there, or on their way. */
export function liveMachines(app: AppView | undefined): readonly MachineView[] {
  return (app?.machines ?? []).filter(({ state }) => state !== 'destroyed' && state !== 'destroying');
}

/** Volumes of the app that are not deleted. */
export function liveVolumes(app: AppView | undefined): readonly VolumeView[] {
  return (app?.volumes ?? []).filter(({ state }) => !DELETED_VOLUME.test(state));
}

export interface Holdings {
  readonly machines: readonly {
    readonly image: string | undefined;
    readonly memoryMb: number;
    readonly env: Readonly<Record<string, string>> | undefined;
    readonly state: string | undefined;
    /** Whether traffic starts it. */
    readonly wakes: boolean;
    /** What is still to be done with it after its last update. */
    readonly due: 'start' | 'stop' | 'nothing';
  }[];
  /** Whether what its machine mounts is there; apart from the machine, since it comes of another list. */
  readonly mounted: readonly boolean[];
  readonly volumes: readonly { readonly name: string; readonly sizeGb: number }[];
  readonly addresses: readonly string[];
  readonly certificates: readonly string[];
  readonly secrets: readonly string[];
}

/** What Fly holds of the tenant now. */
export function holdings(app: AppView | undefined): Holdings {
  const volumes = liveVolumes(app);
  const machines = liveMachines(app);
  return {
    machines: machines.map(holdingOf),
    mounted: machines
      .flatMap(({ config }) => config.mounts ?? [])
      .map(({ volume }) => volumes.some(({ id }) => id === volume)),
    volumes: volumes.map(({ name, size_gb: sizeGb }) => ({ name, sizeGb })),
    addresses: (app?.addresses ?? []).map(({ type }) => type).sort(),
    certificates: (app?.certificates ?? []).map(({ hostname }) => hostname).sort(),
    secrets: (app?.secrets.names ?? []).filter((name) => name === DATABASE_URL),
  };
}

function holdingOf(machine: MachineView): Holdings['machines'][number] {
  const { config } = machine;
  return {
    image: config.image.split('@')[1],
    memoryMb: config.guest.memory_mb,
    env: config.env,
    state: config.metadata?.[METADATA.state],
    wakes: config.services?.some(({ autostart }) => autostart === true) === true,
    due: isUnstarted(machine) ? 'start' : isUnstopped(machine) ? 'stop' : 'nothing',
  };
}

/**
 * Its config says that it was to be started (made, resumed, deployed, restarted), and it has not started since. One that
 * has, and rests now, was put to sleep because nobody used it: that is as it should be.
 */
function isUnstarted({ config, events }: MachineView): boolean {
  if (config.metadata?.[METADATA.wake] !== 'yes') return false;
  const last = events.find(({ type, status }) => type === 'update' || status === 'started');
  return last?.status !== 'started';
}

/** Its config says that it is suspended, and it runs. */
function isUnstopped({ config, state }: MachineView): boolean {
  return config.metadata?.[METADATA.state] === 'Suspended' && state === 'started';
}

/** What Fly should hold: of a tenant of its own this depends on its spec and on nothing else. */
export function wanted(tenant: Tenant, app: AppView | undefined, settings: TenantSettings): Holdings {
  const { spec, status } = tenant;
  const machine = {
    image: spec.image?.split('@')[1] ?? status?.image?.digest,
    memoryMb: spec.memoryMb,
    env: machineEnvironment(tenant, hostnameOf(tenant, settings)),
    state: spec.state,
    wakes: spec.state === 'Running',
    due: 'nothing' as const,
  };
  // No machine is made for a tenant that was suspended before it ever had one.
  const none = spec.image === undefined || (spec.state === 'Suspended' && liveMachines(app).length === 0);
  // Of an adopted app the volume keeps its name and size, and hostnames of its own.
  const adopted = spec.adopt !== undefined;
  const kept = adopted ? liveVolumes(app)[0] : undefined;
  const foreign = adopted ? (app?.certificates ?? []).map(({ hostname }) => hostname) : [];
  return {
    machines: none ? [] : [machine],
    mounted: none ? [] : [true],
    volumes: [{ name: kept?.name ?? VOLUME_NAME, sizeGb: Math.max(kept?.size_gb ?? 0, spec.volumeGb) }],
    addresses: ['shared_v4', 'v6'],
    certificates: [...new Set([hostnameOf(tenant, settings), ...spec.hostnames, ...foreign])].sort(),
    secrets: [DATABASE_URL],
  };
}

/** What Fly holds otherwise than it should, in words; empty: nothing. */
export function differences(tenant: Tenant, app: AppView | undefined, settings: TenantSettings): string[] {
  const has = holdings(app);
  const should = wanted(tenant, app, settings);
  return differing(has, should).map(
    (key) => `app ${appOf(tenant)} has ${key} ${told(has[key])} instead of ${told(should[key])}`,
  );
}

/** Whether each thing by itself was as it should be in one of these states: so a look at lists that lag may show it. */
export function mayAppearRight(
  tenant: Tenant,
  states: readonly (AppView | undefined)[],
  settings: TenantSettings,
): boolean {
  let wrong: readonly string[] | undefined;
  for (const app of states) {
    const here = wrongs(holdings(app), wanted(tenant, app, settings));
    wrong = wrong?.filter((one) => here.includes(one)) ?? here;
    if (wrong.length === 0) return true;
  }
  return false;
}

/**
 * What is not as it should be, each hostname and address by itself: some may have been seen before somebody took others
 * away.
 */
function wrongs(has: Holdings, should: Holdings): string[] {
  return differing(has, should).flatMap((key) => {
    if (key !== 'certificates' && key !== 'addresses') return key;
    const [surplus, missing] = [without(has[key], should[key]), without(should[key], has[key])];
    return [...surplus, ...missing].map((one) => `${key} ${one}`);
  });
}

/** All but the others; what stands twice stays once when it is taken once. */
function without(all: readonly string[], others: readonly string[]): string[] {
  const left = [...all];
  for (const other of others) if (left.includes(other)) left.splice(left.indexOf(other), 1);
  return left;
}

function differing(has: Holdings, should: Holdings): (keyof Holdings)[] {
  return (Object.keys(should) as (keyof Holdings)[]).filter(
    (key) => !isDeepStrictEqual(has[key], should[key]),
  );
}

/** What the status of a tenant at rest says of Fly and is not so; empty: nothing. */
export function misreports(tenant: Tenant, app: AppView | undefined): string[] {
  const { status } = tenant;
  const compared: readonly (readonly [what: string, said: unknown, is: unknown])[] = [
    ['app', status?.app?.name, appOf(tenant)],
    ['machine', status?.machine?.id, liveMachines(app)[0]?.id],
    ['volume', status?.volume?.id, liveVolumes(app)[0]?.id],
  ];
  return compared
    .filter(([, said, is]) => said !== is)
    .map(([what, said, is]) => `its status says ${what} ${told(said)}, Fly has ${told(is)}`);
}

function told(value: unknown): string {
  return JSON.stringify(value);
}
