/**
 * How does an empty or older database get today's tables? The numbered .sql files of migrations/, in order, each
 * exactly once, all pending ones in one transaction, forward only. Two daemons that start at once wait for each
 * other on kysely's advisory lock.
 */
import { readdir, readFile } from 'node:fs/promises';
import { Kysely, Migrator, PostgresDialect, sql, type Migration } from 'kysely';
import pg from 'pg';
import type { Logger } from 'pino';
import { clientConfig } from './connection.ts';
import { toDatabaseError } from './errors.ts';

/** The same relative path from src/database and from dist/database. */
const FOLDER = new URL('../../migrations/', import.meta.url);
const FILE_NAME = /^\d{4}_[a-z0-9_]+\.sql$/;
const TABLE = 'landlord_migrations';

/** The database cannot be brought to what this Landlord needs. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

/**
 * Brings the database at `url` up to date. It uses a connection of its own, because a migration may rightly take
 * longer than the limits of the pool. Throws MigrationError.
 */
export async function migrate(options: { url: string; log: Logger; folder?: URL }): Promise<void> {
  const migrations = await readMigrations(options.folder ?? FOLDER);
  const pool = new pg.Pool({ ...clientConfig(options.url), max: 1 });
  pool.on('error', () => undefined); // The running query reports it as well.
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    await refuseNewer(db, Object.keys(migrations));
    const migrator = new Migrator({
      db,
      provider: { getMigrations: () => Promise.resolve(migrations) },
      migrationTableName: TABLE,
      migrationLockTableName: `${TABLE}_lock`,
    });
    const { error, results } = await migrator.migrateToLatest();
    const failed = results?.find((result) => result.status === 'Error')?.migrationName;
    if (error !== undefined) throw failure(error, failed);
    for (const result of results ?? [])
      options.log.info({ migration: result.migrationName }, 'migrated the database');
  } catch (error) {
    throw error instanceof MigrationError ? error : failure(error);
  } finally {
    await pool.end();
  }
}

async function readMigrations(folder: URL): Promise<Record<string, Migration>> {
  const names = (await readdir(folder)).filter((name) => FILE_NAME.test(name));
  const entries = names.map(async (name): Promise<[string, Migration]> => {
    const text = await readFile(new URL(name, folder), 'utf8');
    const up = async (db: Kysely<unknown>): Promise<void> => {
      await sql.raw(text).execute(db);
    };
    return [name.replace(/\.sql$/, ''), { up }];
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** A migration that we do not know was made by a Landlord newer than this one: nothing is safe to assume then. */
async function refuseNewer(db: Kysely<unknown>, known: readonly string[]): Promise<void> {
  const exists = await sql<{ found: boolean }>`SELECT to_regclass(${TABLE}) IS NOT NULL AS found`.execute(db);
  if (exists.rows[0]?.found !== true) return;
  const applied = await sql<{ name: string }>`SELECT name FROM ${sql.table(TABLE)} ORDER BY name`.execute(db);
  const unknown = applied.rows.map((row) => row.name).filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  throw new MigrationError(
    `cannot migrate the database: it was migrated by a newer Landlord (${unknown.join(', ')}); ` +
      'run that version, or give this one a database of its own',
  );
}

function failure(error: unknown, migration?: string): MigrationError {
  const what = migration === undefined ? 'the database' : `the database with "${migration}"`;
  return new MigrationError(`cannot migrate ${what}: ${toDatabaseError(error).message}`);
}
