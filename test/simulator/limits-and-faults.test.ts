import { describe, expect, it } from 'vitest';
import { latencies, latencyTable } from '../../src/simulator/latency.ts';
import { createTenant, createVirtualFly } from './support/virtual-fly.ts';

describe('rate limits', () => {
  function statuses(times: number, call: () => { status: number }): number[] {
    return Array.from({ length: times }, () => call().status);
  }

  it('allow three of an action at once and then one a second, for each app by itself', () => {
    const fly = createVirtualFly({ rateLimits: true });
    for (const name of ['one', 'two']) fly.call('POST', '/v1/apps', { name, org_slug: 'o' });
    const list = (app: string) => fly.call('GET', `/v1/apps/${app}/volumes`);
    expect(statuses(5, () => list('one'))).toEqual([200, 200, 200, 429, 429]);
    expect(list('one').json).toEqual({ error: 'rate limit exceeded' });
    expect(list('two').status).toBe(200);
    expect(fly.call('GET', '/v1/apps/one/machines').status).toBe(200);
    fly.pass(2000);
    expect(statuses(3, () => list('one'))).toEqual([200, 200, 429]);
  });

  it('allow ten reads of a machine at once and then five a second', () => {
    const fly = createVirtualFly({ rateLimits: true });
    const { base } = createTenant(fly);
    expect(statuses(12, () => fly.call('GET', base))).toEqual([...Array<number>(10).fill(200), 429, 429]);
    fly.pass(1000);
    expect(statuses(6, () => fly.call('GET', base))).toEqual([...Array<number>(5).fill(200), 429]);
  });

  it('allow a hundred deletions of apps a minute, whatever the apps', () => {
    const fly = createVirtualFly({ rateLimits: true });
    let number = 0;
    const remove = () => fly.call('DELETE', `/v1/apps/app-${number++}`);
    expect(statuses(101, remove).filter((status) => status === 429)).toHaveLength(1);
    fly.pass(6000);
    expect(statuses(11, remove).filter((status) => status === 429)).toHaveLength(1);
  });

  it('do not hold for logs, metrics and the registry', () => {
    const fly = createVirtualFly({ rateLimits: true });
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    expect(new Set(statuses(20, () => fly.call('GET', '/api/v1/apps/one/logs')))).toEqual(new Set([200]));
    expect(new Set(statuses(20, () => fly.call('GET', '/v2/')))).toEqual(new Set([200]));
  });

  it('are remembered only as long as they matter', () => {
    const fly = createVirtualFly({ rateLimits: true });
    for (let number = 0; number < 100; number++) fly.call('GET', `/v1/apps/app-${number}`);
    fly.pass(60_000);
    fly.call('GET', '/v1/apps/last');
    expect(Object.keys(fly.world.state.buckets)).toEqual(['Apps_show last']);
  });

  it('are counted by operation and status', () => {
    const fly = createVirtualFly({ rateLimits: true });
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    statuses(5, () => fly.call('GET', '/v1/apps/one'));
    expect(fly.control('GET', '/calls').json.counters).toEqual({
      Apps_create: { '201': 1 },
      Apps_show: { '200': 3, '429': 2 },
    });
  });
});

describe('a fault', () => {
  const create = { app_name: 'one', org_slug: 'o' };

  function exists(fly: ReturnType<typeof createVirtualFly>): boolean {
    return 'one' in fly.control('GET', '/world').json.apps;
  }

  it('answers a status without effect', () => {
    const fly = createVirtualFly();
    fly.control('POST', '/faults', {
      operation: 'Apps_create',
      kind: 'status',
      status: 502,
      headers: { 'retry-after': '3' },
    });
    const { status, json, headers } = fly.call('POST', '/v1/apps', create);
    expect([status, json.error, headers['retry-after']]).toEqual([502, 'simulated fault 502', '3']);
    expect(exists(fly)).toBe(false);
    expect(fly.call('POST', '/v1/apps', create).status).toBe(201);
  });

  it('answers the body that was asked for, as text or as JSON', () => {
    const fly = createVirtualFly();
    fly.control('POST', '/faults', { operation: '*', kind: 'status', status: 503, body: '<html>' });
    fly.control('POST', '/faults', { operation: '*', kind: 'status', status: 422, body: { error: 'x' } });
    expect(fly.call('GET', '/v1/apps/a').text).toBe('<html>');
    expect(fly.call('GET', '/v1/apps/a').json).toEqual({ error: 'x' });
  });

  it.each([
    ['hang', 'silence', false],
    ['reset', 'reset', false],
    ['applied-answer-lost', 'reset', true],
  ])('%s ends in %s and leaves the effect: %s', (kind, delivered, effect) => {
    const fly = createVirtualFly();
    fly.control('POST', '/faults', { operation: 'Apps_create', kind });
    expect(fly.deliver('POST', '/v1/apps', create).kind).toBe(delivered);
    expect(exists(fly)).toBe(effect);
    expect(fly.control('GET', '/calls').json.counters).toEqual({ Apps_create: { lost: 1 } });
  });

  it('makes an answer late after the effect', () => {
    const fly = createVirtualFly();
    fly.control('POST', '/faults', { operation: 'Apps_create', kind: 'late', afterMs: 30_000 });
    expect(fly.deliver('POST', '/v1/apps', create)).toMatchObject({
      kind: 'answer',
      holdMs: 30_000,
      answer: { status: 201 },
    });
    expect(exists(fly)).toBe(true);
  });

  it('makes nonsense of an answer', () => {
    const fly = createVirtualFly();
    fly.control('POST', '/faults', { operation: 'Apps_create', kind: 'nonsense' });
    const { status, text } = fly.call('POST', '/v1/apps', create);
    expect(status).toBe(200);
    expect(() => JSON.parse(text!) as unknown).toThrow();
    expect(exists(fly)).toBe(true);
  });

  it('hits the occurrence, the app and as many calls as it was told, and tells how often', () => {
    const fly = createVirtualFly();
    for (const name of ['a', 'b']) fly.call('POST', '/v1/apps', { name, org_slug: 'o' });
    fly.control('POST', '/faults', {
      operation: 'Apps_show',
      app: 'a',
      occurrence: 2,
      count: 2,
      kind: 'status',
      status: 500,
    });
    const show = (app: string): number => fly.call('GET', `/v1/apps/${app}`).status;
    expect(['a', 'b', 'b', 'a', 'a', 'a'].map(show)).toEqual([200, 200, 200, 500, 500, 200]);
    expect(fly.control('GET', '/faults').json.faults).toMatchObject([
      { operation: 'Apps_show', seen: 4, fired: 2 },
    ]);
    expect(fly.control('DELETE', '/faults').status).toBe(204);
    expect(fly.control('GET', '/faults').json.faults).toEqual([]);
  });

  it.each([
    [{ operation: 'Apps_show' }],
    [{ kind: 'reset' }],
    [{ operation: 'x', kind: 'explode' }],
    [{ operation: 'x', kind: 'reset', typo: 1 }],
  ])('that makes no sense is refused: %o', (body) => {
    expect(createVirtualFly().control('POST', '/faults', body).status).toBe(400);
  });
});

describe('an outage', () => {
  it('is everything at once, until it is switched off', () => {
    const fly = createVirtualFly();
    fly.control('POST', '/outage', { kind: 'status' });
    expect([fly.call('GET', '/v1/platform/regions').status, fly.call('GET', '/v2/').status]).toEqual([
      503, 503,
    ]);
    fly.control('POST', '/outage', { kind: 'reset' });
    expect(fly.deliver('GET', '/v1/platform/regions').kind).toBe('reset');
    fly.control('POST', '/outage', { kind: 'off' });
    expect(fly.call('GET', '/v1/platform/regions').status).toBe(200);
  });
});

describe('the call log', () => {
  it('tells every call with its drawn latency, by app and since a sequence number', () => {
    const fly = createVirtualFly({ latency: { kinds: { lag: 0 } } });
    for (const name of ['one', 'two']) fly.call('POST', '/v1/apps', { name, org_slug: 'o' });
    fly.call('GET', '/v1/apps/one?x=secret');
    const { calls } = fly.control('GET', '/calls?app=one').json;
    expect(calls).toEqual([
      {
        sequence: 1,
        operation: 'Apps_create',
        method: 'POST',
        path: '/v1/apps',
        app: 'one',
        at: expect.any(Number),
        latencyMs: expect.any(Number),
        status: 201,
      },
      {
        sequence: 3,
        operation: 'Apps_show',
        method: 'GET',
        path: '/v1/apps/one',
        app: 'one',
        at: expect.any(Number),
        latencyMs: expect.any(Number),
        status: 200,
      },
    ]);
    expect(calls[0].latencyMs).toBeGreaterThanOrEqual(300);
    expect(fly.control('GET', '/calls?since=2').json.calls).toHaveLength(1);
    expect(fly.control('GET', '/calls?since=x').status).toBe(400);
  });

  it('keeps only the latest calls, counts all, and can be cleared', () => {
    const fly = createVirtualFly({ callLogSize: 3 });
    for (let call = 0; call < 5; call++) fly.call('GET', '/v1/platform/regions');
    const { calls, counters } = fly.control('GET', '/calls').json;
    expect(calls.map(({ sequence }: { sequence: number }) => sequence)).toEqual([3, 4, 5]);
    expect(counters).toEqual({ Platform_regions_get: { '200': 5 } });
    fly.control('DELETE', '/calls');
    expect(fly.control('GET', '/calls').json).toEqual({ calls: [], counters: {} });
    fly.call('GET', '/v1/platform/regions');
    expect(fly.control('GET', '/calls').json.calls).toMatchObject([{ sequence: 6 }]);
  });

  it('names no secret and no token', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    fly.call(
      'POST',
      '/v1/apps/one/secrets',
      { values: { A: 'hush-hush' } },
      { authorization: 'Bearer hush-hush' },
    );
    expect(JSON.stringify(fly.control('GET', '/calls').json)).not.toContain('hush');
  });
});

describe('latency', () => {
  it('is drawn between the bounds of the table', () => {
    const fly = createVirtualFly({ latency: 1 });
    for (let call = 0; call < 50; call++) fly.call('GET', '/v1/platform/regions');
    const drawn = fly.world.calls.list({}).map(({ latencyMs }) => latencyMs);
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(latencies.read.minMs);
    expect(Math.max(...drawn)).toBeLessThanOrEqual(latencies.read.maxMs);
    expect(new Set(drawn).size).toBeGreaterThan(5);
  });

  it('is scaled as a whole, by kind, and replaced by row', () => {
    const table = latencyTable({ factor: 2, kinds: { lag: 0, transition: 3 }, ranges: { read: [10, 10] } });
    expect(table.read).toEqual([20, 20]);
    expect(table.list).toEqual([0, 0]);
    expect(table.boot).toEqual([latencies.boot.minMs * 6, latencies.boot.maxMs * 6]);
    expect(Object.values(latencyTable(0)).every(([low, high]) => low === 0 && high === 0)).toBe(true);
  });

  it.each([[-1], [Number.NaN], [Infinity]])('cannot be scaled by %s', (factor) => {
    expect(() => latencyTable(factor)).toThrow(/cannot use latency "read"/);
  });
});
