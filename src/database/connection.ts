/**
 * How does Landlord talk to its PostgreSQL? One bounded pool with time limits on everything, below a typed query
 * builder. Rooms name their own tables (`database.db.withTables<…>()`): the connection knows none. What the
 * driver throws leaves as a DatabaseError, and a lost idle connection is a log line, never a crash.
 */
import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely';
import pg from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { breaksConnection, toDatabaseError, unpermitted } from './errors.ts';
import { createListener, type Listener } from './listener.ts';

export interface Database {
  /** Knows no tables: each room adds its own with `withTables`. */
  readonly db: Kysely<unknown>;
  /**
   * The same pool for someone who may act only as long as `mayAct` says so. It is asked at the last moment before each
   * statement is sent, reads and COMMIT among them; a refused one throws DatabaseError `unpermitted`, and whatever was
   * open on its connection ends with that.
   */
  under(mayAct: () => boolean): Pick<Database, 'db'>;
  /** Throws DatabaseError when the server does not answer, or the signal's reason when that aborts first. */
  ping(signal?: AbortSignal): Promise<void>;
  /** See {@link Listener}. One connection serves every listener of the process. */
  readonly listen: Listener['listen'];
  /** Waits for running queries, then closes every connection. */
  readonly close: () => Promise<void>;
}

export interface ConnectOptions {
  readonly url: string;
  readonly log: Logger;
  readonly clock: Clock;
  /** Upper bound of the pool; one more connection listens for notifications. */
  readonly maxConnections?: number;
  /** When the server gives up on a statement. */
  readonly statementTimeoutMs?: number;
}

const DEFAULT_MAX_CONNECTIONS = 10;
/** Waiting for a free or a new connection. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Every query of Landlord's own takes milliseconds. */
const DEFAULT_STATEMENT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 5_000;
/** A client that hangs inside a transaction would hold up every other writer. */
const IDLE_TRANSACTION_TIMEOUT_MS = 10_000;
/** Beyond the server's own limit: it only ends the wait on a connection that silently died. */
const ANSWER_GRACE_MS = 5_000;
const IDLE_CONNECTION_MS = 60_000;

/** Opens a pool; the first connection is made by the first query. */
export function connect(options: ConnectOptions): Database {
  const { log, clock } = options;
  const statementTimeoutMs = options.statementTimeoutMs ?? DEFAULT_STATEMENT_TIMEOUT_MS;
  const pool = new pg.Pool({
    ...clientConfig(options.url),
    max: options.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
    idleTimeoutMillis: IDLE_CONNECTION_MS,
    statement_timeout: statementTimeoutMs,
    lock_timeout: LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_TIMEOUT_MS,
    query_timeout: statementTimeoutMs + ANSWER_GRACE_MS,
  });
  // Without a listener the loss of an idle connection would be an uncaught 'error' event.
  pool.on('error', (error) =>
    log.warn({ cause: toDatabaseError(error).message }, 'lost an idle database connection'),
  );
  // A connection may report its end in the very packet in which it became ready: after the pool has let go of it
  // and before whoever asked for it listens. Its next query fails all the same.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const over = (mayAct: () => boolean): Kysely<unknown> =>
    new Kysely<unknown>({ dialect: new PostgresDialect({ pool: guarded(pool, mayAct) }) });
  const listener = createListener({ config: clientConfig(options.url), log, clock });
  return {
    db: over(() => true),
    under: (mayAct) => ({ db: over(mayAct) }),
    listen: (channel, wakeUp) => listener.listen(channel, wakeUp),
    async ping(signal) {
      const answer = pool.query('SELECT 1').catch((error: unknown) => {
        throw toDatabaseError(error);
      });
      await (signal === undefined ? answer : raceAbort(answer, signal));
    },
    async close() {
      await listener.close();
      // Not db.destroy(): that does nothing when no query was ever made.
      await pool.end();
    },
  };
}

/** What every connection of Landlord has in common. */
export function clientConfig(url: string): pg.ClientConfig {
  return {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'landlord',
    types,
  };
}

/** Counters are 64-bit in the database and stay far below 2^53: read them as numbers, and refuse to round. */
function parseCounter(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value))
    throw new RangeError('a 64-bit number of the database is too large to be exact');
  return value;
}

const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, parseCounter);

/** The pool as kysely sees it: errors without values, and a broken connection is thrown away, not lent again. */
function guarded(pool: pg.Pool, mayAct: () => boolean): PostgresPool {
  return {
    end: () => pool.end(),
    async connect(): Promise<PostgresPoolClient> {
      const client = await pool.connect().catch((error: unknown) => {
        throw toDatabaseError(error);
      });
      return guardedClient(client, mayAct);
    },
  };
}

function guardedClient(client: pg.PoolClient, mayAct: () => boolean): PostgresPoolClient {
  let broken = false;
  // A connection that dies while it is lent but idle (between two statements) speaks up here only.
  const onError = () => (broken = true);
  client.on('error', onError);
  const query = async (text: string, parameters: readonly unknown[]): Promise<unknown> => {
    try {
      if (!mayAct()) throw unpermitted();
      return await client.query(text, [...parameters]);
    } catch (error) {
      const failure = toDatabaseError(error);
      broken ||= breaksConnection(failure);
      throw failure;
    }
  };
  return {
    // An edge: kysely's type also covers cursors, which are only sent when the dialect has a cursor class.
    query: query as unknown as PostgresPoolClient['query'],
    release() {
      client.off('error', onError);
      client.release(broken);
    },
  };
}

function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
