/** What does a tenant's owner see of logs and figures? Read through the real client from a simulated Fly. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { environmentAnswer } from '../../../src/api/rest/environment.ts';
import { logsAnswer } from '../../../src/api/rest/logs.ts';
import { historyAnswer, metricsAnswer } from '../../../src/api/rest/metrics.ts';
import { METRIC_NAMES } from '../../../src/api/rest/metric-queries.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { eventually } from '../../support/eventually.ts';
import { metric, openStream } from '../client.ts';
import { openHarness, type Answer, type Harness } from '../harness.ts';

let harness: Harness;
let tenant: Tenant;
let app: string;
let count = 0;
beforeAll(async () => {
  harness = await openHarness();
});
beforeEach(async () => {
  tenant = await harness.seed(`shop-${count++}`);
  app = `sp-${tenant.metadata.uid}`;
});
afterAll(() => harness.close());

const me = { customer: 'ctm_1' };
const at = (path: string) => `/api/v1/tenants/${tenant.metadata.uid}${path}`;
const get = (path: string): Promise<Answer> => harness.call(me, 'GET', at(path));
const refused = (status: number, code: string) => ({ status, body: { error: { code } } });
const say = (message: string, level = 'info') => harness.control('POST', '/logs', { app, message, level });
const messages = async (query: string): Promise<string[]> =>
  logsAnswer.parse((await get(`/logs${query}`)).body).logs.map((line) => line.message);

/** Makes the app on the simulated Fly and says so in the status, as the loop does. */
async function provision(): Promise<void> {
  await harness.control('POST', '/apps', { name: app, org: 'systemprompt' });
  tenant = await harness.report(tenant, { observedGeneration: 1, phase: 'running', app: { name: app } });
}

async function runMachine(): Promise<void> {
  const config = {
    image: 'docker.io/library/hello:1',
    guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 512 },
    env: {},
  };
  const signal = AbortSignal.timeout(10_000);
  await harness.fly.machines.create(app, { name: app, region: 'iad', config, skip_launch: false }, signal);
}

describe('logs', () => {
  it('are refused while there is no app', async () => {
    expect(await get('/logs')).toMatchObject(refused(409, 'not_provisioned'));
    expect(await get('/metrics')).toMatchObject(refused(409, 'not_provisioned'));
    expect(await get('/metrics/history')).toMatchObject(refused(409, 'not_provisioned'));
  });

  it('are the newest hundred lines, oldest first, bare, with time, level and machine', async () => {
    await provision();
    for (let number = 1; number <= 130; number += 1) await say(`line ${number}`);
    const answer = await get('/logs');
    expect(Object.keys(answer.body)).toEqual(['logs']);
    const { logs } = logsAnswer.parse(answer.body);
    expect(logs).toHaveLength(100);
    expect(logs.at(-1)).toMatchObject({
      message: 'line 130',
      level: 'info',
      timestamp: new Date(harness.clock.now()).toISOString(),
    });
    expect(await messages('?lines=2')).toEqual(['line 129', 'line 130']);
  });

  it('are found also beyond the hundred that Fly answers with', async () => {
    await provision();
    for (let number = 1; number <= 260; number += 1) {
      await say(`line ${number}`);
      harness.clock.step(1_000);
    }
    const found = await messages('?lines=250');
    expect(found).toHaveLength(250);
    expect([found[0], found.at(-1)]).toEqual(['line 11', 'line 260']);
  });

  it('begin at a time, or so long ago', async () => {
    await provision();
    await say('early');
    harness.clock.step(3_600_000);
    const since = new Date(harness.clock.now()).toISOString();
    harness.clock.step(1_000);
    await say('late');
    expect(await messages(`?since=${since}`)).toEqual(['late']);
    expect(await messages('?since=30m')).toEqual(['late']);
    expect(await messages('?since=2h')).toEqual(['early', 'late']);
  });

  it('are of a level and the graver ones', async () => {
    await provision();
    for (const level of ['debug', 'info', 'warn', 'error', 'strange']) await say(level, level);
    expect(await messages('?level=warn')).toEqual(['warn', 'error']);
    expect(await messages('?level=info')).toEqual(['info', 'warn', 'error', 'strange']);
  });

  it('are of one machine', async () => {
    await provision();
    await say('not of a machine');
    expect(await messages('?instance=1857aa00bb11cc')).toEqual([]);
  });

  it.each([
    'lines=0',
    'lines=x',
    'since=soon',
    'since=2999-01-01T00:00:00Z',
    'level=loud',
    'instance=A/B',
    'follow=maybe',
  ])('refuse ?%s', async (query) => {
    await provision();
    expect(await get(`/logs?${query}`)).toMatchObject(refused(400, 'invalid_request'));
  });

  it('answer 503 while Fly does not, without its words', async () => {
    await provision();
    await harness.control('POST', '/faults', {
      operation: 'Logs_read',
      kind: 'status',
      status: 400,
      body: 'secret words',
    });
    const answer = await get('/logs');
    expect(answer).toMatchObject(refused(503, 'unavailable'));
    expect(JSON.stringify(answer.body)).not.toContain('secret words');
  });
});

describe('logs that are followed', () => {
  const follow = (headers: Record<string, string> = {}, query = '') =>
    openStream(harness, { caller: me, path: at(`/logs?follow=true${query}`), separator: '\n\n', headers });
  const read = (frame: string | undefined) => ({
    event: /^event: (.*)$/m.exec(frame ?? '')?.[1],
    id: /^id: (.*)$/m.exec(frame ?? '')?.[1],
    message: (JSON.parse(/^data: (.*)$/m.exec(frame ?? '')?.[1] ?? '{}') as { message?: string }).message,
  });

  it('come as server-sent events, each line once, and go on where the client stopped', async () => {
    await provision();
    await say('one');
    await say('two');
    const client = await follow();
    expect([client.status, client.contentType]).toEqual([200, 'text/event-stream']);
    const first = read(await client.next());
    const second = read(await client.next());
    expect([first.event, first.message, second.message]).toEqual(['log', 'one', 'two']);
    harness.clock.step(5);
    await say('three');
    const next = client.next();
    await eventually(() => harness.clock.timers >= 2, { what: 'the pause between two looks', intervalMs: 5 });
    await harness.clock.advance(1_000);
    expect(read(await next).message).toBe('three');
    client.close();
    harness.clock.step(5);
    await say('four');
    const again = await follow({ 'last-event-id': second.id! });
    expect(read(await again.next()).message).toBe('three');
    expect(read(await again.next()).message).toBe('four');
    again.close();
    await eventually(async () => (await metric(harness, 'landlord_http_streams{kind="logs"}')) === 0, {
      what: 'the streams to end',
    });
  });

  it('show no more old lines than asked for', async () => {
    await provision();
    for (const message of ['one', 'two', 'three']) await say(message);
    const client = await follow({}, '&lines=1');
    expect(read(await client.next()).message).toBe('three');
    client.close();
  });
});

describe('metrics', () => {
  it('have a unit and a value each, and none where nothing is measured', async () => {
    await provision();
    await runMachine();
    await harness.clock.advance(300_000);
    const { at: time, metrics } = metricsAnswer.parse((await get('/metrics')).body).data;
    expect(time).toBe(new Date(harness.clock.now()).toISOString());
    expect(Object.keys(metrics).sort()).toEqual([...METRIC_NAMES].sort());
    expect(metrics.machines_up).toEqual({ unit: 'machines', value: 1 });
    expect(metrics.memory_total_bytes.value).toBeGreaterThan(400 * 1024 ** 2);
    expect(metrics.memory_used_bytes.value).toBeGreaterThan(0);
    expect(metrics.cpu_percent.value).toBeCloseTo(4.2, 5);
    expect(metrics.network_sent_bytes_per_second.value).toBeGreaterThan(0);
    // The simulated Fly has no edge: that is told as nothing, not as zero.
    expect(metrics.http_responses_per_second.value).toBeNull();
  });

  it('of one tenant do not count the machines of another', async () => {
    await provision();
    await runMachine();
    await harness.clock.advance(60_000);
    tenant = await harness.seed(`idle-${count}`);
    app = `sp-${tenant.metadata.uid}`;
    await provision();
    expect(metricsAnswer.parse((await get('/metrics')).body).data.metrics.machines_up.value).toBeNull();
  });

  it('over time come in the steps that were asked for', async () => {
    await provision();
    await runMachine();
    await harness.clock.advance(600_000);
    const answer = await get('/metrics/history?metric=machines_up,memory_total_bytes&step_seconds=60');
    const { series, step_seconds: step, from, to } = historyAnswer.parse(answer.body).data;
    expect(step).toBe(60);
    expect(Date.parse(to) - Date.parse(from)).toBe(3_600_000);
    expect(series.map(({ metric: name, unit }) => [name, unit])).toEqual([
      ['machines_up', 'machines'],
      ['memory_total_bytes', 'bytes'],
    ]);
    const times = series[0]!.points.map((point) => Date.parse(point.at));
    expect(times.length).toBeGreaterThanOrEqual(10);
    for (const [index, time] of times.entries()) if (index > 0) expect(time - times[index - 1]!).toBe(60_000);
  });

  it.each([
    'metric=nonsense',
    'step_seconds=1',
    'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z',
    'from=2025-01-01T00:00:00Z&to=2026-01-01T00:00:00Z',
    'from=2025-12-30T00:00:00Z&to=2026-01-01T00:00:00Z&step_seconds=15',
    'from=yesterday',
  ])('over time refuse ?%s', async (query) => {
    await provision();
    expect(await get(`/metrics/history?${query}`)).toMatchObject(refused(400, 'invalid_request'));
  });

  it('answer 503 while Fly does not', async () => {
    await provision();
    await harness.control('POST', '/faults', {
      operation: 'Prometheus_query',
      kind: 'status',
      status: 422,
      count: 99,
    });
    expect(await get('/metrics')).toMatchObject(refused(503, 'unavailable'));
    await harness.control('DELETE', '/faults');
  });
});

describe('the environment', () => {
  it('is all that the machine gets, with the names of secrets and none of their values', async () => {
    await harness.vault.set(tenant.metadata.uid, { OPENAI_API_KEY: 'sk-secret' });
    await harness.call(me, 'PATCH', at(''), { body: { env: { LOG_FORMAT: 'json' } } });
    const answer = await get('/environment');
    const { data } = environmentAnswer.parse(answer.body);
    expect(data.environment).toMatchObject({
      PORT: '8080',
      LOG_FORMAT: 'json',
      TENANT_ID: tenant.metadata.uid,
      API_EXTERNAL_URL: `https://${tenant.metadata.uid}.tenants.example.com`,
    });
    expect(data.custom).toEqual({ LOG_FORMAT: 'json' });
    expect(data.secrets).toEqual(['DATABASE_URL', 'JWT_SECRET', 'OPENAI_API_KEY']);
    expect(data.internal_hostname).toBe(`${app}.internal`);
    expect(JSON.stringify(answer.body)).not.toContain('sk-secret');
  });
});
