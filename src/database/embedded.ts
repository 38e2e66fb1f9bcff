/**
 * How does Landlord come by a PostgreSQL when nobody gave it one? It runs a real server of its own: data below
 * the state folder, loopback only, a generated password. The server ends with Landlord; one that outlived a
 * `kill -9` is stopped at the next start; one that dies by itself is started again.
 */
import { mkdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { findBinaries, runnableBinaries, type Binaries } from './embedded-binaries.ts';
import { launchOnFreePort, launchOnPort } from './embedded-launch.ts';
import { choosePlace, readRecord, recordedPlace } from './embedded-place.ts';
import { checkMajor, initialise, SUPERUSER } from './embedded-server.ts';
import { stopStaleServer } from './embedded-stale.ts';
import { keepRunning } from './embedded-supervisor.ts';
import { toDatabaseError } from './errors.ts';
import { chooseServerUser } from './server-user.ts';

export interface EmbeddedPostgres {
  /** Connects as the superuser to Landlord's own database. Holds the password. */
  readonly url: string;
  readonly dataDir: string;
  /** Ends connections and the server. Safe to call twice. */
  readonly stop: () => Promise<void>;
}

export interface EmbeddedOptions {
  /** Already locked by the caller (`lockStateDir`): two servers on one data directory would be its end. */
  readonly stateDir: string;
  readonly log: Logger;
  readonly clock: Clock;
  /** Gives up the start; a server that is up already is ended by `stop`. */
  readonly signal?: AbortSignal;
  /** Exactly this port. Otherwise the one of the last start, or another when that one is taken. */
  readonly port?: number;
  /** False trades safety after a power cut for speed: only for tests. */
  readonly durable?: boolean;
  /** Where data and binaries go when the server's user cannot reach the state folder or the clone. */
  readonly sharedDirs?: readonly string[];
  /** Other binaries than those that npm has installed. */
  readonly binaries?: Binaries;
}

const DATABASE = 'landlord';
/** Starts the server and returns once it answers. Throws with the server's last words and what to do. */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const signal = options.signal ?? new AbortController().signal;
  try {
    await mkdir(options.stateDir, { recursive: true });
    const stateDir = await realpath(options.stateDir);
    return await startIn({ ...options, stateDir, signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new Error(`cannot start the embedded PostgreSQL: ${explain(error)}`, { cause: error });
  }
}

async function startIn(options: EmbeddedOptions & { signal: AbortSignal }): Promise<EmbeddedPostgres> {
  const { stateDir, log, clock, signal } = options;
  const sharedDirs = options.sharedDirs ?? [
    '/var/lib/landlord',
    '/var/cache/landlord',
    path.join(tmpdir(), 'landlord'),
  ];
  const first = await readRecord(stateDir);
  const known = recordedPlace(stateDir, first);
  const user = await chooseServerUser(known === undefined ? undefined : path.join(known, 'data'));
  const cacheDirs = user === undefined ? [path.join(stateDir, 'cache')] : sharedDirs;
  const found = options.binaries ?? (await findBinaries());
  const binaries = await runnableBinaries({ found, user, cacheDirs, log });
  const place = await choosePlace({ stateDir, record: first, user, sharedDirs, log });
  const dataDir = path.join(await realpath(place), 'data');
  const server = { binaries, user, dataDir, log, clock, signal, durable: options.durable ?? true };
  await stopStaleServer(server);
  if ((await checkMajor(dataDir, binaries.major)) === 'absent')
    await initialise({ ...server, password: first.password });
  const record = await readRecord(stateDir);
  const { port, running } = await (options.port === undefined
    ? launchOnFreePort({ ...server, stateDir, record })
    : launchOnPort(server, options.port));
  try {
    await prepareDatabase(urlOf(record.password, port, 'postgres'));
  } catch (error) {
    await running.stop();
    throw error;
  }
  log.info({ dataDir, port }, 'embedded PostgreSQL is ready');
  // A restart is nobody's start any more: it is ended by stop, not by the signal that gives up the start.
  const later = { ...server, signal: new AbortController().signal };
  const restart = async () => (await launchOnPort(later, port)).running;
  return {
    url: urlOf(record.password, port, DATABASE),
    dataDir,
    stop: keepRunning({ running, restart, log, clock }),
  };
}

/** Makes Landlord's own database, and keeps the tenants' roles of the same server out of it. Safe to repeat. */
async function prepareDatabase(url: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
  });
  client.on('error', () => undefined); // The running query reports it as well.
  try {
    await client.connect();
    const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(DATABASE)}`);
    for (const name of [DATABASE, 'postgres', 'template1'])
      await client.query(`REVOKE CONNECT ON DATABASE ${pg.escapeIdentifier(name)} FROM PUBLIC`);
  } catch (error) {
    throw toDatabaseError(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function urlOf(password: string, port: number, database: string): string {
  return `postgres://${SUPERUSER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;
}

/** What people meet most, with what to do; anything else in the server's own words. */
function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (/No space left on device/i.test(message)) return `the disk is full: ${message}`;
  return message;
}
