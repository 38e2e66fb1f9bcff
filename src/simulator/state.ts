/**
 * What is the simulated Fly made of? Plain data, so that `JSON.stringify` is a complete copy: the same state
 * and the same calls lead to the same future. Times are milliseconds since the epoch. Nothing in here is the
 * wire's: views are made when somebody asks.
 */
import type { Fault, Outage } from './faults.ts';
import type { Lagged } from './lag.ts';
import type { MachineConfig } from './machine-config.ts';
import type { Bucket } from './rate-limits.ts';

/** Something that will happen to an app or a thing in it; `id` names the thing. */
export interface AgendaEntry {
  readonly at: number;
  readonly what:
    | 'machineStep'
    | 'machineForget'
    | 'volumeStep'
    | 'volumeUnbind'
    | 'volumePurge'
    | 'certificateIssue'
    | 'appGone';
  readonly id: string;
}

export interface ImageRef {
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string;
  readonly digest: string;
}

export interface MachineEvent {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly source: string;
  readonly timestamp: number;
  readonly request?: Readonly<Record<string, unknown>>;
}

/** Fly's words for where a machine is. */
export type MachineState =
  | 'created'
  | 'starting'
  | 'started'
  | 'stopping'
  | 'stopped'
  | 'suspending'
  | 'suspended'
  | 'restarting'
  | 'replacing'
  | 'failed'
  | 'launch_failed'
  | 'destroying'
  | 'destroyed';

/** Everything of a machine that a list shows. */
export interface MachineFace {
  readonly state: MachineState;
  readonly instanceId: string;
  readonly privateIp: string;
  readonly updatedAt: number;
  readonly config: MachineConfig;
  readonly imageRef: ImageRef;
  /** Newest first, at most 50. */
  readonly events: readonly MachineEvent[];
  readonly cordoned: boolean;
  /** When the checks have a first result, and when they pass; 0 while the machine is not started. */
  readonly checksKnownAt: number;
  readonly checksPassAt: number;
  /** Set by hand: the checks stay so whatever the time. */
  readonly checksForced?: string;
}

export interface Lease {
  readonly nonce: string;
  readonly expiresAt: number;
  readonly owner: string;
  readonly description: string;
  readonly version: string;
}

/** One step of what a machine is going through. */
export interface MachineStep {
  readonly to: MachineState;
  readonly afterMs: number;
  readonly source: string;
  /** The process went on where its memory snapshot was taken: nothing was started anew. */
  readonly resumed?: true;
}

export interface MachineRecord extends Lagged<MachineFace> {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  readonly createdAt: number;
  /** GET answers 404 before. */
  readonly visibleAt: number;
  /** Code of the host, which is also its zone. */
  host: string;
  /** What is still to come; the first is on the agenda. */
  path: MachineStep[];
  lease: Lease | null;
  /** Start is refused before: the image is being prepared, or the last run is not over yet. */
  startableAt: number;
  /** Oldest first, the current one last, at most 20. */
  versions: { readonly version: string; readonly config: MachineConfig }[];
  /** When it ran: from start to end, null while it runs; at most 20. */
  runs: { readonly from: number; readonly to: number | null }[];
  /** Version of the app's secrets that the running process was started with. */
  secretsVersion: number;
  minSecretsVersion: number;
  lastRequestAt: number;
  /** Restarts by policy, for the limit of so many in five minutes. */
  restarts: readonly number[];
  /** Drawn transition latencies, for those who measure against the critical path; at most 20. */
  drawn: { readonly to: MachineState; readonly ms: number; readonly at: number }[];
}

export type VolumeState = 'created' | 'extending' | 'hydrating' | 'scheduling_destroy' | 'pending_destroy';

export interface VolumeFace {
  readonly state: VolumeState;
  readonly sizeGb: number;
  readonly attachedMachineId: string | null;
  readonly updatedAt: number;
  readonly snapshotRetention: number;
  readonly autoBackup: boolean;
}

export interface VolumeRecord extends Lagged<VolumeFace> {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  readonly host: string;
  readonly encrypted: boolean;
  readonly fstype: string;
  readonly createdAt: number;
  readonly visibleAt: number;
}

export interface AddressRecord {
  readonly ip: string;
  readonly type: 'v4' | 'v6' | 'shared_v4' | 'private_v6';
  readonly region: string;
  readonly serviceName: string;
  readonly network: string;
  readonly createdAt: number;
}

export interface CertificateRecord {
  readonly hostname: string;
  readonly createdAt: number;
  updatedAt: number;
  /** Null until a certificate was issued. */
  issuedAt: number | null;
  /** Set by hand: it is not issued before somebody activates it. */
  held: boolean;
  failure: { readonly code: string; readonly message: string; readonly at: number } | null;
}

export interface SecretRecord {
  readonly name: string;
  /** Stays in the world: no answer, log or list ever holds it. */
  readonly value: string;
  readonly digest: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface SecretsFace {
  readonly version: number;
  /** Sorted by name. */
  readonly secrets: readonly SecretRecord[];
}

export interface AppRecord {
  readonly id: string;
  readonly numericId: number;
  readonly name: string;
  readonly org: string;
  readonly network: string;
  /** Belongs to an organisation that our token cannot see. */
  readonly foreign: boolean;
  readonly createdAt: number;
  readonly visibleAt: number;
  readonly listedAt: number;
  /** When its deletion was accepted. */
  deletedAt: number | null;
  machines: Record<string, MachineRecord>;
  volumes: Record<string, VolumeRecord>;
  addresses: AddressRecord[];
  certificates: CertificateRecord[];
  secrets: Lagged<SecretsFace>;
  /** Soonest first. */
  agenda: AgendaEntry[];
}

/**
 * What becomes of a machine whose image does not boot: it is left as `failed`; or, when it never ran, it passes through
 * `launch_failed` and is destroyed. Fly does both.
 */
export type BootFailure = 'failed' | 'destroyed';

export interface ManifestRecord {
  readonly mediaType: string;
  readonly text: string;
  readonly pushedAt: number;
  /** Hosts do not find it before. */
  readonly pullableAt: number;
  /** Set by hand: its machines do not boot, see {@link BootFailure}. */
  readonly boot?: BootFailure;
}

export interface LogLine {
  readonly id: string;
  readonly at: number;
  /** Counts the lines of one millisecond, from 0. */
  readonly nth: number;
  readonly message: string;
  readonly level: string;
  readonly instance: string;
  readonly region: string;
  readonly provider: string;
}

/** Set by hand; what is absent is as usual. */
export interface RegionKnobs {
  capacity?: 'none' | 'quota';
  /** The organisation-wide lists lack the region and say so. */
  unlisted?: boolean;
}

export interface HostKnobs {
  /** Nothing new fits, and nothing there can grow or start. */
  full?: boolean;
  /** Extending a volume there says that the machine must be restarted. */
  extendNeedsRestart?: boolean;
  status?: 'unknown' | 'unreachable';
}

export interface WorldState {
  readonly format: 1;
  /** The latest time that was ever seen; the world's clock never runs backwards. */
  now: number;
  random: number;
  sequence: number;
  /** When the proxy looks for idle machines next; 0 before the first look is planned. */
  nextAutostopAt: number;
  apps: Record<string, AppRecord>;
  regions: Record<string, RegionKnobs>;
  hosts: Record<string, HostKnobs>;
  /** By `repository@digest`. */
  manifests: Record<string, ManifestRecord>;
  /** Digest by `repository:tag`. */
  tags: Record<string, string>;
  logs: Record<string, LogLine[]>;
  buckets: Record<string, Bucket>;
  bucketsSweptAt: number;
  faults: Fault[];
  outage: Outage | null;
}

/** A Fly without anything on it. Equal seeds have equal futures. */
export function emptyState(seed: number): WorldState {
  return {
    format: 1,
    now: 0,
    random: seed | 0,
    sequence: 0,
    nextAutostopAt: 0,
    apps: {},
    regions: {},
    hosts: {},
    manifests: {},
    tags: {},
    logs: {},
    buckets: {},
    bucketsSweptAt: 0,
    faults: [],
    outage: null,
  };
}

/** The record under a name that somebody else chose: `constructor` must not find what every object has. */
export function own<T>(records: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(records, key) ? records[key] : undefined;
}

/** Removes a record. The state is plain objects, not Maps, so that it is its own JSON. */
export function drop(records: Record<string, unknown>, key: string): void {
  Reflect.deleteProperty(records, key);
}
