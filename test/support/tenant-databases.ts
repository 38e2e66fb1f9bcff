/** Clears up the databases and roles that daemons made for tenants which a test never deletes. */
import { systemClock } from '../../src/clock.ts';
import { createTenantDatabases } from '../../src/database/tenant-databases.ts';
import { databaseName } from '../../src/tenant/names.ts';
import { silentLog, type TestDatabase } from './database.ts';

/** To be called when the daemons are stopped: they would make them again. */
export async function dropTenantDatabases(test: TestDatabase, uids: readonly string[]): Promise<void> {
  const log = silentLog();
  const options = { adminUrl: test.url, nameOf: databaseName, log, clock: systemClock };
  const databases = createTenantDatabases(options);
  const left = [...uids];
  // One after the other on each of its few connections: more would wait too long for one.
  const dropAll = async (): Promise<void> => {
    for (let uid = left.pop(); uid !== undefined; uid = left.pop()) await databases.drop(uid);
  };
  await Promise.all([dropAll(), dropAll(), dropAll()]);
  await databases.close();
}
