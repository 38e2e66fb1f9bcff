/**
 * How does an empty or older database get today's tables? The numbered .sql files of migrations/, in order, each
 * exactly once, all pending ones in one transaction, forward only. Two daemons that start at once wait for each
 * other on kysely's advisory lock; and one that starts beside its server, or while that recovers, waits for the server.
 */
import { readdir, readFile } from 'node:fs/promises';
import { Kysely, Migrator, PostgresDialect, sql, type Migration } from 'kysely';
import pRetry from 'p-retry';
import pg from 'pg';
import type { Logger } from 'pino';
import { clientConfig } from './connection.ts';
import { DatabaseError, toDatabaseError } from './errors.ts';

/** The same relative path from src/database and from dist/database. */
const FOLDER = new URL('../../migrations/', import.meta.url);
const FILE_NAME = /^\d{4}_[a-z0-9_]+\.sql$/;
const TABLE = 'landlord_migrations';
/** How long a server may be away: beyond it whoever started the daemon should hear of it, and start it again. */
const PATIENCE_MS = 30_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2_000;

/** The database cannot be brought to what this Landlord needs. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

export interface MigrateOptions {
  readonly url: string;
  readonly log: Logger;
  readonly folder?: URL;
  /** Ends the wait for a server that is not there yet. */
  readonly signal?: AbortSignal;
  /** How long that wait lasts at most. */
  readonly patienceMs?: number;
}

/** Brings the database at `url` up to date. Throws MigrationError, or the signal's reason when that ends the wait. */
export async function migrate(options: MigrateOptions): Promise<void> {
  const { log, signal, patienceMs = PATIENCE_MS } = options;
  const migrations = await readMigrations(options.folder ?? FOLDER);
  await pRetry(() => migrateOnce(options, migrations), {
    ...(signal !== undefined && { signal }),
    retries: Number.POSITIVE_INFINITY,
    minTimeout: FIRST_PAUSE_MS,
    maxTimeout: LONGEST_PAUSE_MS,
    maxRetryTime: patienceMs,
    shouldRetry: ({ error }) => isAway(error),
    onFailedAttempt: ({ attemptNumber, error }) => {
      if (attemptNumber === 1 && isAway(error) && patienceMs > 0)
        log.warn(`${error.message}; trying again for ${Math.round(patienceMs / 1_000)} s`);
    },
  });
}

function isAway({ cause }: Error): boolean {
  return cause instanceof DatabaseError && cause.kind === 'unavailable';
}

/** It uses a connection of its own, because a migration may rightly take longer than the limits of the pool. */
async function migrateOnce(options: MigrateOptions, migrations: Record<string, Migration>): Promise<void> {
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
  const cause = toDatabaseError(error);
  return new MigrationError(`cannot migrate ${what}: ${cause.message}`, { cause });
}
