/**
 * The database and the role that belong to one tenant, on the server for tenants. The role carries our mark and the
 * password's revision in its comment; without that comment nothing is changed or dropped. The mark is made with the
 * role and goes with it, the database comes after it and goes before it, and the password is set last: so after a
 * crash between any two statements the next look shows what is left to do, and until then nobody can log in.
 */
import { sql, type Kysely } from 'kysely';
import pg from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { connect } from './connection.ts';
import { attempt, DatabaseError } from './errors.ts';
import { scramVerifier } from './scram.ts';

export interface TenantDatabaseState {
  /** A role that is ours. */
  readonly roleExists: boolean;
  /** A database that belongs to that role. */
  readonly databaseExists: boolean;
  /** Revision of the password that the role has now; undefined when the role is not there or not ours, or has none. */
  readonly passwordRevision?: number;
  /** The role is in {@link EXTERNAL_GROUP}. */
  readonly externalAccess?: boolean;
}

/**
 * Group whose members may come from outside. PostgreSQL leaves the doors to pg_hba.conf, so the operator writes there
 * `hostssl all +landlord_external all scram-sha-256`, and for everybody else only the machines' own network.
 */
export const EXTERNAL_GROUP = 'landlord_external';

export interface TenantDatabases {
  /**
   * `afterOthers`: not before everybody is done who is at work on it, also a statement that goes on at the server after
   * its caller has lost the connection. Whoever is about to believe that there is nothing must ask so.
   */
  describe(uid: string, options?: { readonly afterOthers?: boolean }): Promise<TenantDatabaseState>;
  /**
   * Makes what is missing of role and database; safe to repeat. Throws DatabaseError of the kind `foreign` when
   * something of that name exists that is not ours.
   */
  create(uid: string, credentials: { password: string; passwordRevision: number }): Promise<void>;
  /** Sets the role's password and the revision in its comment, in one transaction. */
  setPassword(uid: string, credentials: { password: string; passwordRevision: number }): Promise<void>;
  /** Lets the role into the group of those who may come from outside, or takes it out; safe to repeat. */
  setExternalAccess(uid: string, allowed: boolean): Promise<void>;
  /** Drops database (ending its connections) and role; what is not there or not ours is left alone. */
  drop(uid: string): Promise<void>;
  /** What the tenant's machine connects with. Holds the password. */
  url(uid: string, password: string): string;
}

export interface TenantDatabasesOptions {
  /** A user who may create roles and databases; a superuser or not. */
  readonly adminUrl: string;
  /** Name of a tenant's database and of its role. */
  readonly nameOf: (uid: string) => string;
  readonly log: Logger;
  readonly clock: Clock;
  /** Where tenants reach the server, when that is not where we do. */
  readonly publicHost?: string;
  readonly publicPort?: number;
  /** Connections that one tenant may have open. */
  readonly connectionLimit?: number;
}

type Connection = Kysely<unknown>;

interface Found {
  readonly role: 'absent' | 'ours' | 'foreign';
  readonly database: 'absent' | 'ours' | 'foreign';
  readonly passwordRevision: number | undefined;
  readonly externalAccess: boolean;
}

const MARK = 'Made by Landlord';
const MARK_PATTERN = /^Made by Landlord(?:, password revision (\d{1,15}))?$/;
const MAX_CONNECTIONS = 4;
/** CREATE DATABASE copies a template, DROP DATABASE waits for connections to end. */
const STATEMENT_TIMEOUT_MS = 60_000;
const DEFAULT_CONNECTION_LIMIT = 20;

export interface TenantDatabasesPool extends TenantDatabases {
  /** The same for someone who may act only as long as `mayAct` says so; see {@link Database.under}. */
  under(mayAct: () => boolean): TenantDatabases;
  close(): Promise<void>;
}

/** Opens a small pool of its own on the server for tenants; `close` ends it. */
export function createTenantDatabases(options: TenantDatabasesOptions): TenantDatabasesPool {
  const { adminUrl, log, clock } = options;
  const limits = { maxConnections: MAX_CONNECTIONS, statementTimeoutMs: STATEMENT_TIMEOUT_MS };
  const database = connect({ url: adminUrl, log, clock, ...limits });
  return {
    ...operations(options, database.db),
    under: (mayAct) => operations(options, database.under(mayAct).db),
    close: () => database.close(),
  };
}

function operations(options: TenantDatabasesOptions, db: Connection): TenantDatabases {
  const { nameOf } = options;

  /** One caller at a time for each name, on one connection: CREATE and DROP DATABASE are refused in transactions. */
  const alone = <T>(what: string, name: string, work: (connection: Connection) => Promise<T>): Promise<T> =>
    attempt(`${what} "${name}"`, () =>
      db.connection().execute(async (connection) => {
        await sql`SELECT pg_advisory_lock(hashtext('tenant_databases'), hashtext(${name}))`.execute(
          connection,
        );
        try {
          return await work(connection);
        } finally {
          await sql`SELECT pg_advisory_unlock_all()`.execute(connection);
        }
      }),
    );

  return {
    url: (uid, password) => tenantUrl(options, nameOf(uid), password),
    describe: (uid, { afterOthers = false } = {}) => {
      const name = nameOf(uid);
      if (!afterOthers)
        return attempt(`describe database "${name}"`, async () => stateOf(await look(db, name)));
      return alone('describe database', name, async (connection) => stateOf(await look(connection, name)));
    },
    create: (uid, credentials) =>
      alone('create database', nameOf(uid), async (connection) => {
        const name = nameOf(uid);
        const { role, database } = await look(connection, name);
        if (role === 'foreign') throw foreign('role', name);
        if (database === 'foreign') throw foreign('database', name);
        const limit = options.connectionLimit ?? DEFAULT_CONNECTION_LIMIT;
        if (role === 'absent') await createRole(connection, name, limit);
        if (database === 'absent') await createDatabase(connection, name);
        await finish(connection, name, credentials);
      }),
    setPassword: (uid, credentials) =>
      alone('set the password of role', nameOf(uid), async (connection) => {
        const name = nameOf(uid);
        const { role, database } = await look(connection, name);
        if (role === 'foreign') throw foreign('role', name);
        if (role === 'absent') throw new DatabaseError('it does not exist', { kind: 'refused' });
        // After a crash in the middle of create, this is what comes next: so it ends what create has begun.
        if (database === 'ours') await finish(connection, name, credentials);
        else await writePassword(connection, name, credentials);
      }),
    setExternalAccess: (uid, allowed) =>
      alone('change the access to database', nameOf(uid), (connection) =>
        writeAccess(connection, nameOf(uid), allowed),
      ),
    drop: (uid) =>
      alone('drop database', nameOf(uid), async (connection) => {
        const name = nameOf(uid);
        const { role, database } = await look(connection, name);
        if (database === 'ours') await run(connection, `DROP DATABASE IF EXISTS ${quote(name)} WITH (FORCE)`);
        if (role === 'ours') await run(connection, `DROP ROLE IF EXISTS ${quote(name)}`);
      }),
  };
}

function stateOf({ role, database, passwordRevision, externalAccess }: Found): TenantDatabaseState {
  const state = {
    roleExists: role === 'ours',
    databaseExists: database === 'ours',
    ...(externalAccess && { externalAccess }),
  };
  return passwordRevision === undefined ? state : { ...state, passwordRevision };
}

async function look(connection: Connection, name: string): Promise<Found> {
  const { rows } = await sql<{
    mark: string | null;
    role: boolean;
    database: boolean;
    owned: boolean | null;
    external: boolean;
  }>`
    SELECT shobj_description(r.oid, 'pg_authid') AS mark, r.oid IS NOT NULL AS role,
      d.oid IS NOT NULL AS database, d.datdba = r.oid AS owned,
      EXISTS (
        SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
        WHERE m.member = r.oid AND g.rolname = ${EXTERNAL_GROUP}
      ) AS external
    FROM (SELECT ${name}::name AS name) AS wanted
    LEFT JOIN pg_roles r ON r.rolname = wanted.name
    LEFT JOIN pg_database d ON d.datname = wanted.name`.execute(connection);
  const [row] = rows;
  const mark = MARK_PATTERN.exec(row?.mark ?? '');
  const ours = mark !== null;
  const revision = mark?.[1];
  return {
    role: row?.role !== true ? 'absent' : ours ? 'ours' : 'foreign',
    database: row?.database !== true ? 'absent' : ours && row.owned === true ? 'ours' : 'foreign',
    passwordRevision: revision === undefined ? undefined : Number(revision),
    externalAccess: ours && row?.external === true,
  };
}

async function writeAccess(connection: Connection, name: string, allowed: boolean): Promise<void> {
  const { role, externalAccess } = await look(connection, name);
  if (role === 'foreign') throw foreign('role', name);
  if (role === 'absent') throw new DatabaseError('its role does not exist', { kind: 'refused' });
  if (externalAccess === allowed) return;
  if (allowed) await makeGroup(connection);
  const [verb, word] = allowed ? ['GRANT', 'TO'] : ['REVOKE', 'FROM'];
  await run(connection, `${verb} ${quote(EXTERNAL_GROUP)} ${word} ${quote(name)}`);
}

/** Nobody logs in as the group. Two callers may make it at once. */
function makeGroup(connection: Connection): Promise<void> {
  return run(
    connection,
    `DO $$ BEGIN CREATE ROLE ${quote(EXTERNAL_GROUP)} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
  );
}

/** Role and mark in one transaction: there is never a role of ours without the mark. It has no password yet. */
async function createRole(connection: Connection, name: string, connectionLimit: number): Promise<void> {
  await connection.transaction().execute(async (transaction) => {
    const attributes = 'LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS';
    await run(transaction, `CREATE ROLE ${quote(name)} ${attributes} CONNECTION LIMIT ${connectionLimit}`);
    await comment(transaction, name, MARK);
    const { rows } = await sql<{ super: boolean }>`
      SELECT rolsuper AS super FROM pg_roles WHERE rolname = current_user`.execute(transaction);
    // Only a member of a role may give it a database; a superuser needs no membership.
    if (rows[0]?.super !== true) await run(transaction, `GRANT ${quote(name)} TO CURRENT_USER`);
  });
}

/** From template0, so that nothing that somebody has put into template1 reaches a tenant. */
function createDatabase(connection: Connection, name: string): Promise<void> {
  return run(
    connection,
    `CREATE DATABASE ${quote(name)} OWNER ${quote(name)} TEMPLATE template0 ENCODING 'UTF8'`,
  );
}

/** Closes the database to every other role, then opens it to the tenant. */
async function finish(connection: Connection, name: string, credentials: Credentials): Promise<void> {
  await run(connection, `REVOKE ALL ON DATABASE ${quote(name)} FROM PUBLIC`);
  await writePassword(connection, name, credentials);
}

type Credentials = Parameters<TenantDatabases['setPassword']>[1];

async function writePassword(connection: Connection, name: string, credentials: Credentials): Promise<void> {
  const verifier = await scramVerifier(credentials.password);
  await connection.transaction().execute(async (transaction) => {
    await run(transaction, `ALTER ROLE ${quote(name)} PASSWORD ${pg.escapeLiteral(verifier)}`);
    await comment(transaction, name, `${MARK}, password revision ${credentials.passwordRevision}`);
  });
}

function comment(connection: Connection, name: string, text: string): Promise<void> {
  return run(connection, `COMMENT ON ROLE ${quote(name)} IS ${pg.escapeLiteral(text)}`);
}

/** Statements about roles and databases take no parameters: every name and value in them is quoted by the driver. */
async function run(connection: Connection, statement: string): Promise<void> {
  await sql.raw(statement).execute(connection);
}

function foreign(what: 'role' | 'database', name: string): DatabaseError {
  const message = `${what} "${name}" exists and was not made by Landlord: rename or drop it`;
  return new DatabaseError(message, { kind: 'foreign' });
}

function quote(name: string): string {
  return pg.escapeIdentifier(name);
}

/** The parameters of the admin's URL, such as sslmode, hold for tenants as well. */
function tenantUrl(options: TenantDatabasesOptions, name: string, password: string): string {
  const url = new URL(options.adminUrl);
  url.username = encodeURIComponent(name);
  url.password = encodeURIComponent(password);
  url.pathname = `/${encodeURIComponent(name)}`;
  if (options.publicHost !== undefined) url.hostname = options.publicHost;
  if (options.publicPort !== undefined) url.port = String(options.publicPort);
  return url.href;
}
