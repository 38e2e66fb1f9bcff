import { execFile } from 'node:child_process';
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { findBinaries } from '../../src/database/embedded-binaries.ts';
import {
  startEmbeddedPostgres,
  type EmbeddedOptions,
  type EmbeddedPostgres,
} from '../../src/database/embedded.ts';
import { startOfProcess } from '../../src/database/process-identity.ts';
import { runProgram } from '../support/programs.ts';

const DAEMON = new URL('fixtures/embedded-daemon.ts', import.meta.url);
const NOBODY = { uid: 65_534, gid: 65_534 };
const isRoot = process.getuid?.() === 0;

describe('the embedded PostgreSQL', () => {
  let parent: string;
  let stateDir: string;
  let sharedDir: string;
  let logged: string[];
  let running: EmbeddedPostgres[];

  beforeEach(async () => {
    parent = await mkdtemp(path.join(tmpdir(), 'landlord-embedded-'));
    await chmod(parent, 0o755);
    stateDir = path.join(parent, 'state');
    sharedDir = path.join(parent, 'shared');
    logged = [];
    running = [];
  });
  afterEach(async () => {
    await Promise.all(running.map((server) => server.stop()));
    await rm(parent, { recursive: true, force: true });
  });

  const start = async (more: Partial<EmbeddedOptions> = {}) => {
    const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) });
    const server = await startEmbeddedPostgres({
      stateDir,
      log,
      clock: systemClock,
      durable: false,
      sharedDirs: [sharedDir],
      ...more,
    });
    running.push(server);
    return server;
  };
  const postmasterOf = async (dataDir: string) =>
    Number((await readFile(path.join(dataDir, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  const isRunning = async (pid: number) => (await startOfProcess(pid)) !== undefined;

  it('keeps data, password and port from one start to the next, and ends when it is told to', async () => {
    const first = await start();
    expect(first.dataDir).toBe(path.join(stateDir, 'postgres', 'data'));
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const postmaster = await postmasterOf(first.dataDir);
    await Promise.all([first.stop(), first.stop()]);
    expect(await isRunning(postmaster)).toBe(false);
    await expect(query(first.url, 'SELECT 1')).rejects.toThrow('ECONNREFUSED');

    const second = await start();
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  });

  it('lets in nobody without the password, which only its owner can read', async () => {
    const { url } = await start();
    expect((await stat(path.join(stateDir, 'postgres.json'))).mode & 0o777).toBe(0o600);
    const wrong = new URL(url);
    wrong.password = 'wrong';
    await expect(query(wrong.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    expect(new URL(url).hostname).toBe('127.0.0.1');
    expect(await query(url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
    expect(await query(url, 'SHOW unix_socket_directories')).toEqual([{ unix_socket_directories: '' }]);
    expect(logged.join()).not.toContain(new URL(url).password);
  });

  it("keeps the tenants' roles out of Landlord's own databases", async () => {
    const { url } = await start();
    await query(url, `CREATE ROLE tenant LOGIN PASSWORD 'tenant'`);
    for (const database of ['landlord', 'postgres', 'template1']) {
      const tenantUrl = new URL(url);
      Object.assign(tenantUrl, { username: 'tenant', password: 'tenant', pathname: database });
      await expect(query(tenantUrl.href, 'SELECT 1')).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('finds its data again after Landlord was killed, and ends the server that was left behind', async () => {
    const daemon = await runProgram(DAEMON, { args: [stateDir] });
    await query(daemon.firstLine, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const dataDir = path.join(stateDir, 'postgres', 'data');
    const orphan = await postmasterOf(dataDir);
    await daemon.end('SIGKILL');
    expect(await isRunning(orphan)).toBe(true);

    const server = await start();
    expect(server.url).toBe(daemon.firstLine);
    expect(await isRunning(orphan)).toBe(false);
    expect(await query(server.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  });

  it('leaves a foreign process alone whose number a stale postmaster.pid holds', async () => {
    const { dataDir, stop } = await start();
    await stop();
    const foreign = execFile('/bin/sleep', ['600']);
    onTestFinished(() => void foreign.kill());
    await writeFile(path.join(dataDir, 'postmaster.pid'), `${foreign.pid}\n${dataDir}\n`);
    const server = await start();
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await isRunning(foreign.pid!)).toBe(true);
  });

  it('starts the server again when it dies by itself', async () => {
    const { url, dataDir } = await start();
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const killed = await postmasterOf(dataDir);
    process.kill(killed, 'SIGKILL');
    const answer = () => query(url, 'SELECT answer FROM kept').catch(() => undefined);
    await expect.poll(answer, { timeout: 15_000, interval: 50 }).toEqual([{ answer: 42 }]);
    expect(await postmasterOf(dataDir)).not.toBe(killed);
    expect(logged.join()).toContain('the embedded PostgreSQL died; starting it again');
  });

  it('takes another port when its own is taken, unless a certain one was asked for', async () => {
    const first = await start();
    const port = Number(new URL(first.url).port);
    expect(port).toBeLessThan(32_768);
    await first.stop();
    const squatter = await listenOn(port);
    onTestFinished(() => void squatter.close());
    await expect(start({ port })).rejects.toThrow(
      `cannot start the embedded PostgreSQL: port ${port} of 127.0.0.1 is taken: end what listens there`,
    );
    const second = await start();
    expect(second.url).not.toBe(first.url);
    expect(await query(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('refuses data of another major version, and says what to do', async () => {
    const { dataDir, stop } = await start();
    await stop();
    await writeFile(path.join(dataDir, 'PG_VERSION'), '17\n');
    await expect(start()).rejects.toThrow(
      `cannot start the embedded PostgreSQL: the data in ${dataDir} was written by PostgreSQL 17, and this Landlord brings 18`,
    );
  });

  it("gives the server's last words when it cannot start", async () => {
    const { dataDir, stop } = await start();
    await stop();
    await writeFile(path.join(dataDir, 'postgresql.auto.conf'), 'no_such_setting = 1\n');
    await expect(start()).rejects.toThrow(
      /^cannot start the embedded PostgreSQL: the server ended at once: .*no_such_setting/,
    );
  });

  it('gives up the start when it is aborted, and leaves no process behind', async () => {
    const { stop } = await start();
    await stop();
    const aborter = new AbortController();
    const attempt = start({ signal: aborter.signal });
    aborter.abort(new Error('stopped by a person'));
    await expect(attempt).rejects.toThrow('stopped by a person');
    expect(await serversBelow(parent)).toEqual([]);
  });

  it('sets aside data whose state folder was removed, because its password is gone', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept ()');
    await first.stop();
    await rm(path.join(stateDir, 'postgres.json'));
    const second = await start();
    expect(await query(second.url, `SELECT to_regclass('kept') AS kept`)).toEqual([{ kept: null }]);
    expect(await readdir(path.join(stateDir, 'postgres'))).toContain('data.old');
    expect(logged.join()).toContain('set aside the data');
  });

  it('replaces what a crash in the middle of the first start has left', async () => {
    await mkdir(path.join(stateDir, 'postgres', 'data.new', 'base'), { recursive: true });
    await writeFile(path.join(stateDir, 'postgres', 'data.new', 'PG_VERSION'), '18\n');
    const { url, dataDir } = await start();
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await readdir(path.dirname(dataDir))).not.toContain('data.new');
  });

  it('makes the links between libraries that npm --ignore-scripts leaves out', async () => {
    const { dir, ...found } = await findBinaries();
    const bare = path.join(parent, 'package', 'native');
    await cp(dir, bare, {
      recursive: true,
      verbatimSymlinks: true,
      filter: async (source) => !(await lstat(source)).isSymbolicLink(),
    });
    expect(await readdir(path.join(bare, 'lib'))).not.toContain('libpq.so.5');
    const { url } = await start({ binaries: { ...found, dir: bare } });
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await readdir(path.join(bare, 'lib'))).toContain('libpq.so.5');
  });

  describe.skipIf(!isRoot)('when Landlord is root', () => {
    it('runs as another user', async () => {
      const { dataDir } = await start();
      const owner = await stat(dataDir);
      expect(owner.uid).not.toBe(0);
      const status = await readFile(`/proc/${await postmasterOf(dataDir)}/status`, 'utf8');
      expect(status).toMatch(new RegExp(`^Uid:\\s+${owner.uid}\\s`, 'm'));
    });

    it('keeps its data and a copy of the binaries elsewhere, and names both, below a folder that only root may enter', async () => {
      const { dir, ...found } = await findBinaries();
      const closed = await mkdtemp(path.join(parent, 'closed-'));
      const clone = path.join(closed, 'package', 'native');
      await cp(dir, clone, { recursive: true, verbatimSymlinks: true });
      const options = { stateDir: path.join(closed, 'state'), binaries: { ...found, dir: clone } };

      const first = await start(options);
      expect(first.dataDir.startsWith(`${sharedDir}/data-`)).toBe(true);
      expect(logged.join()).toContain('its data lies elsewhere');
      expect(logged.join()).toContain(path.dirname(first.dataDir));
      expect(logged.join()).toContain('runs PostgreSQL from a copy');
      await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
      await first.stop();

      // A copy that has lost something is made anew; the data is found again, although the folder is open now.
      const copy = (await readdir(sharedDir)).find((name) => name.startsWith('postgresql-'));
      await truncate(path.join(sharedDir, copy!, 'bin/postgres'), 1_000);
      await chmod(closed, 0o755);
      await chmod(path.join(clone, 'lib'), 0o700);
      const second = await start(options);
      expect(second.url).toBe(first.url);
      expect(second.dataDir).toBe(first.dataDir);
      expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    });

    it('refuses a copy of the binaries that somebody else could have changed', async () => {
      const { dir, ...found } = await findBinaries();
      const closed = await mkdtemp(path.join(parent, 'closed-'));
      const clone = path.join(closed, 'package', 'native');
      await cp(dir, clone, { recursive: true, verbatimSymlinks: true });
      const planted = path.join(sharedDir, `postgresql-${found.version}-${process.platform}-${process.arch}`);
      await cp(clone, planted, { recursive: true, verbatimSymlinks: true });
      await writeFile(path.join(planted, 'complete'), '1');
      await chown(planted, NOBODY.uid, NOBODY.gid);
      await expect(start({ binaries: { ...found, dir: clone } })).rejects.toThrow(
        `${planted} belongs to somebody else or may be written by others: remove it`,
      );
    });

    it('runs for a user who is not root as that user', async () => {
      await mkdir(stateDir);
      await chown(stateDir, NOBODY.uid, NOBODY.gid);
      const daemon = await runProgram(DAEMON, { args: [stateDir], user: NOBODY });
      expect(await query(daemon.firstLine, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      const dataDir = path.join(stateDir, 'postgres', 'data');
      const postmaster = await postmasterOf(dataDir);
      expect((await stat(dataDir)).uid).toBe(NOBODY.uid);
      await daemon.end('SIGTERM');
      expect(await isRunning(postmaster)).toBe(false);

      // Root takes over what that user has left, as that user.
      const server = await start();
      expect(server.url).toBe(daemon.firstLine);
      expect((await stat(dataDir)).uid).toBe(NOBODY.uid);
    });
  });
});

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

function listenOn(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** Command lines of PostgreSQL servers whose data lies below a folder. */
async function serversBelow(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return commands.filter((command) => command.includes(folder) && command.includes('postgres'));
}
