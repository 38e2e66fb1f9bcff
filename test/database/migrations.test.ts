import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { migrate } from '../../src/database/migrations.ts';
import { startCuttableProxy } from '../support/cuttable-proxy.ts';
import { administer, createTestDatabase, silentLog, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

const log = silentLog();

describe('migrate', () => {
  let migrated: TestDatabase;
  let folder: string;
  const empty = `test_empty_${process.pid}`;
  const emptyUrl = () => {
    const url = new URL(inject('databaseAdminUrl'));
    url.pathname = empty;
    return url.href;
  };

  beforeAll(async () => {
    migrated = await createTestDatabase();
    folder = await mkdtemp(path.join(tmpdir(), 'landlord-migrations-'));
    await administer(`CREATE DATABASE ${empty}`);
  });

  afterAll(async () => {
    await migrated.drop();
    await rm(folder, { recursive: true });
    await administer(`DROP DATABASE ${empty}`);
  });

  it('leaves a database alone that is up to date', async () => {
    const before = await migrated.query('SELECT * FROM landlord_migrations ORDER BY name');
    await migrate({ url: migrated.url, log });
    expect(await migrated.query('SELECT * FROM landlord_migrations ORDER BY name')).toEqual(before);
    expect(before.length).toBeGreaterThan(0);
  });

  it('is safe when several daemons meet an empty database at once', async () => {
    await Promise.all(Array.from({ length: 4 }, () => migrate({ url: emptyUrl(), log })));
    await expect(migrate({ url: emptyUrl(), log })).resolves.toBeUndefined();
  });

  it('refuses a database that a newer Landlord has migrated, and says so', async () => {
    await migrated.query(`INSERT INTO landlord_migrations VALUES ('9999_future', '2999-01-01T00:00:00Z')`);
    await expect(migrate({ url: migrated.url, log })).rejects.toThrow(
      'cannot migrate the database: it was migrated by a newer Landlord (9999_future); run that version, or give this one a database of its own',
    );
    await migrated.query(`DELETE FROM landlord_migrations WHERE name = '9999_future'`);
  });

  it('undoes everything when one statement fails, and names the file without quoting it', async () => {
    await writeFile(path.join(folder, '0001_one.sql'), 'CREATE TABLE one (id int);');
    await writeFile(path.join(folder, '0002_two.sql'), `SELECT 'secret-value'::int;`);
    const database = await createTestDatabase();
    await database.query('DROP TABLE landlord_migrations');
    const attempt = migrate({ url: database.url, log, folder: pathToFileURL(`${folder}/`) });
    await expect(attempt).rejects.toThrow(
      'cannot migrate the database with "0002_two": the database refused it (22P02)',
    );
    expect(await database.query(`SELECT to_regclass('one') AS one`)).toEqual([{ one: null }]);
    await database.drop();
  });

  it('says why when the server does not answer', async () => {
    const away = { url: 'postgres://nobody:secret@127.0.0.1:1/none', log };
    await expect(migrate({ ...away, patienceMs: 0 })).rejects.toThrow(
      'cannot migrate the database: nothing listens there (ECONNREFUSED)',
    );
    const stopping = new AbortController();
    const attempt = migrate({ ...away, signal: stopping.signal });
    stopping.abort(new Error('told to stop'));
    await expect(attempt).rejects.toThrow('told to stop');
  });

  it('waits for a server that does not answer yet, and says so once', async () => {
    const server = new URL(migrated.url);
    const line = await startCuttableProxy({ port: Number(server.port) });
    server.port = String(line.port);
    line.cutAfter(0);
    const said: string[] = [];
    const waiting = migrate({
      url: server.href,
      log: pino({ level: 'warn' }, { write: (text) => void said.push(text) }),
    });
    await eventually(() => Promise.resolve(said.length > 0), { what: 'the wait to be told of' });
    line.cutAfter(undefined);
    await waiting;
    await line.close();
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('cannot migrate the database: the connection was lost');
    expect(said[0]).toContain('trying again for 30 s');
  });
});
