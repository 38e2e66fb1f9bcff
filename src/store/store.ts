/**
 * What may be asked of the place where Tenants are kept? Kubernetes' semantics, whatever lies below. Every
 * door writes here and nowhere else, the control loop reads here and writes status back. One contract test
 * suite holds every adapter to these words.
 */
import type { Issue } from '../tenant/validation.ts';
import type { Tenant, TenantSpec, TenantStatus } from '../tenant/schema.ts';

/** Names one tenant; unique among those that exist at one time. */
export interface TenantName {
  readonly namespace: string;
  readonly name: string;
}

/** What a create needs; the store adds uid, generation, resourceVersion and creationTimestamp. */
export interface NewTenant {
  readonly metadata: TenantName & {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
  };
  /** Unparsed: the store validates and fills in defaults. */
  readonly spec: unknown;
}

/** Something that happened to a tenant, told to people. Never holds a secret. */
export interface TenantEvent {
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, stable. */
  readonly reason: string;
  readonly message: string;
}

/** An event as it is kept: equal ones in a row are counted, not repeated. */
export interface StoredEvent extends TenantEvent {
  /** Grows; for resuming a stream. A repeat gives the event a new id. */
  readonly id: number;
  readonly tenantUid: string;
  readonly count: number;
  readonly firstAt: string;
  readonly lastAt: string;
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly tenant: Tenant }
  /** Nothing happened up to this resourceVersion; sent once when the backlog is through, then now and then. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface TenantList {
  readonly items: readonly Tenant[];
  /** From here a watch misses nothing of what came after the list. */
  readonly resourceVersion: string;
  /** Present when there is more; only valid for the same query. */
  readonly continue?: string;
}

export interface ListOptions {
  readonly namespace?: string;
  /** Only tenants with this `spec.owner`. */
  readonly owner?: string;
  /** Kubernetes' label selector: `a=b,c!=d,e in (f,g),h,!i` (label-selector.ts). */
  readonly labelSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
}

export interface TenantStore {
  get(name: TenantName): Promise<Tenant | undefined>;
  getByUid(uid: string): Promise<Tenant | undefined>;
  list(options?: ListOptions): Promise<TenantList>;
  /**
   * All changes after `resourceVersion` in the order in which they were committed, until `signal` aborts (the
   * iteration then ends without an error). Throws GoneError when the version is too old, and any other error
   * when the connection breaks: start again from the last version seen, or list anew.
   */
  watch(options: {
    readonly resourceVersion: string;
    readonly namespace?: string;
    readonly signal: AbortSignal;
  }): AsyncIterable<WatchEvent>;
  /** Throws InvalidError, AlreadyExistsError. */
  create(tenant: NewTenant, options?: WriteOptions): Promise<Tenant>;
  /**
   * Replaces spec, labels, annotations and finalizers where `metadata.resourceVersion` is still the stored
   * one (ConflictError otherwise). Bumps generation only when spec changed; writes nothing when nothing did.
   * Never touches status. A tenant under deletion whose last finalizer goes is removed.
   * Throws InvalidError, NotFoundError, ConflictError.
   */
  update(tenant: TenantUpdate, options?: WriteOptions): Promise<Tenant>;
  /**
   * Replaces status and appends events; never touches spec. Same compare-and-swap. Events are never told without the
   * status: both in one transaction where the store has such, else a little after it.
   */
  updateStatus(
    tenant: { readonly metadata: Tenant['metadata']; readonly status: TenantStatus },
    events?: readonly TenantEvent[],
  ): Promise<Tenant>;
  /** Removes at once, or sets deletionTimestamp while finalizers remain. Throws NotFoundError, ConflictError. */
  delete(name: TenantName, preconditions?: { uid?: string; resourceVersion?: string }): Promise<Tenant>;
}

export interface WriteOptions {
  /** Validate and answer as if written, but write nothing. */
  readonly dryRun?: boolean;
}

export interface TenantUpdate {
  readonly metadata: TenantName & {
    readonly resourceVersion: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>> | undefined;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
    readonly finalizers?: readonly string[] | undefined;
  };
  readonly spec: TenantSpec;
}

/** What happened to tenants, kept for people; bounded for each tenant. */
export interface EventStore {
  record(tenantUid: string, events: readonly TenantEvent[]): Promise<void>;
  /** Oldest first, those with an id above `afterId`. */
  list(
    tenantUid: string,
    options?: { readonly afterId?: number; readonly limit?: number },
  ): Promise<StoredEvent[]>;
  /** History after `afterId`, then live, until `signal` aborts. */
  watch(
    tenantUid: string,
    options: { readonly afterId: number; readonly signal: AbortSignal },
  ): AsyncIterable<StoredEvent>;
}

/** An event, and whose. */
export interface SurveyedEvent extends StoredEvent {
  readonly tenant: TenantName;
}

/** What is known across tenants, for a door that stands in for an API server. */
export interface Survey {
  /** Namespaces that hold tenants, sorted. */
  namespaces(): Promise<string[]>;
  /** The newest first; of tenants that still exist, in one namespace or in all. */
  recentEvents(options: { readonly namespace?: string; readonly limit: number }): Promise<SurveyedEvent[]>;
}

export class NotFoundError extends Error {
  override readonly name = 'NotFoundError';
}

export class AlreadyExistsError extends Error {
  override readonly name = 'AlreadyExistsError';
}

/** The stored resourceVersion (or uid) is not the one that the writer had read. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError';
}

/** The resourceVersion is older than the changes still kept: list anew. */
export class GoneError extends Error {
  override readonly name = 'GoneError';
}

/**
 * The place where tenants are kept cannot serve: nothing is wrong with the tenant. `unavailable` and `busy` pass by
 * themselves; `refused` means that it does not let Landlord in, or is not set up, which a person must mend.
 */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly kind: 'unavailable' | 'busy' | 'refused';
  /** Not sooner than this. */
  readonly retryAfterMs: number | undefined;
  /** True when the write may have been done all the same. */
  readonly ambiguous: boolean;

  constructor(
    message: string,
    details: {
      readonly kind: StoreError['kind'];
      readonly retryAfterMs?: number | undefined;
      readonly ambiguous?: boolean;
    },
  ) {
    super(message);
    this.kind = details.kind;
    this.retryAfterMs = details.retryAfterMs;
    this.ambiguous = details.ambiguous ?? false;
  }
}

export class InvalidError extends Error {
  override readonly name = 'InvalidError';
  readonly issues: readonly Issue[];

  constructor(message: string, issues: readonly Issue[]) {
    super(message);
    this.issues = issues;
  }
}
