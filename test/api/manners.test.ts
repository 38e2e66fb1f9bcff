/** Does the API keep its manners: limits, keys against repetition, origins, addresses behind proxies? */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Tenant } from '../../src/tenant/schema.ts';
import { DIGEST, openHarness, REGISTRY, ROOT, type Harness } from './harness.ts';
import { eventually } from '../support/eventually.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const me = { customer: 'ctm_1' };
let database: TestDatabase;
let harness: Harness;
let tenant: Tenant;
let names = 0;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
afterEach(() => harness.close());

/** An API of one's own on the database of this file. */
async function open(options: Parameters<typeof openHarness>[0] = {}): Promise<void> {
  harness = await openHarness({ databaseUrl: database.url, ...options });
  tenant = await harness.seed(`shop-${names++}`, { spec: { image: 'registry.example.com/images:a' } });
}

const at = (path = ''): string => `/api/v1/tenants/${tenant.metadata.uid}${path}`;
const generation = async (): Promise<number> =>
  (await harness.store.getByUid(tenant.metadata.uid))!.metadata.generation;

describe('a caller who asks too often', () => {
  beforeEach(() => open({ limits: { readsPerMinute: 3, writesPerMinute: 2, anonymousPerMinute: 2 } }));
  const read = (caller: Parameters<Harness['call']>[0] = me) => harness.call(caller, 'GET', at());

  it('is told how much is left, and then when to come back', async () => {
    const first = await read();
    expect(first.headers).toMatchObject({
      'ratelimit-policy': '"reads";q=3;w=60',
      ratelimit: '"reads";r=2;t=20',
    });
    expect((await read()).headers['ratelimit']).toBe('"reads";r=1;t=40');
    expect((await read()).headers['ratelimit']).toBe('"reads";r=0;t=60');
    const refused = await read();
    expect(refused).toMatchObject({ status: 429, body: { error: { code: 'too_many_requests' } } });
    expect(refused.headers).toMatchObject({ ratelimit: '"reads";r=0;t=60', 'retry-after': '20' });
    await harness.clock.advance(20_000);
    expect((await read()).status).toBe(200);
    expect((await read()).status).toBe(429);
  });

  it('may still write, and holds up no other customer and no operator', async () => {
    for (let count = 0; count < 4; count += 1) await read();
    expect((await harness.call(me, 'POST', at('/restart'))).status).toBe(202);
    expect((await harness.call({ customer: 'ctm_2' }, 'GET', '/api/v1/tenants')).status).toBe(200);
    for (let count = 0; count < 6; count += 1) expect((await read('operator')).status).toBe(200);
  });

  it.each([-3_600_000, 3_600_000])(
    'is let in when it was told, though the clock is set by %i ms',
    async (byMs) => {
      for (let count = 0; count < 4; count += 1) await read();
      harness.clock.step(byMs);
      const refused = await read();
      expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '20' } });
      await harness.clock.advance(20_000);
      expect((await read()).status).toBe(200);
    },
  );

  it('with tokens that are not valid is limited by address, before another is looked at', async () => {
    const guess = () => harness.call('nobody', 'GET', at(), { headers: { authorization: 'Bearer a.b.c' } });
    expect([(await guess()).status, (await guess()).status]).toEqual([401, 401]);
    const refused = await guess();
    expect(refused.status).toBe(429);
    expect(refused.headers['ratelimit-policy']).toBe('"anonymous";q=2;w=60');
    expect((await read()).status).toBe(200);
  });
});

describe('a POST with an Idempotency-Key', () => {
  beforeEach(() => open());
  const post = (path: string, key: string, parts: { body?: unknown; caller?: typeof me | 'operator' } = {}) =>
    harness.call(parts.caller ?? me, 'POST', at(path), {
      headers: { 'idempotency-key': key },
      ...(parts.body !== undefined && { body: parts.body }),
    });

  it('is done once, and answered the same each time', async () => {
    const first = await post('/restart', 'key-1');
    const again = await post('/restart', 'key-1');
    expect(first.status).toBe(202);
    expect(again).toMatchObject({ status: 202, body: first.body });
    expect(again.headers['etag']).toBe(first.headers['etag']);
    expect(again.headers['content-type']).toBe(first.headers['content-type']);
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(again.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    expect(await generation()).toBe(2);
    await post('/restart', 'key-2');
    expect(await generation()).toBe(3);
  });

  it('is done once also when it is sent many times at once', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => post('/restart', 'key-many')));
    const codes = answers.map(({ status }) => status);
    expect(codes.filter((status) => status === 202).length).toBeGreaterThan(0);
    expect(codes.every((status) => status === 202 || status === 409)).toBe(true);
    expect(await generation()).toBe(2);
  });

  it('is told so while the first is under way', async () => {
    const image = `${REGISTRY}/images:tenant-${tenant.metadata.uid}`;
    const registry = new Promise<never>(() => undefined);
    let asked = false;
    const get = () => {
      asked = true;
      return registry;
    };
    harness.outside.images = { get } as never;
    const token = await harness.token(me);
    const hanging = new AbortController();
    const first = fetch(`${harness.url}${at('/deploy')}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'idempotency-key': 'key-slow',
      },
      body: JSON.stringify({ image }),
      signal: hanging.signal,
    }).catch((error: unknown) => error);
    // It has the key by then.
    await eventually(async () => asked, { what: 'the first request to ask the registry', intervalMs: 5 });
    const other = await post('/deploy', 'key-slow', { body: { image: 'current' } });
    expect(other).toMatchObject({ status: 422, body: { error: { code: 'idempotency_mismatch' } } });
    const again = await post('/deploy', 'key-slow', { body: { image } });
    expect(again).toMatchObject({ status: 409, body: { error: { code: 'idempotency_in_flight' } } });
    expect(again.headers['retry-after']).toBe('1');
    hanging.abort();
    await first;
    await harness.clock.advance(20_000);
  });

  it('frees the key when it was refused, so that it can succeed later', async () => {
    const image = `${REGISTRY}/images:tenant-${tenant.metadata.uid}`;
    expect((await post('/deploy', 'key-late', { body: { image } })).status).toBe(404);
    harness.outside.images.set(image, DIGEST);
    expect((await post('/deploy', 'key-late', { body: { image } })).status).toBe(202);
  });

  it('is refused for another request, and knows no other caller', async () => {
    await post('/restart', 'key-3');
    expect(await post('/suspend', 'key-3')).toMatchObject({
      status: 422,
      body: { error: { code: 'idempotency_mismatch' } },
    });
    expect((await post('/suspend', 'key-3', { caller: 'operator' })).status).toBe(202);
  });

  it('is refused when the key is not one', async () => {
    for (const key of ['', 'two words', 'x'.repeat(256)])
      expect(await post('/restart', key)).toMatchObject({
        status: 400,
        body: { error: { code: 'invalid_request' } },
      });
    expect(await generation()).toBe(1);
  });
});

describe('a tenant that the client has already', () => {
  beforeEach(() => open());

  it('is not sent again', async () => {
    const { headers } = await harness.call(me, 'GET', at());
    const ask = (tag: string) => harness.call(me, 'GET', at(), { headers: { 'if-none-match': tag } });
    const same = await ask(`"0", ${String(headers['etag'])}`);
    expect(same).toMatchObject({ status: 304, body: {} });
    expect(same.headers['etag']).toBe(headers['etag']);
    await harness.call(me, 'POST', at('/suspend'));
    expect((await ask(String(headers['etag']))).status).toBe(200);
  });
});

describe('a page of another origin', () => {
  const preflight = (origin: string) =>
    harness.call('nobody', 'OPTIONS', at(), {
      headers: {
        origin,
        'access-control-request-method': 'PATCH',
        'access-control-request-headers': 'authorization',
      },
    });

  it('may do nothing unless its origin is named', async () => {
    await open();
    const answer = await preflight('https://app.example.com');
    expect(answer.status).toBe(401);
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('may ask when it is, and reads the headers that it needs', async () => {
    await open({ corsOrigins: ['https://app.example.com'] });
    const allowed = await preflight('https://app.example.com');
    expect(allowed.status).toBe(204);
    expect(allowed.headers['access-control-allow-origin']).toBe('https://app.example.com');
    expect(String(allowed.headers['access-control-allow-methods'])).toContain('PATCH');
    expect(allowed.headers['access-control-allow-credentials']).toBeUndefined();
    const other = await preflight('https://evil.example.com');
    expect(other.headers['access-control-allow-origin']).not.toBe('https://evil.example.com');
    const read = await harness.call(me, 'GET', at(), { headers: { origin: 'https://app.example.com' } });
    expect(read.status).toBe(200);
    expect(String(read.headers['access-control-expose-headers'])).toContain('x-request-id');
  });
});

describe('the address of a client', () => {
  /** The one that the audit log has of a write with these headers. */
  async function addressOf(headers: Record<string, string>): Promise<string | undefined> {
    await harness.call(me, 'POST', at('/suspend'), { headers });
    return (await harness.ledger.audit.list({ limit: 1 }))[0]?.address;
  }

  it('is that of the connection, whatever a client claims', async () => {
    await open();
    const forged = {
      'x-forwarded-for': '203.0.113.9',
      'cf-connecting-ip': '203.0.113.9',
      'x-real-ip': '203.0.113.9',
    };
    expect(await addressOf(forged)).toBe('127.0.0.1');
  });

  it('is the one that a trusted proxy names, by the header that knows best', async () => {
    await open({ trustsProxy: (address) => address === '127.0.0.1' || address.startsWith('10.') });
    expect(await addressOf({ 'x-forwarded-for': '198.51.100.7, 203.0.113.9, 10.0.0.2' })).toBe('203.0.113.9');
    expect(await addressOf({ 'x-real-ip': '203.0.113.8', 'x-forwarded-for': '203.0.113.9' })).toBe(
      '203.0.113.8',
    );
    expect(await addressOf({ 'cf-connecting-ip': '2001:db8::1', 'x-real-ip': '203.0.113.8' })).toBe(
      '2001:db8::1',
    );
    expect(await addressOf({ 'cf-connecting-ip': 'nonsense', 'x-real-ip': '203.0.113.8' })).toBe(
      '203.0.113.8',
    );
  });
});

describe('the audit log', () => {
  beforeEach(() => open());
  const last = async () =>
    (await harness.call('operator', 'GET', '/api/v1/audit?limit=1')).body.data[0 as never];

  it('tells who changed what, from what to what', async () => {
    const { headers } = await harness.call(me, 'PATCH', at(), {
      body: { memory_mb: 1024, env: { LOG_LEVEL: 'debug', STRIPE_SECRET: 'hunter4' } },
      headers: { 'user-agent': 'systemprompt/1' },
    });
    expect(await last()).toMatchObject({
      request_id: headers['x-request-id'],
      subject: 'carl',
      role: 'customer',
      customer_id: 'ctm_1',
      address: '127.0.0.1',
      user_agent: 'systemprompt/1',
      method: 'PATCH',
      route: '/api/v1/tenants/:id',
      params: { id: tenant.metadata.uid },
      status: 202,
      tenant_id: tenant.metadata.uid,
      before: { metadata: { generation: 1 }, spec: { memoryMb: 512, env: {} } },
      after: {
        metadata: { generation: 2 },
        spec: { memoryMb: 1024, env: { LOG_LEVEL: 'debug', STRIPE_SECRET: '[redacted]' } },
      },
    });
    const rows = JSON.stringify(await database.query('SELECT * FROM audit_log'));
    expect(rows).not.toContain('hunter4');
  });

  it('has what was refused, with the reason, and nothing that was only read', async () => {
    await harness.call({ customer: 'ctm_2' }, 'DELETE', at());
    await harness.call(me, 'GET', at());
    expect(await last()).toMatchObject({
      method: 'DELETE',
      customer_id: 'ctm_2',
      status: 404,
      error_code: 'tenant_not_found',
    });
    expect(await last()).not.toHaveProperty('before');
  });

  it('has the names of the secrets that were set or deleted, under their tenant, and no value', async () => {
    await harness.call(me, 'PUT', at('/secrets'), { body: { secrets: { STRIPE_KEY: 'hunter7' } } });
    await harness.call(me, 'DELETE', at('/secrets/STRIPE_KEY'));
    const { data } = (await harness.call('operator', 'GET', `/api/v1/audit?tenant_id=${tenant.metadata.uid}`))
      .body;
    expect(data).toMatchObject([
      { method: 'DELETE', before: { secrets: ['STRIPE_KEY'] } },
      { method: 'PUT', after: { secrets: ['STRIPE_KEY'] } },
    ]);
    expect(JSON.stringify(await database.query('SELECT * FROM audit_log'))).not.toContain('hunter7');
  });

  it('has a repetition once', async () => {
    const headers = { 'idempotency-key': 'audited' };
    await harness.call(me, 'POST', at('/restart'), { headers });
    await harness.call(me, 'POST', at('/restart'), { headers });
    const list = await harness.call('operator', 'GET', `/api/v1/audit?tenant_id=${tenant.metadata.uid}`);
    expect(list.body.data).toHaveLength(1);
  });

  it('has what operators do at the declarative door', async () => {
    await harness.call('operator', 'PATCH', `${ROOT}/namespaces/default/tenants/${tenant.metadata.name}`, {
      body: { spec: { volumeGb: 5 } },
      headers: { 'content-type': 'application/merge-patch+json' },
    });
    expect(await last()).toMatchObject({
      subject: 'olga',
      role: 'operator',
      before: { spec: { volumeGb: 1 } },
      after: { spec: { volumeGb: 5 } },
    });
    await harness.call('operator', 'DELETE', `${ROOT}/namespaces/default/tenants/${tenant.metadata.name}`);
    expect(await last()).toMatchObject({ before: { spec: { volumeGb: 5 } } });
    expect(await last()).not.toHaveProperty('after');
  });

  it('is read in pages', async () => {
    for (const verb of ['suspend', 'activate', 'suspend']) await harness.call(me, 'POST', at(`/${verb}`));
    const page = (cursor = '') =>
      harness.call('operator', 'GET', `/api/v1/audit?limit=2&tenant_id=${tenant.metadata.uid}${cursor}`);
    const first = await page();
    expect(first.body.data).toHaveLength(2);
    const second = await page(`&cursor=${first.body.next_cursor ?? ''}`);
    expect(second.body.data).toHaveLength(1);
    expect(second.body.next_cursor).toBeUndefined();
  });

  it('does not keep an answer back when it cannot be written, and leaves the entry in the log', async () => {
    await database.query('ALTER TABLE audit_log RENAME TO audit_log_away');
    const answer = await harness.call(me, 'POST', at('/suspend'));
    await database.query('ALTER TABLE audit_log_away RENAME TO audit_log');
    expect(answer.status).toBe(202);
    const line = harness.logged.find((text) => text.includes('cannot write the audit log'));
    expect(line).toContain(tenant.metadata.uid);
  });
});

describe('records of requests', () => {
  beforeEach(() => open({ trustsProxy: () => true }));

  /** Written about a second after the request. */
  const found = (path: string) =>
    eventually(
      async () => {
        const { data } = (await harness.call('operator', 'GET', path)).body;
        return Object.values(data)[0] as Record<string, unknown> | undefined;
      },
      { what: `a record at ${path}` },
    );

  it('tell operators what was asked, how it ended and how long it took', async () => {
    const { headers } = await harness.call(me, 'GET', `${at('/status')}?token=hunter5&limit=7`, {
      headers: {
        'user-agent': 'systemprompt/1',
        referer: 'https://app.example.com/page?token=hunter5',
        'cf-ipcountry': 'DE',
        'cf-connecting-ip': '203.0.113.7',
      },
    });
    const record = await found(`/api/v1/metrics/requests?path_prefix=${at('/status')}`);
    expect(record).toMatchObject({
      request_id: headers['x-request-id'],
      method: 'GET',
      route: '/api/v1/tenants/:id/status',
      path: at('/status'),
      query: { token: '[redacted]', limit: '[redacted]' },
      status: 200,
      error_code: null,
      address: '203.0.113.7',
      country: 'DE',
      user_agent: 'systemprompt/1',
      referer: 'https://app.example.com/page',
      subject: 'carl',
      customer_id: 'ctm_1',
      tenant_id: tenant.metadata.uid,
      year: new Date(String(record['timestamp'])).getUTCFullYear(),
      hour: new Date(String(record['timestamp'])).getUTCHours(),
    });
    expect(record['latency_ms']).toBeGreaterThan(0);
    expect(JSON.stringify(await database.query('SELECT * FROM request_metrics'))).not.toContain('hunter5');
  });

  it('list failures with their reason, and sum up', async () => {
    await harness.call({ customer: 'ctm_2' }, 'GET', at('/plan'));
    expect(await found(`/api/v1/metrics/errors?path_prefix=${at('/plan')}`)).toMatchObject({
      status: 404,
      error_code: 'tenant_not_found',
    });
    expect(await found(`/api/v1/metrics/slow?path_prefix=${at()}`)).toBeDefined();
    const { data } = (await harness.call('operator', 'GET', '/api/v1/metrics/stats?hours=1')).body;
    expect(data['total_requests']).toBeGreaterThan(0);
    expect(data['error_endpoints']).toContainEqual(
      expect.objectContaining({ route: '/api/v1/tenants/:id/plan', errors: 1 }),
    );
  });

  it('are nobody else’s business', async () => {
    for (const path of ['requests', 'stats', 'slow', 'errors'])
      expect((await harness.call(me, 'GET', `/api/v1/metrics/${path}`)).status).toBe(403);
    expect((await harness.call(me, 'GET', '/api/v1/audit')).status).toBe(403);
  });
});

describe('?wait=', () => {
  beforeEach(() => open());
  const ready = (type: 'Ready' | 'Stalled', of: Tenant) => ({
    observedGeneration: of.metadata.generation,
    conditions: [
      {
        type,
        status: 'True' as const,
        reason: 'Because',
        message: 'It is.',
        lastTransitionTime: '2026-01-01T00:00:00Z',
        observedGeneration: of.metadata.generation,
      },
    ],
  });
  const changed = () =>
    eventually(
      async () => {
        const now = await harness.store.getByUid(tenant.metadata.uid);
        return now !== undefined && now.metadata.generation === 2 ? now : undefined;
      },
      { what: 'the change to be stored', intervalMs: 5 },
    );

  it('answers 200 once the loop has made it so', async () => {
    await harness.report(tenant, ready('Ready', tenant));
    const answering = harness.call(me, 'PATCH', `${at()}?wait=30`, { body: { memory_mb: 1024 } });
    const now = await changed();
    await harness.report(now, ready('Ready', now));
    expect(await answering).toMatchObject({
      status: 200,
      body: { data: { observed_generation: 2, memory_mb: 1024 } },
    });
  });

  it('answers 202 as soon as a person must act first', async () => {
    const answering = harness.call(me, 'POST', `${at('/suspend')}?wait=30`);
    const now = await changed();
    await harness.report(now, ready('Stalled', now));
    expect((await answering).status).toBe(202);
  });

  it('answers 202 when the time is over', async () => {
    const timers = harness.clock.timers;
    const answering = harness.call(me, 'POST', `${at('/suspend')}?wait=30`);
    await eventually(async () => harness.clock.timers > timers, { what: 'the wait to begin', intervalMs: 5 });
    await harness.clock.advance(30_000);
    expect((await answering).status).toBe(202);
    expect(await generation()).toBe(2);
  });

  it('is refused before anything is changed when it is no number', async () => {
    expect((await harness.call(me, 'POST', `${at('/suspend')}?wait=soon`)).status).toBe(400);
    expect(await generation()).toBe(1);
  });
});
