/** What a test does with the tenants' own databases: tries a password, and clears up what nobody deletes. */
import pg from 'pg';
import { systemClock } from '../../src/clock.ts';
import { createTenantDatabases } from '../../src/database/tenant-databases.ts';
import { databaseName } from '../../src/tenant/names.ts';
import { silentLog, type TestDatabase } from './database.ts';

/** Whether the password of the address opens its database, and may make something there. */
export async function opens(url: string): Promise<boolean> {
  const client = new pg.Client(url);
  try {
    await client.connect();
    await client.query('CREATE TABLE IF NOT EXISTS proof (id int)');
    return true;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '28P01') return false;
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

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
