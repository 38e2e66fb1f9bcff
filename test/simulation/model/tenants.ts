/**
 * What is a TenantStore, without a database? The words of `store.ts` over a list of changes in memory, each operation
 * whole and at once. The contract suite of all stores is run on it, so a history that holds here holds on
 * PostgreSQL as far as that suite can tell. What it hands out is frozen and never changes.
 */
import { isDeepStrictEqual } from 'node:util';
import { admitNew, admitStatus, admitUpdate, type AdmittedMetadata } from '../../../src/store/admission.ts';
import { matchesLabels, parseLabelSelector } from '../../../src/store/label-selector.ts';
import {
  AlreadyExistsError,
  ConflictError,
  GoneError,
  InvalidError,
  NotFoundError,
  type ListOptions,
  type TenantEvent,
  type TenantList,
  type TenantName,
  type TenantStore,
} from '../../../src/store/store.ts';
import { API_VERSION, KIND } from '../../../src/tenant/names.ts';
import type { Tenant, TenantMetadata } from '../../../src/tenant/schema.ts';

export interface Change {
  readonly revision: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** As it is now; of a deleted one, as it was, with the version of its deletion. */
  readonly tenant: Tenant;
  readonly before: Tenant | undefined;
  readonly events: readonly TenantEvent[];
}

/** Without its promises: the model does everything at once. */
type AtOnce<F> = F extends (...args: infer Args) => Promise<infer Result> ? (...args: Args) => Result : never;

export type ModelTenants = {
  readonly [Name in Exclude<keyof TenantStore, 'watch'>]: AtOnce<TenantStore[Name]>;
} & {
  readonly revision: number;
  /** Changes after a revision, oldest first. Throws GoneError, and InvalidError for what is no revision. */
  changesAfter(resourceVersion: string): readonly Change[];
  /** Forgets every change up to now, so that older revisions are gone. */
  forgetHistory(): void;
};

export interface ModelTenantsOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly newUid: () => string;
  /** Called after every change that was committed. */
  readonly onCommit?: (change: Change) => void;
}

export function createModelTenants(options: ModelTenantsOptions): ModelTenants {
  const tenants = new Map<string, Tenant>();
  const changes: Change[] = [];
  let revision = 0;
  let compacted = 0;
  const timestamp = (): string => new Date(options.now()).toISOString();

  function commit(
    type: Change['type'],
    { before, after, events = [] }: { before?: Tenant; after: Tenant; events?: readonly TenantEvent[] },
  ): Tenant {
    revision += 1;
    const metadata = { ...after.metadata, resourceVersion: String(revision) };
    const tenant = deepFreeze({ ...after, metadata });
    if (type === 'DELETED') tenants.delete(keyOf(metadata));
    else tenants.set(keyOf(metadata), tenant);
    const change = { revision, type, tenant, before, events };
    changes.push(change);
    options.onCommit?.(change);
    return tenant;
  }

  function read(verb: string, name: TenantName, wanted: { uid?: string; resourceVersion?: string }): Tenant {
    const tenant = tenants.get(keyOf(name));
    if (tenant === undefined)
      throw new NotFoundError(`cannot ${verb} tenant "${keyOf(name)}": it does not exist`);
    const { uid, resourceVersion } = tenant.metadata;
    const other = wanted.uid !== undefined && wanted.uid !== uid;
    const stale = wanted.resourceVersion !== undefined && wanted.resourceVersion !== resourceVersion;
    if (other || stale)
      throw new ConflictError(`cannot ${verb} tenant "${keyOf(name)}": it was changed in the meantime`);
    return tenant;
  }

  function snapshot(at: number): Tenant[] {
    const then = new Map([...tenants.values()].map((tenant) => [tenant.metadata.uid, tenant]));
    for (const change of changes.toReversed()) {
      if (change.revision <= at) break;
      if (change.before === undefined) then.delete(change.tenant.metadata.uid);
      else then.set(change.tenant.metadata.uid, change.before);
    }
    return [...then.values()].sort((a, b) => (keyOf(a.metadata) < keyOf(b.metadata) ? -1 : 1));
  }

  return {
    get revision() {
      return revision;
    },
    get: (name) => tenants.get(keyOf(name)),
    getByUid: (uid) => [...tenants.values()].find(({ metadata }) => metadata.uid === uid),
    list(query = {}) {
      const at = query.continue === undefined ? { revision, after: '' } : parseToken(query.continue);
      if (at.revision < compacted)
        throw new GoneError('cannot list tenants: the list is too old to go on; list anew');
      const chosen = choose(snapshot(at.revision), query).filter(
        ({ metadata }) => keyOf(metadata) > at.after,
      );
      return page(chosen, at.revision, query.limit);
    },
    create(tenant, { dryRun = false } = {}) {
      const { metadata, spec } = admitNew(tenant);
      const { namespace, name } = tenant.metadata;
      if (tenants.has(keyOf(tenant.metadata)))
        throw new AlreadyExistsError(`cannot create tenant "${keyOf(tenant.metadata)}": it exists already`);
      const fixed = { name, namespace, uid: options.newUid(), resourceVersion: '0', generation: 1 };
      const after: Tenant = {
        apiVersion: API_VERSION,
        kind: KIND,
        metadata: { ...fixed, creationTimestamp: timestamp(), ...written(metadata) },
        spec,
      };
      return dryRun ? after : commit('ADDED', { after });
    },
    update(wanted, { dryRun = false } = {}) {
      const before = read('update', wanted.metadata, wanted.metadata);
      const { metadata, spec } = admitUpdate(before, wanted);
      const { labels: _l, annotations: _a, finalizers: _f, ...fixed } = before.metadata;
      const generation = fixed.generation + (isDeepStrictEqual(spec, before.spec) ? 0 : 1);
      const after: Tenant = { ...before, metadata: { ...fixed, generation, ...written(metadata) }, spec };
      if (dryRun || isDeepStrictEqual(after, before)) return after;
      const released = fixed.deletionTimestamp !== undefined && metadata.finalizers.length === 0;
      return commit(released ? 'DELETED' : 'MODIFIED', { before, after });
    },
    updateStatus(tenant, events = []) {
      const status = admitStatus(tenant.metadata, tenant.status);
      const before = read('update the status of', tenant.metadata, tenant.metadata);
      if (isDeepStrictEqual(status, before.status) && events.length === 0) return before;
      return commit('MODIFIED', { before, after: { ...before, status }, events });
    },
    delete(name, preconditions = {}) {
      const before = read('delete', name, preconditions);
      const { metadata } = before;
      if ((metadata.finalizers ?? []).length === 0) return commit('DELETED', { before, after: before });
      if (metadata.deletionTimestamp !== undefined) return before;
      const marked = {
        ...metadata,
        deletionTimestamp: timestamp(),
        generation: metadata.generation + 1,
      };
      return commit('MODIFIED', { before, after: { ...before, metadata: marked } });
    },
    changesAfter(resourceVersion) {
      if (!/^\d{1,15}$/.test(resourceVersion)) throw invalid('resourceVersion', 'must be one that was told');
      const position = Number(resourceVersion);
      if (position < compacted || position > revision)
        throw new GoneError(`cannot watch tenants from resourceVersion "${position}": it is no longer kept`);
      return changes.slice(changes.findLastIndex((change) => change.revision <= position) + 1);
    },
    forgetHistory() {
      compacted = revision;
      changes.length = 0;
    },
  };
}

function keyOf({ namespace, name }: TenantName): string {
  return `${namespace}/${name}`;
}

function written({ labels, annotations, finalizers }: AdmittedMetadata): Partial<TenantMetadata> {
  return {
    ...(finalizers.length > 0 && { finalizers: [...finalizers] }),
    ...(Object.keys(labels).length > 0 && { labels: { ...labels } }),
    ...(Object.keys(annotations).length > 0 && { annotations: { ...annotations } }),
  };
}

function choose(tenants: readonly Tenant[], { namespace, owner, labelSelector }: ListOptions): Tenant[] {
  const requirements = parseLabelSelector(labelSelector ?? '');
  return tenants.filter(
    ({ metadata, spec }) =>
      (namespace === undefined || metadata.namespace === namespace) &&
      (owner === undefined || spec.owner === owner) &&
      matchesLabels(requirements, metadata.labels ?? {}),
  );
}

function page(chosen: readonly Tenant[], revision: number, limit = Infinity): TenantList {
  const items = chosen.slice(0, limit);
  const last = items.at(-1);
  const resourceVersion = String(revision);
  if (last === undefined || items.length === chosen.length) return { items, resourceVersion };
  return { items, resourceVersion, continue: JSON.stringify([revision, keyOf(last.metadata)]) };
}

function parseToken(token: string): { revision: number; after: string } {
  const [, revision = '', after = ''] = /^\[(\d+),"([^"]*)"\]$/.exec(token) ?? [];
  if (revision === '') throw invalid('continue', 'must be a token of this very list');
  return { revision: Number(revision), after };
}

function invalid(path: string, message: string): InvalidError {
  return new InvalidError(`cannot read tenants: ${path} ${message}`, [{ path, message }]);
}

/** What is frozen already is frozen to its end: the parts that an update keeps are not walked again. */
function deepFreeze<T extends object>(value: T): T {
  if (Object.isFrozen(value)) return value;
  for (const inner of Object.values(value) as unknown[])
    if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
