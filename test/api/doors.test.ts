/** Who gets through which door? Every route that there is, from the table of routes itself. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sql } from 'kysely';
import { z } from 'zod';
import type { Plan } from '../../src/accounts/plans.ts';
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
/** Answered without a token, and undeclared: what orchestrators and people look up. */
const LOOKED_UP = [
  '/livez',
  '/readyz',
  '/metrics',
  '/api/v1/health',
  '/openapi.json',
  '/docs',
  '/docs/start.js',
  '/docs/swagger-ui.css',
  '/docs/swagger-ui-bundle.js',
];
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
/** Whether a route answers without a token. */
function isOpen(url: string, method: string): boolean {
  const declared = harness.api.declarations.find(
    (route) => route.method === method && route.path.replace(':id', foreignId) === url,
  );
  return LOOKED_UP.includes(url) || declared?.access === 'public';
}
const customer = { customer: 'ctm_1' };
const TENANT = '/api/v1/tenants/:id';
/** Bodies with which nothing is wrong, where an empty one would not do. */
const RIGHT_BODIES: Readonly<Record<string, object>> = { [`POST ${TENANT}/deploy`]: { image: 'any' } };
const PLAN: Plan = {
  id: 'pro',
  name: 'Pro',
  memoryMb: 1024,
  volumeGb: 10,
  prices: [{ id: 'pri_1', amount: 4900, currency: 'USD', interval: 'month' }],
  grace: { pastDueDays: 0, pausedDays: 0, canceledDays: 0 },
};

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
        "GET /api/v1/audit",
        "GET /api/v1/auth/me",
        "GET /api/v1/auth/oauth/:provider",
        "GET /api/v1/auth/oauth/:provider/callback",
        "GET /api/v1/checkout/:checkout/events",
        "GET /api/v1/checkout/:checkout/pay",
        "GET /api/v1/checkout/:checkout/return",
        "GET /api/v1/checkout/plans",
        "GET /api/v1/metrics/errors",
        "GET /api/v1/metrics/requests",
        "GET /api/v1/metrics/slow",
        "GET /api/v1/metrics/stats",
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
        "GET /docs",
        "GET /docs/start.js",
        "GET /docs/swagger-ui-bundle.js",
        "GET /docs/swagger-ui.css",
        "GET /metrics",
        "GET /openapi.json",
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

describe('the declarations', () => {
  it('open no route but those that are meant to be open', () => {
    const open = harness.api.declarations.filter(({ access }) => access === 'public');
    expect(open.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([...OPEN].sort());
  });

  it('leave no route of the REST door out', () => {
    const declared = harness.api.declarations.map(({ method, path }) => `${method} ${path}`);
    const registered = [...harness.api.routeTable].flatMap(([url, methods]) =>
      [...methods].map((method) => `${method} ${url}`),
    );
    const undeclared = registered.filter((route) => {
      const url = route.split(' ')[1] ?? '';
      return !declared.includes(route) && !LOOKED_UP.includes(url) && !url.startsWith(ROOT);
    });
    expect(undeclared).toEqual([]);
    expect(new Set(declared).size).toBe(declared.length);
  });
});

describe('without a token', () => {
  it('every route but the probes answers 401 in the shape of its door', async () => {
    for (const { url, method } of routes.filter(({ url, method }) => !isOpen(url, method))) {
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
  it('every route but the probes answers 401', async () => {
    for (const { url, method } of routes.filter(({ url, method }) => !isOpen(url, method))) {
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

describe('an owner whose subscription has lapsed', () => {
  it('is answered 402 on every route that is gated, and on no other route', async () => {
    const { uid } = (await harness.seed('lapsed', { finalizers: ['test/keep'] })).metadata;
    await harness.accounts.plans.apply({ plans: [PLAN] });
    await sql`
      INSERT INTO subscriptions (id, customer_id, plan_id, price_id, status, paid, lapsed_at, as_of, tenant_uid)
      VALUES ('sub_1', 'ctm_1', ${PLAN.id}, 'pri_1', 'paused', true, '2025-06-01', '2025-06-01', ${uid})`.execute(
      harness.database.db,
    );
    const ofOneTenant = harness.api.declarations.filter(({ path }) => path.startsWith(TENANT));
    const refused: string[] = [];
    for (const { method, path, body } of ofOneTenant.filter(({ streams }) => streams !== true)) {
      const answer = await harness.call(customer, method, path.replace(':id', uid), {
        ...(body !== undefined && { body: RIGHT_BODIES[`${method} ${path}`] ?? {} }),
      });
      if (answer.status === 402) refused.push(`${method} ${path}`);
      if (answer.status === 402) expect(answer.body.error.code).toBe('subscription_inactive');
    }
    const gated = ofOneTenant.filter((route) => route.gated === true);
    expect(refused.sort()).toEqual(gated.map(({ method, path }) => `${method} ${path}`).sort());
    expect(refused).toEqual(
      ['activate', 'deploy', 'rollback']
        .map((verb) => `POST ${TENANT}/${verb}`)
        .concat(`GET ${TENANT}/registry-token`)
        .sort(),
    );
    const scale = await harness.call(customer, 'PATCH', `/api/v1/tenants/${uid}`, {
      body: { status: 'active' },
    });
    expect(scale.status).toBe(402);
  });
});

describe('a body that is wrong', () => {
  it('is answered 400 with the path of each field that is, on every declared route', async () => {
    const { data: view } = (await harness.call('operator', 'GET', `/api/v1/tenants/${foreignId}`)).body;
    expect(view['id']).toBe(foreignId);
    let tried = 0;
    for (const { method, path, body } of harness.api.declarations) {
      if (body === undefined) continue;
      const { properties = {}, additionalProperties } = z.toJSONSchema(body, { io: 'input' });
      const unknown = additionalProperties === false ? ['no_such_field'] : [];
      for (const field of [...Object.keys(properties), ...unknown]) {
        const answer = await harness.call('operator', method, path.replace(':id', foreignId), {
          // A list in a list is no value of any field.
          body: { [field]: [[]] },
        });
        expect([method, path, field, answer.status]).toEqual([method, path, field, 400]);
        const issues = answer.body.error.issues as { path: string }[];
        expect(issues.some((issue) => issue.path.split(/[.[]/)[0] === field)).toBe(true);
        tried += 1;
      }
    }
    expect(tried).toBeGreaterThan(5);
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
    harness.askForDefect();
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
  it('carries the id that the client gave, or one of its own where that is none', async () => {
    const ask = (id: string) =>
      harness.call('operator', 'GET', '/api/v1/tenants', { headers: { 'x-request-id': id } });
    expect((await ask('trace-0042.a')).headers['x-request-id']).toBe('trace-0042.a');
    const forged = await ask('short');
    expect(forged.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect((await ask('two words')).headers['x-request-id']).not.toBe(forged.headers['x-request-id']);
  });

  it('is kept by nobody, and shows or runs nothing in a browser', async () => {
    const { headers } = await harness.call('operator', 'GET', '/api/v1/tenants');
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'strict-transport-security': 'max-age=31536000',
    });
    expect(headers['access-control-allow-origin']).toBeUndefined();
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
      instance: `urn:landlord:request:${String(answer.headers['x-request-id'])}`,
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
