/**
 * What did a request change? A store that notes, for one request, each tenant that it wrote: what it replaced and what
 * it put there. The doors write through it, so that nothing is forgotten that somebody adds to them later.
 */
import { isDeepStrictEqual } from 'node:util';
import type { TenantStore } from '../store/store.ts';
import type { Tenant } from '../tenant/schema.ts';

/** A tenant before and after; the one is absent for a new tenant, the other for one that is gone. */
export interface TenantChange {
  readonly before?: Tenant | undefined;
  readonly after?: Tenant | undefined;
}

/** The same store; `note` is told of every write that was committed. Made for one request, which reads before it writes. */
export function noteChanges(store: TenantStore, note: (change: TenantChange) => void): TenantStore {
  /** By uid, as this request last saw it. */
  const seen = new Map<string, Tenant>();
  const look = (tenant: Tenant | undefined): Tenant | undefined => {
    if (tenant !== undefined) seen.set(tenant.metadata.uid, tenant);
    return tenant;
  };
  return {
    ...store,
    get: async (name) => look(await store.get(name)),
    getByUid: async (uid) => look(await store.getByUid(uid)),
    async create(tenant, options) {
      const after = await store.create(tenant, options);
      if (options?.dryRun !== true) note({ after });
      return after;
    },
    async update(tenant, options) {
      const after = await store.update(tenant, options);
      if (options?.dryRun !== true) note({ before: seen.get(after.metadata.uid), after });
      return after;
    },
    async updateStatus(tenant, events) {
      const after = await store.updateStatus(tenant, events);
      note({ before: seen.get(after.metadata.uid), after });
      return after;
    },
    async delete(name, preconditions) {
      const left = await store.delete(name, preconditions);
      const gone = (left.metadata.finalizers ?? []).length === 0;
      note({ before: seen.get(left.metadata.uid) ?? left, ...(!gone && { after: left }) });
      return left;
    },
  };
}

type Fields = Readonly<Record<string, unknown>>;

/** What a person may have changed of a tenant; versions and status say nothing about that. */
export function wishOf(tenant: Tenant | undefined): Fields | undefined {
  if (tenant === undefined) return undefined;
  const { namespace, name, generation, deletionTimestamp, labels, annotations, finalizers } = tenant.metadata;
  const metadata = { namespace, name, generation, deletionTimestamp, labels, annotations, finalizers };
  return { metadata, spec: tenant.spec };
}

/** Of two documents the fields in which they differ, each with its own value; whole where there is only one. */
export function difference(
  before: Fields | undefined,
  after: Fields | undefined,
): { before: Fields | undefined; after: Fields | undefined } {
  if (before === undefined || after === undefined) return { before, after };
  const left: Record<string, unknown> = {};
  const right: Record<string, unknown> = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [was, is] = [before[name], after[name]];
    if (isDeepStrictEqual(was, is)) continue;
    const inner = isFields(was) && isFields(is) ? difference(was, is) : { before: was, after: is };
    if (inner.before !== undefined) left[name] = inner.before;
    if (inner.after !== undefined) right[name] = inner.after;
  }
  return { before: left, after: right };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
