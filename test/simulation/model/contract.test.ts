/** The model of the store is held to the same words as every real store. */
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../../src/clock.ts';
import { createBell } from '../../../src/store/postgres/bell.ts';
import { describeTenantStore } from '../../store/contract.ts';
import { createStorePort } from './store.ts';
import { createModelTenants } from './tenants.ts';

describeTenantStore('the model of the store', () => {
  const written = createBell(systemClock);
  const tenants = createModelTenants({
    now: () => systemClock.now(),
    newUid: () => randomUUID(),
    onCommit: () => written.ring(),
  });
  let cuts = 0;
  let namespaces = 0;
  return Promise.resolve({
    store: createStorePort(tenants, {
      // A turn of the event loop each way, so that writers really are under way at the same time.
      async call(_, perform) {
        await new Promise((resolve) => setImmediate(resolve));
        return perform();
      },
      async news({ limitMs, signal }) {
        const before = cuts;
        await written.wait({ seen: written.rings, limitMs, signal });
        if (cuts !== before) throw new Error('the connection was cut');
      },
      now: () => systemClock.now(),
    }),
    newNamespace: () => Promise.resolve(`case-${(namespaces += 1)}`),
    forgetHistory() {
      tenants.forgetHistory();
      return Promise.resolve();
    },
    cutConnections() {
      cuts += 1;
      written.ring();
      return Promise.resolve();
    },
    stop: () => Promise.resolve(),
  });
});
