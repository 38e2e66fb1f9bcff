import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createTenantDatabases, EXTERNAL_GROUP } from '../../src/database/tenant-databases.ts';
import { administer, silentLog } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

const nameOf = (uid: string) => `sp_${uid.replaceAll('-', '_')}`;
const password = randomBytes(24).toString('base64url');
const nextPassword = randomBytes(24).toString('base64url');
const first = { password, passwordRevision: 1 };
const second = { password: nextPassword, passwordRevision: 2 };
const made = { roleExists: true, databaseExists: true, passwordRevision: 1 };
const nothing = { roleExists: false, databaseExists: false };

type Databases = ReturnType<typeof createTenantDatabases>;

describe.each([
  ['a superuser', ''],
  ['a user who may only create roles and databases', 'LOGIN CREATEROLE CREATEDB'],
])('databases of tenants, administered by %s', (_who, attributes) => {
  const admin = `test_admin_${randomBytes(4).toString('hex')}`;
  let adminUrl: string;
  let databases: Databases;
  let uid: string;
  let name: string;

  beforeAll(async () => {
    const url = new URL(inject('databaseAdminUrl'));
    if (attributes !== '') {
      await administer(`CREATE ROLE ${admin} ${attributes} PASSWORD 'admin'`);
      await administer(`GRANT CONNECT ON DATABASE ${url.pathname.slice(1)} TO ${admin}`);
      Object.assign(url, { username: admin, password: 'admin' });
    }
    adminUrl = url.href;
  });
  beforeEach(() => {
    databases = createTenantDatabases({
      adminUrl,
      nameOf,
      log: silentLog(),
      clock: systemClock,
      connectionLimit: 3,
    });
    uid = randomUUID();
    name = nameOf(uid);
  });
  afterEach(async () => {
    await databases.drop(uid);
    await databases.close();
    await administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await administer(`DROP ROLE IF EXISTS ${name}`);
  });
  afterAll(async () => {
    if (attributes === '') return;
    await administer(`DROP OWNED BY ${admin}`);
    await administer(`DROP ROLE ${admin}`);
  });

  const asTenant = (text: string, secret = password) => query(databases.url(uid, secret), text);

  it('changes nothing for someone who may no longer act, and holds no lock afterwards', async () => {
    const late = databases.under(() => false);
    await expect(late.create(uid, first)).rejects.toMatchObject({ kind: 'unpermitted' });
    await expect(late.setPassword(uid, first)).rejects.toMatchObject({ kind: 'unpermitted' });
    await expect(late.drop(uid)).rejects.toMatchObject({ kind: 'unpermitted' });
    let statements = 0;
    // The lock and the look are still sent, nothing after them.
    const losing = databases.under(() => (statements += 1) <= 2);
    await expect(losing.create(uid, first)).rejects.toMatchObject({ kind: 'unpermitted' });
    expect(await databases.describe(uid)).toEqual(nothing);
    await databases.create(uid, first);
    expect(await databases.describe(uid)).toEqual(made);
  });

  it('makes a role and a database that the tenant can work in, once', async () => {
    expect(await databases.describe(uid)).toEqual(nothing);
    await databases.create(uid, first);
    expect(await databases.describe(uid)).toEqual(made);
    await asTenant('CREATE SCHEMA app');
    await asTenant('CREATE TABLE app.kept AS SELECT 42 AS answer');
    await databases.create(uid, first);
    expect(await asTenant('SELECT answer FROM app.kept')).toEqual([{ answer: 42 }]);
    expect(await databases.describe(uid)).toEqual(made);
  });

  it('gives the role no more than it needs', async () => {
    await databases.create(uid, first);
    const [role] = await administer(`SELECT * FROM pg_roles WHERE rolname = '${name}'`);
    expect(role).toMatchObject({
      rolcanlogin: true,
      rolsuper: false,
      rolcreatedb: false,
      rolcreaterole: false,
      rolreplication: false,
      rolbypassrls: false,
      rolconnlimit: 3,
    });
    await expect(asTenant('CREATE DATABASE more')).rejects.toMatchObject({ code: '42501' });
  });

  it('keeps every other role out of the database', async () => {
    await databases.create(uid, first);
    const neighbour = randomUUID();
    await databases.create(neighbour, second);
    const url = new URL(databases.url(neighbour, nextPassword));
    url.pathname = name;
    await expect(query(url.href, 'SELECT 1')).rejects.toMatchObject({ code: '42501' });
    await databases.drop(neighbour);
    expect(await asTenant('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('sets a new password, and the old one no longer works', async () => {
    await databases.create(uid, first);
    await databases.setPassword(uid, second);
    expect(await databases.describe(uid)).toEqual({ ...made, passwordRevision: 2 });
    expect(await asTenant('SELECT 1 AS one', nextPassword)).toEqual([{ one: 1 }]);
    await expect(asTenant('SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  });

  it('lets the role into the group of those who may come from outside, and takes it out again', async () => {
    await databases.create(uid, first);
    // Whoever administers tenants has made the group; in this suite an earlier case may have, as somebody else.
    await administer(
      `DO $$ BEGIN CREATE ROLE ${EXTERNAL_GROUP} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    );
    if (attributes !== '') await administer(`GRANT ${EXTERNAL_GROUP} TO ${admin} WITH ADMIN OPTION`);
    const isMember = async (): Promise<unknown> =>
      (await administer(`SELECT pg_has_role('${name}', '${EXTERNAL_GROUP}', 'member') AS member`))[0]?.[
        'member'
      ];
    for (const _ of [1, 2]) await databases.setExternalAccess(uid, true);
    expect(await isMember()).toBe(true);
    expect(await databases.describe(uid)).toEqual({ ...made, externalAccess: true });
    await databases.setPassword(uid, second);
    expect(await databases.describe(uid)).toMatchObject({ passwordRevision: 2, externalAccess: true });
    for (const _ of [1, 2]) await databases.setExternalAccess(uid, false);
    expect(await isMember()).toBe(false);
    expect(await databases.describe(uid)).toEqual({ ...made, passwordRevision: 2 });
  });

  it('gives no access to a role that is not there or not ours', async () => {
    await expect(databases.setExternalAccess(uid, true)).rejects.toThrow('its role does not exist');
    await administer(`CREATE ROLE ${name}`);
    await expect(databases.setExternalAccess(uid, true)).rejects.toThrow('was not made by Landlord');
  });

  it('makes one of each when several come at once', async () => {
    await Promise.all(Array.from({ length: 4 }, () => databases.create(uid, first)));
    expect(await databases.describe(uid)).toEqual(made);
    expect(await asTenant('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await Promise.all(Array.from({ length: 4 }, () => databases.drop(uid)));
    expect(await databases.describe(uid)).toEqual(nothing);
  });

  it('drops database and role although the tenant is connected', async () => {
    await databases.create(uid, first);
    const tenant = new pg.Client(databases.url(uid, password));
    const ended = new Promise((resolve) => tenant.on('error', resolve));
    await tenant.connect();
    await databases.drop(uid);
    await ended;
    expect(await databases.describe(uid)).toEqual(nothing);
    await databases.drop(uid);
  });

  it('leaves a role alone that it has not made', async () => {
    await administer(`CREATE ROLE ${name} LOGIN PASSWORD 'theirs'`);
    await administer(`COMMENT ON ROLE ${name} IS 'Made by somebody else'`);
    expect(await databases.describe(uid)).toEqual(nothing);
    const refusal = `role "${name}" exists and was not made by Landlord: rename or drop it`;
    await expect(databases.create(uid, first)).rejects.toMatchObject({ kind: 'foreign' });
    await expect(databases.create(uid, first)).rejects.toThrow(refusal);
    await expect(databases.setPassword(uid, first)).rejects.toThrow(refusal);
    await databases.drop(uid);
    expect(await administer(`SELECT rolname FROM pg_roles WHERE rolname = '${name}'`)).toEqual([
      { rolname: name },
    ]);
  });

  it('leaves a database alone that belongs to somebody else', async () => {
    await administer(`CREATE DATABASE ${name}`);
    expect(await databases.describe(uid)).toEqual(nothing);
    await expect(databases.create(uid, first)).rejects.toThrow(
      `database "${name}" exists and was not made by Landlord: rename or drop it`,
    );
    await databases.drop(uid);
    expect(await administer(`SELECT datname FROM pg_database WHERE datname = '${name}'`)).toEqual([
      { datname: name },
    ]);
  });

  it('says so when the password of a role is to be set that is not there', async () => {
    await expect(databases.setPassword(uid, first)).rejects.toThrow(
      `cannot set the password of role "${name}": it does not exist`,
    );
  });

  it('never shows the password to the server or in an error', async () => {
    await databases.create(uid, first);
    const [stored] = await administer(`SELECT rolpassword FROM pg_authid WHERE rolname = '${name}'`);
    expect(stored?.['rolpassword']).toMatch(/^SCRAM-SHA-256\$4096:/);
    expect(JSON.stringify(await administer('SELECT query FROM pg_stat_activity'))).not.toContain(password);
    const odd = { password: 'contains a blank', passwordRevision: 3 };
    const refused = databases.setPassword(uid, odd);
    await expect(refused).rejects.toThrow('cannot set a database password: it is not printable ASCII');
    await expect(refused).rejects.not.toThrow(odd.password);
  });

  it('sees, when it is asked to wait for others, what a caller leaves behind who has lost the connection', async () => {
    const other = new pg.Client(adminUrl);
    await other.connect();
    try {
      await other.query(`SELECT pg_advisory_lock(hashtext('tenant_databases'), hashtext('${name}'))`);
      const described = databases.describe(uid, { afterOthers: true });
      const waiting = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND objid = (hashtext('${name}')::bigint & 4294967295)::oid`;
      await eventually(async () => (await administer(waiting)).length > 0, { what: 'the look to wait' });
      expect(await databases.describe(uid)).toEqual(nothing);
      await other.query(`CREATE ROLE ${name}`);
      await other.query(`COMMENT ON ROLE ${name} IS 'Made by Landlord'`);
      await other.query('SELECT pg_advisory_unlock_all()');
      expect(await described).toEqual({ roleExists: true, databaseExists: false });
    } finally {
      await other.end();
    }
  });

  describe('after a crash in the middle of create', () => {
    /** Ends the work right before the first statement that matches, as a killed process would. */
    const crashBefore = async (pattern: RegExp) => {
      await expect(crashing(pattern, adminUrl, (cut) => cut.create(uid, first))).rejects.toThrow();
    };

    it.each([
      ['the database was made', /^CREATE DATABASE/, { roleExists: true, databaseExists: false }],
      ['it was closed to others', /^REVOKE/, { roleExists: true, databaseExists: true }],
      ['the password was set', /^ALTER ROLE/, { roleExists: true, databaseExists: true }],
      ['the password was marked', /^COMMENT ON ROLE .* revision/, { roleExists: true, databaseExists: true }],
    ])('before %s, shows what is left, lets nobody in, and can be finished', async (_when, pattern, left) => {
      await crashBefore(pattern);
      expect(await databases.describe(uid)).toEqual(left);
      await expect(asTenant('SELECT 1')).rejects.toThrow();
      // What the plan does with what it sees: make what is missing, or set the password that is not there.
      if (left.databaseExists) await databases.setPassword(uid, first);
      else await databases.create(uid, first);
      expect(await databases.describe(uid)).toEqual(made);
      expect(await asTenant('SELECT 1 AS one')).toEqual([{ one: 1 }]);
      const open = await administer(`SELECT has_database_privilege('public', '${name}', 'CONNECT') AS open`);
      expect(open).toEqual([{ open: false }]);
    });

    it('can be undone as well', async () => {
      await crashBefore(/^REVOKE/);
      await databases.drop(uid);
      expect(await databases.describe(uid)).toEqual(nothing);
    });

    it('in the middle of drop, can be finished', async () => {
      await databases.create(uid, first);
      await expect(crashing(/^DROP ROLE/, adminUrl, (cut) => cut.drop(uid))).rejects.toThrow();
      expect(await databases.describe(uid)).toEqual({
        roleExists: true,
        databaseExists: false,
        passwordRevision: 1,
      });
      await databases.drop(uid);
      expect(await databases.describe(uid)).toEqual(nothing);
    });
  });
});

describe('the URL of a tenant', () => {
  it('names the host that tenants reach, and keeps the parameters of the connection', async () => {
    const databases = createTenantDatabases({
      adminUrl: 'postgres://admin:secret@10.0.0.1:5432/postgres?sslmode=require',
      nameOf,
      log: silentLog(),
      clock: systemClock,
      publicHost: 'db.internal',
      publicPort: 6432,
    });
    expect(databases.url('a-b', 'p@ss')).toBe(
      'postgres://sp_a_b:p%40ss@db.internal:6432/sp_a_b?sslmode=require',
    );
    await databases.close();
  });
});

/** Does the work on connections of which the first that reaches a matching statement is cut right before it. */
async function crashing(
  pattern: RegExp,
  adminUrl: string,
  work: (databases: Databases) => Promise<void>,
): Promise<void> {
  const databases = createTenantDatabases({ adminUrl, nameOf, log: silentLog(), clock: systemClock });
  const original = Reflect.get(pg.Client.prototype, 'query') as (...input: unknown[]) => unknown;
  pg.Client.prototype.query = function (this: pg.Client, ...input: unknown[]) {
    const [text] = input;
    if (typeof text === 'string' && pattern.test(text)) {
      pg.Client.prototype.query = original as typeof pg.Client.prototype.query;
      (this as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    }
    return original.apply(this, input);
  } as typeof pg.Client.prototype.query;
  try {
    await work(databases);
  } finally {
    pg.Client.prototype.query = original as typeof pg.Client.prototype.query;
    await databases.close();
  }
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<pg.QueryResultRow>(text)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
