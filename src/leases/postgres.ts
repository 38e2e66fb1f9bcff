/**
 * How are leases kept in PostgreSQL? One row each (migrations/0010_leases.sql), written by one statement that names
 * the version it replaces. On connections of their own: however busy the others are, a renewal waits for nobody.
 */
import { sql, type Kysely } from 'kysely';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { LeaseBackend, LeaseRecord } from '../controller/leases/backend.ts';
import { connect } from '../database/connection.ts';
import { attempt } from '../database/errors.ts';

export interface PostgresLeasesOptions {
  /** Of a migrated database: the primary, never a follower. */
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface PostgresLeases extends LeaseBackend {
  close(): Promise<void>;
}

/** A round makes its writes at the same time; more connections would not make it faster. */
const MAX_CONNECTIONS = 2;
/** Shorter than the election waits for an answer, so that a statement does not land much later than that. */
const STATEMENT_TIMEOUT_MS = 4_000;

interface LeaseRow {
  readonly name: string;
  readonly holder: string;
  readonly transitions: number;
  readonly version: number;
}

/** Opens a small pool; the first connection is made by the first call. Rejects with DatabaseError. */
export function createPostgresLeases({ url, clock, log }: PostgresLeasesOptions): PostgresLeases {
  const limits = { maxConnections: MAX_CONNECTIONS, statementTimeoutMs: STATEMENT_TIMEOUT_MS };
  const { db, close } = connect({ url, clock, log, ...limits });
  return {
    list: () =>
      attempt('list the leases', async () => {
        const { rows } = await sql<LeaseRow>`
          SELECT name, holder, transitions, version FROM leases ORDER BY name`.execute(db);
        return rows.map(toRecord);
      }),
    put: (write) => attempt(`write lease "${write.name}"`, () => put(db, write)),
    remove: ({ name, version }) =>
      attempt(`remove lease "${name}"`, async () => {
        const { numAffectedRows } = await sql`
          DELETE FROM leases WHERE name = ${name} AND version = ${version}::bigint`.execute(db);
        return numAffectedRows === 1n;
      }),
    close,
  };
}

async function put(
  db: Kysely<unknown>,
  { name, holder, transitions, expected }: Parameters<LeaseBackend['put']>[0],
): Promise<LeaseRecord | undefined> {
  const { rows } =
    expected === undefined
      ? await sql<LeaseRow>`
          INSERT INTO leases (name, holder, transitions) VALUES (${name}, ${holder}, ${transitions}::bigint)
          ON CONFLICT (name) DO NOTHING
          RETURNING name, holder, transitions, version`.execute(db)
      : await sql<LeaseRow>`
          UPDATE leases SET holder = ${holder}, transitions = ${transitions}::bigint,
            version = nextval('lease_version'), written_at = now()
          WHERE name = ${name} AND version = ${expected}::bigint
          RETURNING name, holder, transitions, version`.execute(db);
  const [row] = rows;
  return row && toRecord(row);
}

function toRecord({ name, holder, transitions, version }: LeaseRow): LeaseRecord {
  return { name, holder, transitions, version: String(version) };
}
