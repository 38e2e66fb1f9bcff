/**
 * Where does a test file get a database that nobody else touches? It clones the migrated template, which takes
 * tens of milliseconds. Dropping it fails when a connection was left open, and names it: a leak is a failed test.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { pino } from 'pino';
import { inject } from 'vitest';
import { systemClock, type Clock } from '../../src/clock.ts';
import { connect, type Database } from '../../src/database/connection.ts';

export interface TestDatabase {
  /** A superuser's URL of this database. */
  readonly url: string;
  /** One connected pool for the test file; `drop` closes it. Further pools are the test's own to close. */
  readonly database: Database;
  /** A query on a connection of its own, so that nothing of the pool is in its way. */
  readonly query: <Row extends pg.QueryResultRow>(
    text: string,
    values?: readonly unknown[],
  ) => Promise<Row[]>;
  /** Closes `database` and drops everything. Throws when somebody else is still connected. */
  readonly drop: () => Promise<void>;
}

/** A migrated, empty database. Call it in `beforeAll` (or a test) and `drop()` in `afterAll`. */
export async function createTestDatabase(options: { clock?: Clock } = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administer(`CREATE DATABASE ${name} TEMPLATE ${inject('templateDatabase')}`);
  const url = new URL(inject('databaseAdminUrl'));
  url.pathname = name;
  const database = connect({ url: url.href, log: silentLog(), clock: options.clock ?? systemClock });
  return {
    url: url.href,
    database,
    query: (text, values = []) => queryOnce(url.href, text, values),
    async drop() {
      await database.close();
      const left = await settledConnections(name);
      await administer(`DROP DATABASE ${name} WITH (FORCE)`);
      if (left.length > 0)
        throw new Error(`the test left connections open that last ran: ${left.join('; ')}`);
    },
  };
}

/** For parts that must be given a log in a test that does not read it. */
export function silentLog(): pino.Logger {
  return pino({ level: 'silent' });
}

/** One statement on the server's own database, as its superuser. */
export function administer(text: string): Promise<pg.QueryResultRow[]> {
  return queryOnce(inject('databaseAdminUrl'), text, []);
}

async function queryOnce<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: readonly unknown[],
): Promise<Row[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<Row>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

/** Last statements of the connections to a database. A closed one is gone from the server a moment later. */
async function settledConnections(name: string): Promise<string[]> {
  const list = `SELECT coalesce(nullif(query, ''), 'nothing') AS query FROM pg_stat_activity WHERE datname = $1`;
  for (let attempt = 0; ; attempt += 1) {
    const rows = await queryOnce<{ query: string }>(inject('databaseAdminUrl'), list, [name]);
    if (rows.length === 0 || attempt === 100) return rows.map((row) => row.query);
    await queryOnce(inject('databaseAdminUrl'), 'SELECT pg_sleep(0.02)', []);
  }
}
