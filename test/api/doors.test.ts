/** Who gets through which door? Every route that there is, from the table of routes itself. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openHarness, ROOT, type Harness, type Method } from './harness.ts';

let harness: Harness;
let foreignId: string;
let routes: { url: string; method: Method; methods: ReadonlySet<string> }[];

beforeAll(async () => {
  harness = await openHarness();
  foreignId = (await harness.seed('foreign', { owner: 'ctm_other' })).metadata.uid;
  routes = [...harness.api.routeTable].flatMap(([pattern, methods]) =>
    METHODS.filter((method) => methods.has(method)).map((method) => ({
      url: pattern.replace(':namespace', 'default').replace(':name', 'foreign').replace(':id', foreignId),
      method,
      methods,
    })),
  );
});
afterAll(() => harness.close());

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const PROBES = ['/livez', '/readyz', '/metrics', '/api/v1/health'];
/** Asked before there is a token, by browsers, or by Paddle, which signs instead. */
const OPEN = [
  'GET /.well-known/jwks.json',
  'GET /api/v1/auth/oauth/:provider',
  'GET /api/v1/auth/oauth/:provider/callback',
  'POST /api/v1/core/oauth/token',
  'GET /api/v1/plans',
  'GET /api/v1/checkout/plans',
  'GET /api/v1/checkout/:checkout/pay',
  'GET /api/v1/checkout/:checkout/return',
  'POST /webhooks/paddle',
  'POST /api/v1/webhooks/paddle',
];
const isClosed = ({ url, method }: { url: string; method: Method }): boolean =>
  !PROBES.includes(url) && !OPEN.includes(`${method} ${url}`);
const customer = { customer: 'ctm_1' };

describe('the table of routes', () => {
  it('is what the contract lists', () => {
    const table = [...harness.api.routeTable]
      .map(([url, methods]) => `${[...methods].sort().join(',')} ${url}`)
      .sort();
    expect(table).toMatchInlineSnapshot(`
      [
        "DELETE,GET,PATCH /api/v1/tenants/:id",
        "DELETE,GET,PATCH /api/v1/tenants/:id/secrets/:key",
        "DELETE,GET,PATCH,PUT /apis/cloud.systemprompt.io/v1alpha1/namespaces/:namespace/tenants/:name",
        "DELETE,GET,POST /api/v1/tenants/:id/custom-domain",
        "GET /.well-known/jwks.json",
        "GET /api/v1/auth/me",
        "GET /api/v1/auth/oauth/:provider",
        "GET /api/v1/auth/oauth/:provider/callback",
        "GET /api/v1/checkout/:checkout/events",
        "GET /api/v1/checkout/:checkout/pay",
        "GET /api/v1/checkout/:checkout/return",
        "GET /api/v1/checkout/plans",
        "GET /api/v1/tenants/:id/credentials/:token",
        "GET /api/v1/tenants/:id/domains",
        "GET /api/v1/tenants/:id/environment",
        "GET /api/v1/tenants/:id/events",
        "GET /api/v1/tenants/:id/logs",
        "GET /api/v1/tenants/:id/metrics",
        "GET /api/v1/tenants/:id/metrics/history",
        "GET /api/v1/tenants/:id/plan",
        "GET /api/v1/tenants/:id/registry-token",
        "GET /api/v1/tenants/:id/revisions",
        "GET /api/v1/tenants/:id/status",
        "GET /api/v1/webhooks/paddle/events",
        "GET /apis/cloud.systemprompt.io/v1alpha1/tenants",
        "GET /metrics",
        "GET,HEAD /api/v1/health",
        "GET,HEAD /livez",
        "GET,HEAD /readyz",
        "GET,PATCH,PUT /apis/cloud.systemprompt.io/v1alpha1/namespaces/:namespace/tenants/:name/status",
        "GET,POST /api/v1/tenants",
        "GET,POST /api/v1/tenants/:id/subscription",
        "GET,POST /apis/cloud.systemprompt.io/v1alpha1/namespaces/:namespace/tenants",
        "GET,POST,PUT /api/v1/tenants/:id/secrets",
        "GET,PUT /api/v1/plans",
        "PATCH,POST /api/v1/tenants/:id/rotate-credentials",
        "POST /api/v1/activity",
        "POST /api/v1/auth/logout",
        "POST /api/v1/checkout",
        "POST /api/v1/core/oauth/token",
        "POST /api/v1/tenants/:id/activate",
        "POST /api/v1/tenants/:id/deploy",
        "POST /api/v1/tenants/:id/restart",
        "POST /api/v1/tenants/:id/retry-provision",
        "POST /api/v1/tenants/:id/rollback",
        "POST /api/v1/tenants/:id/subscription/cancel",
        "POST /api/v1/tenants/:id/suspend",
        "POST /api/v1/webhooks/paddle",
        "POST /api/v1/webhooks/paddle/events/:event/replay",
        "POST /webhooks/paddle",
        "PUT /api/v1/tenants/:id/external-db-access",
      ]
    `);
  });
});

describe('without a token', () => {
  it('every route but the open ones answers 401 in the shape of its door', async () => {
    for (const { url, method } of routes.filter(isClosed)) {
      const answer = await harness.call('nobody', method, url);
      expect([method, url, answer.status]).toEqual([method, url, 401]);
      expect(answer.headers['www-authenticate']).toBe('Bearer');
      if (url.startsWith(ROOT))
        expect(answer.body).toMatchObject({ kind: 'Status', reason: 'Unauthorized', code: 401 });
      else expect(answer.body.error).toMatchObject({ code: 'unauthorized' });
    }
  });

  it('the probes answer', async () => {
    for (const url of ['/livez', '/readyz', '/api/v1/health']) {
      expect((await harness.call('nobody', 'GET', url)).status).toBe(200);
      expect((await harness.call('nobody', 'HEAD', url)).status).toBe(200);
    }
  });
});

describe('with a token that is not valid', () => {
  it('every route but the open ones answers 401', async () => {
    for (const { url, method } of routes.filter(isClosed)) {
      const answer = await harness.call('nobody', method, url, {
        headers: { authorization: 'Bearer a.b.c' },
      });
      expect([method, url, answer.status]).toEqual([method, url, 401]);
    }
  });
});

describe('a customer', () => {
  it('gets 403 as a Status on every route of the declarative door', async () => {
    const declarative = routes.filter(({ url }) => url.startsWith(ROOT));
    expect(declarative.length).toBeGreaterThan(8);
    for (const { url, method } of declarative) {
      const answer = await harness.call(customer, method, url);
      expect([method, url, answer.status]).toEqual([method, url, 403]);
      expect(answer.body).toMatchObject({ kind: 'Status', reason: 'Forbidden' });
    }
  });

  it('cannot tell the tenant of another from one that does not exist', async () => {
    const ofOneTenant = routes.filter(({ url }) => url.includes(foreignId));
    expect(ofOneTenant.length).toBeGreaterThan(10);
    const nobodysId = '00000000-0000-4000-8000-000000000000';
    for (const { url, method } of ofOneTenant) {
      const foreign = await harness.call(customer, method, url);
      const missing = await harness.call(customer, method, url.replace(foreignId, nobodysId));
      expect([method, url, foreign.status]).toEqual([method, url, 404]);
      expect(foreign.body.error.code).toBe('tenant_not_found');
      expect(foreign.body.error.message.replace(foreignId, nobodysId)).toBe(missing.body.error.message);
      expect(missing.status).toBe(404);
    }
  });

  it('changed nothing by trying', async () => {
    expect(await harness.store.getByUid(foreignId)).toMatchObject({
      metadata: { generation: 1 },
      spec: { owner: 'ctm_other' },
    });
  });
});

describe('the wrong method', () => {
  it('is answered 405 with the right ones on every route, whatever the body', async () => {
    for (const { url, methods } of routes) {
      for (const method of METHODS.filter((name) => !methods.has(name))) {
        const answer = await harness.call('operator', method, url, {
          body: '{"cut off',
          headers: { 'content-type': 'a/b' },
        });
        expect([method, url, answer.status]).toEqual([method, url, 405]);
        expect(answer.headers['allow']).toBe([...methods].sort().join(', '));
      }
    }
  });
});

describe('an address that leads nowhere', () => {
  it('is answered 404 in the shape of its door', async () => {
    expect(await harness.call('operator', 'GET', '/nowhere')).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    });
    expect(await harness.call('operator', 'GET', '/apis/apps/v1/deployments')).toMatchObject({
      status: 404,
      body: { kind: 'Status', reason: 'NotFound', code: 404 },
    });
  });

  it('is answered 400 when it is not an address', async () => {
    expect((await harness.call('operator', 'GET', '/%E0%A4%A')).status).toBe(400);
  });
});

describe('a body', () => {
  const json = { 'content-type': 'application/json' };
  it.each([
    {
      name: 'that is no JSON',
      body: '{"spec":',
      headers: json,
      status: 400,
      reason: 'BadRequest',
      code: 'invalid_request',
    },
    {
      name: 'that poisons prototypes',
      body: '{"__proto__":{"x":1}}',
      headers: json,
      status: 400,
      reason: 'BadRequest',
      code: 'invalid_request',
    },
    {
      name: 'that is too large',
      body: `"${'x'.repeat(1_048_577)}"`,
      headers: json,
      status: 413,
      reason: 'RequestEntityTooLarge',
      code: 'payload_too_large',
    },
    {
      name: 'of another type',
      body: 'a: b',
      headers: { 'content-type': 'application/yaml' },
      status: 415,
      reason: 'UnsupportedMediaType',
      code: 'unsupported_media_type',
    },
  ])(
    '$name is refused at both doors without a stack trace',
    async ({ body, headers, status, reason, code }) => {
      const declarative = await harness.call('operator', 'POST', `${ROOT}/namespaces/default/tenants`, {
        body,
        headers,
      });
      expect(declarative).toMatchObject({
        status,
        body: { kind: 'Status', status: 'Failure', reason, code: status },
      });
      const rest = await harness.call('operator', 'POST', `/api/v1/tenants/${foreignId}/deploy`, {
        body,
        headers,
      });
      expect(rest).toMatchObject({ status, body: { error: { code } } });
      expect(JSON.stringify([declarative.body, rest.body])).not.toMatch(/node_modules|\.ts:/);
    },
  );
});

describe('a defect', () => {
  it('is logged with its stack, and answered with the id of the request alone', async () => {
    const { plan } = harness.outside;
    harness.outside.plan = undefined as never;
    const rest = await harness.call('operator', 'GET', `/api/v1/tenants/${foreignId}/plan`);
    harness.outside.plan = plan;
    const id = String(rest.headers['x-request-id']);
    expect(rest.status).toBe(500);
    expect(rest.body).toEqual({
      error: { code: 'internal', message: 'cannot answer the request: internal error', request_id: id },
    });
    const line = harness.logged.find((text) => text.includes('request met a defect'));
    expect(line).toContain(id);
    expect(line).toContain('TypeError');
    expect(line).toContain('view.ts');
  });

  it('is no defect when the database is away: that is 503, and worth another try', async () => {
    const away = await openHarness({ databaseUrl: 'postgresql://nobody@127.0.0.1:1/nothing' });
    const rest = await away.call('operator', 'GET', '/api/v1/tenants');
    const declarative = await away.call('operator', 'GET', `${ROOT}/tenants`);
    await away.close();
    expect(rest).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } });
    expect(rest.headers['retry-after']).toBe('2');
    expect(declarative).toMatchObject({
      status: 503,
      body: { reason: 'ServiceUnavailable', details: { retryAfterSeconds: 2 } },
    });
    expect(away.logged.some((line) => line.includes('ECONNREFUSED'))).toBe(true);
  });
});

describe('every answer', () => {
  it('carries an id of its own, whatever the client sent, and is not cached', async () => {
    const headers = { 'x-request-id': 'forged' };
    const first = await harness.call('operator', 'GET', '/api/v1/tenants', { headers });
    const second = await harness.call('operator', 'GET', '/api/v1/tenants', { headers });
    expect(first.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    expect(first.headers['cache-control']).toBe('no-store');
  });

  it('is problem details for whoever accepts them', async () => {
    const headers = { accept: 'application/problem+json, application/json' };
    const answer = await harness.call('operator', 'PATCH', `/api/v1/tenants/${foreignId}`, {
      body: { memory_mb: 3 },
      headers,
    });
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.body).toMatchObject({
      type: 'urn:landlord:error:invalid_request',
      title: 'The request cannot be understood',
      status: 400,
      code: 'invalid_request',
      instance: `urn:uuid:${String(answer.headers['x-request-id'])}`,
      issues: [{ path: 'memory_mb' }],
    });
  });

  it('is logged by its route and never by its path', async () => {
    await harness.call('operator', 'GET', `/api/v1/tenants/${foreignId}/status?secret=hunter3`);
    const line = harness.logged.findLast((text) => text.includes('/status'));
    expect(line).toContain('/api/v1/tenants/:id/status');
    expect(harness.logged.join('')).not.toContain('hunter3');
  });
});
