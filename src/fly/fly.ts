/**
 * What can Landlord ask of Fly? One function an operation, Fly's own field names inside, an AbortSignal
 * everywhere. Reads may be retried a few times inside; a write is sent once and its failure reported.
 * Every function rejects with FlyError only. Whoever deletes a machine, a volume, an address or a certificate has just
 * seen it in a list: there a 404 is the failure `NotFound` and no success, since one of the two is behind, and until
 * both agree nobody may rely on its being gone.
 */
import type {
  WireApp,
  WireCertificate,
  WireCertificateDetail,
  WireIpAssignment,
  WireLease,
  WireLogLine,
  WireMachine,
  WireMachineCreate,
  WireMachineEvent,
  WireMachineUpdate,
  WireMetricSeries,
  WireOrgMachine,
  WireOrgVolume,
  WireRegion,
  WireSecret,
  WireVolume,
  WireVolumeCreate,
} from './wire.ts';

/** Names one machine. */
export interface MachineTarget {
  readonly app: string;
  readonly machineId: string;
  /** Nonce of a lease that the caller holds, sent with every write. */
  readonly nonce?: string;
}

export interface FlyApps {
  /** Undefined when no app of that name is visible to us. 403 (somebody else's) rejects with `NameTaken`. */
  get(app: string, signal: AbortSignal): Promise<WireApp | undefined>;
  list(signal: AbortSignal): Promise<WireApp[]>;
  create(request: { name: string; network?: string }, signal: AbortSignal): Promise<{ id: string }>;
  /** Deletes the app and all in it. An app that is not there is success. */
  delete(app: string, signal: AbortSignal): Promise<void>;
  /**
   * Mints a token that is good for this one app and ends after `expiryMs`: the narrowest that Fly has. As Fly prints
   * it, with its scheme word.
   */
  createDeployToken(
    app: string,
    options: { readonly expiryMs: number },
    signal: AbortSignal,
  ): Promise<string>;
}

export interface FlyMachines {
  /** Live machines of the app, with config and events. Undefined: Fly knows no such app. */
  list(app: string, signal: AbortSignal): Promise<WireMachine[] | undefined>;
  get(target: MachineTarget, signal: AbortSignal): Promise<WireMachine | undefined>;
  create(app: string, request: WireMachineCreate, signal: AbortSignal): Promise<WireMachine>;
  update(target: MachineTarget, request: WireMachineUpdate, signal: AbortSignal): Promise<WireMachine>;
  start(target: MachineTarget, signal: AbortSignal): Promise<void>;
  stop(target: MachineTarget, signal: AbortSignal): Promise<void>;
  suspend(target: MachineTarget, signal: AbortSignal): Promise<void>;
  restart(target: MachineTarget, signal: AbortSignal): Promise<void>;
  /** Destroys with force. Throws `NotFound`, see the head of this file. */
  destroy(target: MachineTarget, signal: AbortSignal): Promise<void>;
  /**
   * Blocks until the machine is in one of the states, at most `timeoutMs` (60 s is Fly's maximum).
   * `false`: not yet (Fly's 408), or the version waited for was replaced.
   */
  wait(
    target: MachineTarget,
    options: { states: readonly string[]; version?: string; timeoutMs: number },
    signal: AbortSignal,
  ): Promise<boolean>;
  lease(
    target: MachineTarget,
    options: { ttlMs: number; description: string },
    signal: AbortSignal,
  ): Promise<WireLease>;
  getLease(target: MachineTarget, signal: AbortSignal): Promise<WireLease | undefined>;
  releaseLease(target: MachineTarget & { readonly nonce: string }, signal: AbortSignal): Promise<void>;
  getMetadata(target: MachineTarget, signal: AbortSignal): Promise<Record<string, string>>;
  /** Merges; makes no new machine version. An empty value removes the key. */
  setMetadata(
    target: MachineTarget,
    request: { metadata: Record<string, string>; machineVersion?: string },
    signal: AbortSignal,
  ): Promise<void>;
  events(target: MachineTarget, options: { limit: number }, signal: AbortSignal): Promise<WireMachineEvent[]>;
}

export interface FlyVolumes {
  /** All volumes of the app that Fly still lists, without the soft-deleted ones. Undefined: it knows no such app. */
  list(app: string, signal: AbortSignal): Promise<WireVolume[] | undefined>;
  /** Undefined when Fly does not know it or it is deleted. */
  get(app: string, volumeId: string, signal: AbortSignal): Promise<WireVolume | undefined>;
  create(app: string, request: WireVolumeCreate, signal: AbortSignal): Promise<WireVolume>;
  /** Grows to `sizeGb` in total. */
  extend(
    app: string,
    volumeId: string,
    sizeGb: number,
    signal: AbortSignal,
  ): Promise<{ volume: WireVolume; needsRestart: boolean }>;
  /** Throws `NotFound`, see the head of this file. */
  delete(app: string, volumeId: string, signal: AbortSignal): Promise<void>;
}

export interface FlyNetwork {
  /** Undefined: Fly knows no such app. */
  listAddresses(app: string, signal: AbortSignal): Promise<WireIpAssignment[] | undefined>;
  allocateAddress(app: string, type: 'shared_v4' | 'v6', signal: AbortSignal): Promise<WireIpAssignment>;
  releaseAddress(app: string, ip: string, signal: AbortSignal): Promise<void>;
}

export interface FlyCertificates {
  /** Undefined: Fly knows no such app. */
  list(app: string, signal: AbortSignal): Promise<WireCertificate[] | undefined>;
  get(app: string, hostname: string, signal: AbortSignal): Promise<WireCertificateDetail | undefined>;
  /** Requests an ACME certificate. */
  create(app: string, hostname: string, signal: AbortSignal): Promise<WireCertificateDetail>;
  delete(app: string, hostname: string, signal: AbortSignal): Promise<void>;
}

export interface FlySecrets {
  /** Names and digests; values never come back. Undefined: Fly knows no such app. */
  list(app: string, minVersion: number | undefined, signal: AbortSignal): Promise<WireSecret[] | undefined>;
  /** Sets and (with null) unsets in one atomic call. */
  set(
    app: string,
    values: Readonly<Record<string, string | null>>,
    signal: AbortSignal,
  ): Promise<{ version: number; secrets: WireSecret[] }>;
}

/** What changed since `updatedAfter`, oldest first, one page. Recent changes may appear late: overlap. */
export interface OrgPage<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
  /** Regions whose data is missing: absence of a thing there proves nothing. */
  readonly errorRegions: readonly string[];
}

export interface FlyOrganisation {
  machines(
    query: { updatedAfter?: string; cursor?: string; includeDeleted?: boolean },
    signal: AbortSignal,
  ): Promise<OrgPage<WireOrgMachine>>;
  volumes(
    query: { updatedAfter?: string; cursor?: string; includeDeleted?: boolean },
    signal: AbortSignal,
  ): Promise<OrgPage<WireOrgVolume>>;
  regions(signal: AbortSignal): Promise<WireRegion[]>;
}

export interface FlyRegistry {
  /** Digest (`sha256:…`) of a tag or digest; undefined when the registry does not know it. */
  resolve(
    image: { registry: string; repository: string; reference: string },
    signal: AbortSignal,
  ): Promise<string | undefined>;
  /** Deletes a manifest by digest; one that is not there is success. Other tags of the digest vanish with it. */
  deleteManifest(image: { repository: string; digest: string }, signal: AbortSignal): Promise<void>;
}

export interface FlyTelemetry {
  logs(
    app: string,
    query: { nextToken?: string; instance?: string },
    signal: AbortSignal,
  ): Promise<{ lines: WireLogLine[]; nextToken?: string }>;
  /** PromQL over a range; times in milliseconds since the epoch. */
  queryRange(
    query: { promql: string; fromMs: number; toMs: number; stepMs: number },
    signal: AbortSignal,
  ): Promise<WireMetricSeries[]>;
  /** PromQL at one instant. */
  query(promql: string, signal: AbortSignal): Promise<WireMetricSeries[]>;
}

export interface Fly {
  readonly apps: FlyApps;
  readonly machines: FlyMachines;
  readonly volumes: FlyVolumes;
  readonly network: FlyNetwork;
  readonly certificates: FlyCertificates;
  readonly secrets: FlySecrets;
  readonly organisation: FlyOrganisation;
  readonly registry: FlyRegistry;
  readonly telemetry: FlyTelemetry;
  /** Closes the connections. */
  close(): Promise<void>;
}
