/**
 * How does a replica that has lost a tenant keep its hands off the tenant's record? Each write asks first. One that
 * slips through in that very moment meets the compare-and-swap: it wins only where its successor has not written yet,
 * and then the successor's own write fails before it has asked Fly for anything.
 */
import { TransientError } from '../../controller/outcome.ts';
import type { TenantName, TenantStore } from '../../store/store.ts';
import { NOT_PERMITTED } from './failures.ts';

type ReconcilerStore = Pick<TenantStore, 'get' | 'update' | 'updateStatus'>;

/** The store for someone who may write only as long as `mayAct` says so; then writes throw TransientError. */
export function permittedStore(store: ReconcilerStore, mayAct: () => boolean): ReconcilerStore {
  function check({ namespace, name }: TenantName): void {
    if (mayAct()) return;
    const message = `cannot write tenant "${namespace}/${name}": this replica may no longer act on it`;
    throw new TransientError(NOT_PERMITTED, message);
  }
  return {
    get: (name) => store.get(name),
    async update(tenant) {
      check(tenant.metadata);
      return await store.update(tenant);
    },
    async updateStatus(write, events) {
      check(write.metadata);
      return await store.updateStatus(write, events);
    },
  };
}
