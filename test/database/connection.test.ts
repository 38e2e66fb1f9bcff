import { createServer, type Socket } from 'node:net';
import { sql } from 'kysely';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { connect, type ConnectOptions, type Database } from '../../src/database/connection.ts';
import { DatabaseError } from '../../src/database/errors.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const CUT = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`;

describe('the connection to PostgreSQL', () => {
  let database: TestDatabase;
  let opened: Database[];
  let logged: string[];

  beforeEach(async () => {
    database = await createTestDatabase();
    opened = [];
    logged = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((each) => each.close()));
    await database.drop();
  });

  const open = (more: Partial<ConnectOptions> = {}) => {
    const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) });
    const connected = connect({ url: database.url, log, clock: systemClock, ...more });
    opened.push(connected);
    return connected;
  };
  const one = (connected: Database) => sql<{ one: number }>`SELECT 1 AS one`.execute(connected.db);
  const failure = async (work: Promise<unknown>): Promise<DatabaseError> => {
    const error: unknown = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof DatabaseError)) throw new Error('expected a DatabaseError');
    return error;
  };

  it('survives the loss of every idle connection, and says so in the log', async () => {
    const connected = open();
    await Promise.all([one(connected), one(connected), one(connected)]);
    await database.query(CUT);
    await expect.poll(() => logged.filter((line) => line.includes('lost an idle')).length).toBe(3);
    expect((await one(connected)).rows).toEqual([{ one: 1 }]);
  });

  it('never lends a connection again that broke while it was in use', async () => {
    const connected = open({ maxConnections: 1 });
    const broken = failure(
      connected.db.connection().execute(async (connection) => {
        await sql`SELECT 1`.execute(connection);
        await database.query(CUT);
        await sql`SELECT 1`.execute(connection);
      }),
    );
    expect((await broken).kind).toBe('unavailable');
    expect((await one(connected)).rows).toEqual([{ one: 1 }]);
  });

  it('rolls back and gives the connection back when the work of a transaction fails', async () => {
    const connected = open({ maxConnections: 1 });
    const work = connected.db.transaction().execute(async (transaction) => {
      await sql`CREATE TABLE half_done ()`.execute(transaction);
      throw new Error('changed my mind');
    });
    await expect(work).rejects.toThrow('changed my mind');
    const { rows } = await sql`SELECT to_regclass('half_done') AS found`.execute(connected.db);
    expect(rows).toEqual([{ found: null }]);
  });

  it.each([
    ['a unique key', sql`INSERT INTO guarded VALUES ('secret-value')`, 'constraint', '23505'],
    ['a check', sql`INSERT INTO guarded VALUES ('')`, 'constraint', '23514'],
    ['a type', sql`SELECT 'secret-value'::int`, 'refused', '22P02'],
    ['the syntax', sql.raw(`SELEKT 'secret-value'`), 'refused', '42601'],
  ])('shows no value when %s is violated', async (_what, statement, kind, code) => {
    const connected = open();
    await database.query(`CREATE TABLE guarded (text text PRIMARY KEY CHECK (text <> ''))`);
    await database.query(`INSERT INTO guarded VALUES ('secret-value')`);
    const error = await failure(statement.execute(connected.db));
    expect(error).toMatchObject({ kind, code });
    // Everything that a log could print of it, stack and causes included.
    const printed = JSON.stringify(pino.stdSerializers.errWithCause(error));
    expect(printed).not.toContain('secret-value');
  });

  it('names the constraint, which is ours, and neither password nor user when it cannot log in', async () => {
    await database.query(`CREATE TABLE guarded (text text CONSTRAINT guarded_key PRIMARY KEY)`);
    await database.query(`INSERT INTO guarded VALUES ('a')`);
    const taken = await failure(sql`INSERT INTO guarded VALUES ('a')`.execute(open().db));
    expect(taken.constraint).toBe('guarded_key');
    const url = new URL(database.url);
    url.password = 'wrong-password';
    const refused = await failure(open({ url: url.href }).ping());
    expect(refused.message).toBe('the password is wrong (28P01)');
  });

  it('gives up on a statement that takes too long, and on a lock that is not free', async () => {
    const connected = open({ statementTimeoutMs: 50 });
    expect(await failure(sql`SELECT pg_sleep(60)`.execute(connected.db))).toMatchObject({
      kind: 'busy',
      code: '57014',
    });
    expect((await one(connected)).rows).toEqual([{ one: 1 }]);
  });

  it('reads counters as exact numbers, and refuses one that would be rounded', async () => {
    const connected = open();
    const { rows } = await sql`SELECT 9007199254740991::bigint AS big, NULL::bigint AS none`.execute(
      connected.db,
    );
    expect(rows).toEqual([{ big: Number.MAX_SAFE_INTEGER, none: null }]);
    await expect(sql`SELECT 9007199254740993::bigint`.execute(connected.db)).rejects.toThrow();
    expect((await one(connected)).rows).toEqual([{ one: 1 }]);
  });

  describe('ping', () => {
    it('resolves when the server answers, and says why when nothing listens', async () => {
      await expect(open().ping()).resolves.toBeUndefined();
      const error = await failure(open({ url: 'postgres://a:b@127.0.0.1:1/c' }).ping());
      expect(error).toMatchObject({ kind: 'unavailable', message: 'nothing listens there (ECONNREFUSED)' });
    });

    it('ends with the signal although the server is silent', async () => {
      const sockets: Socket[] = [];
      const silent = createServer((socket) => sockets.push(socket));
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      const address = silent.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const connected = open({ url: `postgres://a:b@127.0.0.1:${port}/c` });
      const aborter = new AbortController();
      const ping = connected.ping(aborter.signal);
      aborter.abort(new Error('asked to stop'));
      await expect(ping).rejects.toThrow('asked to stop');
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
  });

  describe('under a permit', () => {
    const LOCKED = `
      SELECT 1 FROM pg_locks
      WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

    it('sends nothing once the permit is over, and says so', async () => {
      const connected = open();
      const error = await failure(sql`CREATE TABLE made ()`.execute(connected.under(() => false).db));
      expect(error).toMatchObject({
        kind: 'unpermitted',
        message: 'this replica may no longer act on it',
      });
      expect(await database.query(`SELECT to_regclass('made') AS made`)).toEqual([{ made: null }]);
    });

    it('ends a transaction that may not be committed any more, and lends its connection to nobody', async () => {
      const connected = open({ maxConnections: 1 });
      await database.query('CREATE TABLE made (value integer)');
      let permitted = true;
      const work = connected
        .under(() => permitted)
        .db.transaction()
        .execute(async (transaction) => {
          await sql`SELECT pg_advisory_xact_lock(7)`.execute(transaction);
          await sql`INSERT INTO made VALUES (1)`.execute(transaction);
          permitted = false;
        });
      expect((await failure(work)).kind).toBe('unpermitted');
      expect((await one(connected)).rows).toEqual([{ one: 1 }]);
      expect(await database.query('SELECT * FROM made')).toEqual([]);
      await expect.poll(() => database.query(LOCKED)).toEqual([]);
    });

    it('leaves everybody else on the pool alone', async () => {
      const connected = open({ maxConnections: 1 });
      const error = await failure(sql`SELECT 1`.execute(connected.under(() => false).db));
      expect(error.kind).toBe('unpermitted');
      expect((await one(connected)).rows).toEqual([{ one: 1 }]);
    });
  });

  it('wakes every listener of a channel, none of another, and none that has left', async () => {
    const connected = open();
    const heard: string[] = [];
    const ready = new Promise<void>((resolve) => {
      connected.listen('one', (payload) =>
        payload === undefined ? resolve() : heard.push(`first ${payload}`),
      );
    });
    const leave = connected.listen('one', (payload) => void heard.push(`left ${payload}`));
    connected.listen('one', (payload) => {
      if (payload !== undefined) heard.push(`second ${payload}`);
    });
    leave();
    await ready;
    await database.query(`SELECT pg_notify('two', 'b')`);
    await database.query(`SELECT pg_notify('one', 'a')`);
    await expect.poll(() => heard).toEqual(['first a', 'second a']);
  });
});
