/**
 * How does a process see the store? Over the wire: every operation is a call that can fail, and a watch tells of
 * changes in the order of their commits, but later, without the bell that should have woken it, or not at all once
 * its connection is cut.
 */
import type { TenantStore, WatchEvent } from '../../../src/store/store.ts';
import type { ModelTenants } from './tenants.ts';

export interface StoreLink {
  /** Carries one operation out at the store, if it gets there. */
  call<T>(operation: string, perform: () => T): Promise<T>;
  /**
   * Resolves when there may be something to read, after `limitMs` at the latest, or when `signal` aborts. Rejects
   * when the connection breaks.
   */
  news(options: { readonly limitMs: number; readonly signal: AbortSignal }): Promise<void>;
  /** Milliseconds since the epoch, as the process reads them. */
  now(): number;
}

/** As the real stores do. */
const BOOKMARK_INTERVAL_MS = 60_000;

export function createStorePort(tenants: ModelTenants, link: StoreLink): TenantStore {
  async function* watch({
    resourceVersion,
    namespace,
    signal,
  }: Parameters<TenantStore['watch']>[0]): AsyncGenerator<WatchEvent> {
    let position = resourceVersion;
    let bookmarkAt = link.now();
    while (!signal.aborted) {
      const changes = tenants.changesAfter(position);
      for (const { type, tenant } of changes) {
        if (isAborted(signal)) return;
        position = tenant.metadata.resourceVersion;
        if (namespace === undefined || tenant.metadata.namespace === namespace) yield { type, tenant };
      }
      if (changes.length > 0) continue;
      if (link.now() >= bookmarkAt) {
        bookmarkAt = link.now() + BOOKMARK_INTERVAL_MS;
        yield { type: 'BOOKMARK', resourceVersion: position };
        continue;
      }
      // Nothing was awaited since the changes were read: no news is missed in between.
      await link.news({ limitMs: bookmarkAt - link.now(), signal });
    }
  }

  return {
    get: (name) => link.call('get', () => tenants.get(name)),
    getByUid: (uid) => link.call('getByUid', () => tenants.getByUid(uid)),
    list: (query) => link.call('list', () => tenants.list(query)),
    create: (tenant, options) => link.call('create', () => tenants.create(tenant, options)),
    update: (tenant, options) => link.call('update', () => tenants.update(tenant, options)),
    updateStatus: (tenant, events) => link.call('updateStatus', () => tenants.updateStatus(tenant, events)),
    delete: (name, preconditions) => link.call('delete', () => tenants.delete(name, preconditions)),
    watch,
  };
}

/** Asked by a function: what was read before an await says nothing afterwards. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
