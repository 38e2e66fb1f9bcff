import { createHash } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import {
  createSimulatorServer,
  type SimulatorServer,
  type SimulatorServerOptions,
} from '../../src/simulator/server.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { eventually } from '../support/eventually.ts';
import { smallConfig } from './support/virtual-fly.ts';

const cleanups: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(options: Partial<SimulatorServerOptions> = {}): Promise<SimulatorServer> {
  const server = await createSimulatorServer({
    clock: systemClock,
    latency: 0,
    rateLimits: false,
    ...options,
  });
  cleanups.push(() => server.close());
  return server;
}

function temporaryFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'simulator-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'world.jsonl');
}

interface Reply {
  status: number;
  headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into answers
  json: any;
}

async function call(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Reply> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: 'Bearer test' },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    json: text === '' ? undefined : JSON.parse(text),
  };
}

async function createMachine(url: string): Promise<string> {
  await call(url, 'POST', '/v1/apps', { name: 'one', org_slug: 'o' });
  const { json } = await call(url, 'POST', '/v1/apps/one/machines', { name: 'm', config: smallConfig });
  return `/v1/apps/one/machines/${json.id}`;
}

describe('the server', () => {
  it('serves the whole platform on one port', async () => {
    const { url } = await serve({ apps: ['images'] });
    const base = await createMachine(url);
    const statuses = await Promise.all(
      [
        base,
        '/api/v1/apps/one/logs',
        '/prometheus/o/api/v1/query?query=fly_instance_up',
        '/v2/',
        '/_simulator/world',
      ].map(async (path) => (await call(url, 'GET', path)).status),
    );
    expect(statuses).toEqual([200, 200, 200, 200, 200]);
    expect((await call(url, 'GET', '/v1/apps/images')).json.organization.slug).toBe('systemprompt');
  });

  it('holds from the start what it was told to', async () => {
    const { url } = await serve({ apps: ['images'], images: ['images:v1'] });
    expect((await call(url, 'HEAD', '/v2/images/manifests/v1')).status).toBe(200);
  });

  it('answers as HTTP wants it: ids, types, lengths, and nothing where there is nothing', async () => {
    const { url } = await serve();
    const base = await createMachine(url);
    const shown = await call(url, 'GET', base);
    expect(shown.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(shown.headers.get('fly-request-id')).toMatch(/^[0-9A-Z]{26}-iad$/);
    const patched = await call(url, 'PATCH', `${base}/metadata`, { metadata: { a: '1' } });
    expect([patched.status, patched.headers.get('content-length'), patched.json]).toEqual([
      204,
      null,
      undefined,
    ]);
    const { digest } = (await call(url, 'POST', '/_simulator/registry', { repository: 'one', tag: 'v1' }))
      .json;
    const head = await call(url, 'HEAD', '/v2/one/manifests/v1');
    expect([head.status, head.headers.get('docker-content-digest'), head.json]).toEqual([
      200,
      digest,
      undefined,
    ]);
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(100);
  });

  it('waits for the drawn latency before a call takes effect', async () => {
    const clock = createFakeClock();
    const { url, world } = await serve({
      clock,
      latency: { ranges: { appCreate: [500, 500] }, kinds: { lag: 0 } },
    });
    const answered = call(url, 'POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    await eventually(() => world.calls.list({}).length === 1, { what: 'the call to arrive' });
    await clock.advance(499);
    expect(world.state.apps).toEqual({});
    await clock.advance(1);
    expect((await answered).status).toBe(201);
  });

  it('answers hundreds who wait for one machine when it arrives, and leaves no timer of theirs', async () => {
    const clock = createFakeClock();
    const { url, world } = await serve({
      clock,
      autostopEveryMs: 0,
      latency: { ranges: { suspend: [5000, 5000] }, kinds: { call: 0, lag: 0 } },
    });
    const base = await createMachine(url);
    await clock.advance(60_000);
    await call(url, 'POST', `${base}/suspend`);
    const waits = Array.from({ length: 300 }, () => call(url, 'GET', `${base}/wait?state=suspended`));
    await eventually(
      () => world.calls.counters().Machines_suspend !== undefined && world.calls.list({}).length === 303,
      { what: 'all calls to arrive' },
    );
    await clock.advance(5000);
    const answers = await Promise.all(waits);
    expect(new Set(answers.map(({ status, json }) => `${status} ${json.state}`))).toEqual(
      new Set(['200 suspended']),
    );
    expect(clock.timers).toBe(0);
  });

  it('says 408 to who waits in vain, at the time that was asked for', async () => {
    const clock = createFakeClock();
    const { url, world } = await serve({ clock });
    const base = await createMachine(url);
    const waiting = call(url, 'GET', `${base}/wait?state=suspended&timeout=20`);
    await eventually(() => world.calls.list({}).length === 3, { what: 'the wait to arrive' });
    await clock.advance(20_000);
    expect((await waiting).status).toBe(408);
  });

  it('cuts the connection for a lost answer, with the work done', async () => {
    const { url, world } = await serve();
    await call(url, 'POST', '/_simulator/faults', { operation: 'Apps_create', kind: 'applied-answer-lost' });
    await expect(call(url, 'POST', '/v1/apps', { name: 'one', org_slug: 'o' })).rejects.toThrow(
      'fetch failed',
    );
    expect(Object.keys(world.state.apps)).toEqual(['one']);
  });

  it('never answers a call that hangs, and does not miss the caller who gives up', async () => {
    const { url, world } = await serve();
    await call(url, 'POST', '/_simulator/faults', { operation: 'Apps_show', kind: 'hang' });
    const patience = new AbortController();
    const hanging = call(url, 'GET', '/v1/apps/one', undefined, patience.signal);
    await eventually(() => world.calls.counters().Apps_show?.lost === 1, { what: 'the call to arrive' });
    patience.abort();
    await expect(hanging).rejects.toThrow('aborted');
    expect((await call(url, 'GET', '/v1/apps/one')).status).toBe(404);
  });

  it('does the work of a caller who went away before it took effect', async () => {
    const clock = createFakeClock();
    const { url, world } = await serve({
      clock,
      latency: { ranges: { appCreate: [500, 500] }, kinds: { lag: 0 } },
    });
    const patience = new AbortController();
    const gone = call(url, 'POST', '/v1/apps', { name: 'one', org_slug: 'o' }, patience.signal);
    await eventually(() => world.calls.list({}).length === 1, { what: 'the call to arrive' });
    patience.abort();
    await expect(gone).rejects.toThrow('aborted');
    await clock.advance(500);
    expect(Object.keys(world.state.apps)).toEqual(['one']);
  });

  it('refuses a body that is too large', async () => {
    const { url } = await serve();
    const outcome = await call(url, 'POST', '/v1/apps', 'x'.repeat(5 * 1024 * 1024)).then(
      ({ status }) => status,
      () => 'cut',
    );
    expect([413, 'cut']).toContain(outcome);
    expect((await call(url, 'GET', '/v1/platform/regions')).status).toBe(200);
  });

  it('takes layers, checks them and forgets them, so that docker push ends in a manifest', async () => {
    const { url } = await serve({ apps: ['images'] });
    const layer = 'a layer';
    const digest = `sha256:${createHash('sha256').update(layer).digest('hex')}`;
    expect((await call(url, 'HEAD', `/v2/images/blobs/${digest}`)).status).toBe(404);
    const begun = await call(url, 'POST', '/v2/images/blobs/uploads/', '');
    const sent = await call(url, 'PATCH', begun.headers.get('location')!, layer);
    expect([begun.status, sent.status, sent.headers.get('range')]).toEqual([202, 202, '0-6']);
    const place = sent.headers.get('location')!;
    expect((await call(url, 'PUT', `${place}?digest=${digest}`)).status).toBe(201);
    expect((await call(url, 'PUT', `${place}?digest=${digest}`)).status).toBe(404);
    const whole = await call(url, 'POST', `/v2/images/blobs/uploads/?digest=${digest}`, 'another layer');
    expect([whole.status, whole.json.errors[0].code]).toEqual([400, 'DIGEST_INVALID']);
    expect((await call(url, 'PUT', '/v2/images/manifests/v1', { schemaVersion: 2 })).status).toBe(201);
  });

  it('ends every wait when it closes', async () => {
    const server = await createSimulatorServer({ clock: systemClock, latency: 0 });
    const base = await createMachine(server.url);
    const waiting = call(server.url, 'GET', `${base}/wait?state=suspended`);
    const refused = expect(waiting).rejects.toThrow('fetch failed');
    await eventually(() => server.world.calls.list({}).length === 3, { what: 'the wait to arrive' });
    await server.close();
    await refused;
  });

  it('rejects when its port is taken', async () => {
    const { port } = await serve();
    await expect(createSimulatorServer({ clock: systemClock, port })).rejects.toThrow('EADDRINUSE');
  });
});

describe('the state file', () => {
  it('holds everything that was answered before the process was killed', async () => {
    const stateFile = temporaryFile();
    const first = await serve({ stateFile, apps: ['images'] });
    const base = await createMachine(first.url);
    const { digest } = (
      await call(first.url, 'POST', '/_simulator/registry', { repository: 'images', tag: 'v1' })
    ).json;
    await call(first.url, 'POST', '/v1/apps', { name: 'gone', org_slug: 'o' });
    await call(first.url, 'DELETE', '/v1/apps/gone');
    const { config, instance_id: version } = (await call(first.url, 'GET', base)).json;
    // The first server is not closed: a second one on a copy of the file sees what a killed process leaves.
    writeFileSync(`${stateFile}.copy`, readFileSync(stateFile));
    const second = await serve({ stateFile: `${stateFile}.copy`, apps: ['images'] });
    expect((await call(second.url, 'GET', base)).json).toMatchObject({
      state: 'started',
      instance_id: version,
      config,
    });
    expect(
      (await call(second.url, 'HEAD', '/v2/images/manifests/v1')).headers.get('docker-content-digest'),
    ).toBe(digest);
    expect(Object.keys(second.world.state.apps).sort()).toEqual(['images', 'one']);
    const made = await call(second.url, 'POST', '/v1/apps/one/machines', { config: smallConfig });
    expect(Object.keys(second.world.state.apps.one!.machines)).toHaveLength(2);
    expect(made.json.id).not.toBe(base.split('/').at(-1));
  });

  it('goes on with what was under way', async () => {
    const stateFile = temporaryFile();
    const latency = { ranges: { boot: [60_000, 60_000] as const }, kinds: { call: 0, lag: 0 } };
    const clock = createFakeClock();
    const first = await createSimulatorServer({ clock, latency, stateFile });
    const base = await createMachine(first.url);
    await first.close();
    await clock.advance(61_000);
    const second = await serve({ clock, latency, stateFile });
    expect((await call(second.url, 'GET', base)).json.state).toBe('started');
  });

  it('loses only a last line that was cut off, and refuses any other damage', async () => {
    const stateFile = temporaryFile();
    const first = await createSimulatorServer({
      clock: systemClock,
      latency: 0,
      stateFile,
      apps: ['images'],
    });
    await first.close();
    appendFileSync(stateFile, '["apps","half",{"id":"x"');
    const second = await createSimulatorServer({ clock: systemClock, latency: 0, stateFile });
    expect(Object.keys(second.world.state.apps)).toEqual(['images']);
    await second.close();
    writeFileSync(stateFile, `nonsense\n${readFileSync(stateFile, 'utf8')}`);
    await expect(createSimulatorServer({ clock: systemClock, stateFile })).rejects.toThrow(
      `cannot read simulator state "${stateFile}": line 1 is damaged`,
    );
  });

  it('is readable by its owner alone', async () => {
    const stateFile = temporaryFile();
    await serve({ stateFile });
    expect(statSync(stateFile).mode & 0o777).toBe(0o600);
  });

  it('is rewritten when it has grown to several times its content', async () => {
    const stateFile = temporaryFile();
    const { url } = await serve({ stateFile });
    await call(url, 'POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    let largest = 0;
    let rewritten = false;
    for (let write = 0; write < 400 && !rewritten; write++) {
      await call(url, 'POST', '/v1/apps/one/secrets', { values: { A: String(write).padEnd(50_000, 'x') } });
      const { size } = statSync(stateFile);
      rewritten = size < largest;
      largest = Math.max(largest, size);
    }
    expect(rewritten).toBe(true);
    expect(largest).toBeLessThan(5 * 1024 * 1024);
  });
});

describe('the program', () => {
  async function start(env: Record<string, string>): Promise<{ url: string; process: ChildProcess }> {
    const child = spawn(process.execPath, ['--import', 'tsx', 'src/simulator/main.ts'], {
      env: { PATH: process.env.PATH, SIMULATOR_PORT: '0', SIMULATOR_LATENCY: '0', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    cleanups.push(() => void child.kill('SIGKILL'));
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const url = await eventually(() => /http:\S+/.exec(output)?.[0], { what: 'the simulator to listen' });
    return { url, process: child };
  }

  it('keeps its world through a kill, and ends when asked to', async () => {
    const stateFile = temporaryFile();
    const first = await start({ SIMULATOR_STATE: stateFile });
    await call(first.url, 'POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    first.process.kill('SIGKILL');
    await once(first.process, 'exit');
    const second = await start({ SIMULATOR_STATE: stateFile });
    expect((await call(second.url, 'GET', '/v1/apps/one')).status).toBe(200);
    expect((await call(second.url, 'GET', '/v1/apps/systemprompt-images')).status).toBe(200);
    second.process.kill('SIGTERM');
    expect(await once(second.process, 'exit')).toEqual([0, null]);
  });
});
