import { systemClock } from '../../../src/clock.ts';
import { createPostgresStore } from '../../../src/store/postgres/postgres-store.ts';
import { createTestDatabase, silentLog } from '../../support/database.ts';
import { describeTenantStore } from '../contract.ts';

describeTenantStore('the postgres store', async () => {
  const { database, query, drop } = await createTestDatabase();
  const store = createPostgresStore({
    database,
    clock: systemClock,
    log: silentLog(),
    pollIntervalMs: 200,
    retention: { keepChanges: 0, keepChangesMs: -1 },
  });
  let namespaces = 0;
  return {
    store: store.tenants,
    newNamespace: () => Promise.resolve(`case-${(namespaces += 1)}`),
    forgetHistory: () => store.compact(),
    cutConnections: async () => {
      await query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      );
    },
    stop: async () => {
      await store.close();
      await drop();
    },
  };
});
