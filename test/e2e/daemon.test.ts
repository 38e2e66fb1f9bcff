import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Tenant } from '../../src/tenant/schema.ts';
import { eventually } from '../support/eventually.ts';
import { call, createOperator } from '../support/operator.ts';
import { freePort, run, startDaemon, type Daemon } from '../support/processes.ts';

let stateDir: string;
beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'landlord-e2e-'));
});
afterAll(() => rm(stateDir, { recursive: true, force: true }));

/** Runs the daemon until it ends by itself. */
async function runToEnd(env: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  const running = run('dist/main.js', { env });
  const code = await eventually(
    () => {
      const exit = running.exited();
      return exit === undefined ? undefined : { exit };
    },
    { what: 'the daemon to end', timeoutMs: 60_000 },
  );
  return { code: code.exit, output: running.output() };
}

function operatorOf(daemon: Daemon) {
  return createOperator(
    () => daemon.url,
    () => daemon.credentials.operator_token,
  );
}

async function phases(daemon: Daemon): Promise<Record<string, string | undefined>> {
  const tenants = await operatorOf(daemon).list();
  return Object.fromEntries(tenants.map((tenant: Tenant) => [tenant.metadata.name, tenant.status?.phase]));
}

const EXAMPLES = { hello: 'running', newcomer: 'awaiting_deploy', sleeper: 'suspended' };

async function settles(daemon: Daemon): Promise<void> {
  await eventually(async () => JSON.stringify(await phases(daemon)) === JSON.stringify(EXAMPLES), {
    what: 'the examples to settle',
    timeoutMs: 60_000,
    during: daemon,
  });
}

describe('a first run with nothing but Node', () => {
  let daemon: Daemon;
  beforeAll(async () => {
    daemon = await startDaemon({ stateDir });
  });
  afterAll(() => daemon.stop());

  it('brings the three example tenants where they want to be', async () => {
    await settles(daemon);
    expect(daemon.output()).toMatch(/tenant default\/hello: .* -> running/);
  });

  it('leaves credentials that only the owner can read, for an operator and for a customer', async () => {
    const file = join(stateDir, 'credentials.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const { api_url: url, customer_token: token } = JSON.parse(await readFile(file, 'utf8')) as Record<
      string,
      string
    >;
    const { status, body } = await call<{ data: { name: string }[] }>(`${url ?? ''}/api/v1/tenants`, {
      token: token ?? '',
    });
    expect(status).toBe(200);
    expect(body.data.map(({ name }) => name).sort()).toEqual(Object.keys(EXAMPLES));
  });

  it('refuses a second daemon on the same state folder, by name', async () => {
    const second = await runToEnd({ LANDLORD_STATE_DIR: stateDir, PORT: '0' });
    expect(second.code).toBe(1);
    expect(second.output).toContain(stateDir);
    expect(await phases(daemon)).toEqual(EXAMPLES);
  });

  it('tells figures in the text format of Prometheus', async () => {
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    expect(text).toContain('landlord_reconcile_total');
    expect(text).toContain('landlord_fly_calls_total');
  });
});

describe('a second run', () => {
  it('after a kill finds database, simulated Fly and tenants as they were, and makes nothing anew', async () => {
    const first = await startDaemon({ stateDir });
    await settles(first);
    const before = await operatorOf(first).list();
    await first.kill();
    const second = await startDaemon({ stateDir });
    try {
      await settles(second);
      const after = await operatorOf(second).list();
      const machines = (tenants: Tenant[]) => tenants.map(({ status }) => status?.machine?.id);
      expect(machines(after)).toEqual(machines(before));
    } finally {
      expect(await second.stop()).toBe(0);
    }
  });
});

describe('a database that dies under the daemon', () => {
  it('turns readiness red, comes back by itself, and loses no accepted edit', async () => {
    const daemon = await startDaemon({ stateDir });
    try {
      await settles(daemon);
      const operator = operatorOf(daemon);
      expect((await operator.patch('hello', { memoryMb: 1024 })).status).toBe(200);
      process.kill(await postmasterOf(daemon), 'SIGKILL');
      await eventually(async () => (await readiness(daemon)) === 503, {
        what: '/readyz to be red',
        intervalMs: 10,
      });
      await eventually(async () => (await readiness(daemon)) === 200, {
        what: '/readyz to be green',
        during: daemon,
      });
      const grown = await eventually(
        async () => {
          const { body } = await operator.get('hello');
          return body.status?.machine?.memoryMb === 1024 && body.status.phase === 'running'
            ? body
            : undefined;
        },
        { what: 'the edit to be carried out', during: daemon, timeoutMs: 60_000 },
      );
      expect(grown.spec.memoryMb).toBe(1024);
    } finally {
      await daemon.stop();
    }
  });
});

/** Process id of the embedded server, which stands in the first line of its lock file. */
async function postmasterOf(daemon: Daemon): Promise<number> {
  const dataDir = /keeps its data in (\S+)/.exec(daemon.output())?.[1] ?? '';
  return Number((await readFile(join(dataDir, 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

async function readiness(daemon: Daemon): Promise<number> {
  const response = await fetch(`${daemon.url}/readyz`);
  await response.arrayBuffer();
  return response.status;
}

describe('a daemon that cannot start', () => {
  it('lists everything that is wrong with its environment and exits with 2, before anything starts', async () => {
    const { code, output } = await runToEnd({
      PORT: 'eighty',
      DATABASE_URL: 'mysql://x',
      LANDLORD_STATE_DIRECTORY: '/x',
      LOG_LEVEL: 'loud',
    });
    expect(code).toBe(2);
    for (const name of ['PORT', 'DATABASE_URL', 'LANDLORD_STATE_DIRECTORY', 'LOG_LEVEL'])
      expect(output).toContain(name);
    expect(output).not.toContain('    at ');
  });

  it('names what production must be told', async () => {
    const { code, output } = await runToEnd({ NODE_ENV: 'production' });
    expect(code).toBe(2);
    for (const name of ['DATABASE_URL', 'FLY_API_TOKEN', 'LANDLORD_ENCRYPTION_KEYS', 'JWT_SECRET'])
      expect(output).toContain(name);
  });

  it('waits for its database, says so, and ends at once when it is told to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landlord-e2e-'));
    const running = run('dist/main.js', {
      env: {
        LANDLORD_STATE_DIR: folder,
        DATABASE_URL: `postgres://landlord@127.0.0.1:${await freePort()}/x`,
      },
    });
    await eventually(() => running.output().includes('nothing listens there (ECONNREFUSED); trying again'), {
      what: 'the daemon to say that it waits',
    });
    expect(await running.stop()).toBe(0);
    expect(running.output()).not.toContain('    at ');
    await rm(folder, { recursive: true, force: true });
  });

  it('says which port is taken, and leaves nothing running', async () => {
    const port = await freePort();
    const squatter = createServer().listen(port, '127.0.0.1');
    await once(squatter, 'listening');
    const folder = await mkdtemp(join(tmpdir(), 'landlord-e2e-'));
    try {
      const { code, output } = await runToEnd({ LANDLORD_STATE_DIR: folder, PORT: String(port) });
      expect(code).toBe(1);
      expect(output).toContain(String(port));
      expect(output).not.toContain('    at ');
    } finally {
      squatter.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
