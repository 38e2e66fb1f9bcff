/** Does the REST door answer as the wire contract wants it, and change the spec as each verb means it? */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { FINALIZER } from '../../../src/tenant/names.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { DIGEST, openHarness, REGISTRY, type Answer, type Harness, type Method } from '../harness.ts';

let harness: Harness;
let tenant: Tenant;
let count = 0;
beforeAll(async () => {
  harness = await openHarness();
});
beforeEach(async () => {
  tenant = await harness.seed(`shop-${count++}`, { spec: { volumeGb: 2 } });
  harness.outside.outage = undefined;
});
afterAll(() => harness.close());

const me = { customer: 'ctm_1' };
const at = (path = '') => `/api/v1/tenants/${tenant.metadata.uid}${path}`;
const call = (
  method: Method,
  url: string,
  body?: unknown,
  headers?: Record<string, string>,
): Promise<Answer> =>
  harness.call(me, method, url, { ...(body !== undefined && { body }), ...(headers && { headers }) });
const stored = async (): Promise<Tenant> => (await harness.store.getByUid(tenant.metadata.uid))!;
const image = () => `${REGISTRY}/images:tenant-${tenant.metadata.uid}`;
const push = () => harness.outside.images.set(image(), DIGEST);
const refused = (status: number, code: string) => ({ status, body: { error: { code } } });

describe('reading', () => {
  it('lists the tenants of the caller, and to operators all', async () => {
    const foreign = await harness.seed(`foreign-${count}`, { owner: 'ctm_other' });
    const ids = (answer: Answer): string[] =>
      z
        .array(z.object({ id: z.string() }))
        .parse(answer.body.data)
        .map(({ id }) => id);
    const mine = ids(await call('GET', '/api/v1/tenants'));
    expect(mine).toContain(tenant.metadata.uid);
    expect(mine).not.toContain(foreign.metadata.uid);
    expect(ids(await harness.call('operator', 'GET', '/api/v1/tenants'))).toContain(foreign.metadata.uid);
    expect((await harness.call({ customer: 'ctm_new' }, 'GET', '/api/v1/tenants')).body).toEqual({
      data: [],
    });
  });

  it('lists in pieces', async () => {
    const owner = 'ctm_pages';
    for (const name of ['p1', 'p2', 'p3']) await harness.seed(name, { owner });
    const page = (query: string) =>
      harness.call({ customer: owner }, 'GET', `/api/v1/tenants?limit=2${query}`);
    const first = await page('');
    expect(first.body.data).toHaveLength(2);
    const second = await page(`&cursor=${encodeURIComponent(first.body.next_cursor ?? '')}`);
    expect(second.body.data).toHaveLength(1);
    expect(second.body.next_cursor).toBeUndefined();
    expect((await harness.call({ customer: owner }, 'GET', '/api/v1/tenants?limit=0')).status).toBe(400);
  });

  it('answers a tenant in an envelope, with its version as the entity tag', async () => {
    const answer = await call('GET', at());
    expect(answer.headers['etag']).toBe(`"${tenant.metadata.resourceVersion}"`);
    expect(answer.body.data).toMatchObject({
      id: tenant.metadata.uid,
      name: tenant.metadata.name,
      status: 'pending',
      phase: 'pending',
      region: 'iad',
      memory_mb: 512,
      volume_gb: 2,
    });
  });

  it('takes the id in any case', async () => {
    expect((await call('GET', `/api/v1/tenants/${tenant.metadata.uid.toUpperCase()}`)).status).toBe(200);
  });

  it.each(['no-uuid', '%00', '1', "'; DROP TABLE tenants"])('finds nothing under the id %s', async (id) => {
    expect(await call('GET', `/api/v1/tenants/${encodeURIComponent(id)}`)).toMatchObject(
      refused(404, 'tenant_not_found'),
    );
  });

  it('answers the status in the envelope and beside it, for old readers', async () => {
    await harness.report(tenant, { observedGeneration: 1, phase: 'awaiting_deploy' });
    const { body } = await call('GET', at('/status'));
    expect(body).toMatchObject({
      status: 'ready',
      data: { status: 'ready', phase: 'awaiting_deploy', fly_status: 'awaiting_deploy', deployed: false },
    });
    expect(body.data.app_url).toBe(`https://${tenant.metadata.uid}.tenants.example.com`);
  });

  it('answers the plan, and 503 while Fly cannot be observed', async () => {
    harness.outside.plan = {
      generation: 1,
      converged: false,
      steps: [{ kind: 'createApp', part: 'app', target: 'sp-1', why: 'there is none', needs: [] }],
      waits: [{ part: 'certificate', reason: 'NotIssued', message: 'not issued yet', retryAfterMs: 5000 }],
      problems: [],
    };
    expect((await call('GET', at('/plan'))).body.data).toEqual({
      generation: 1,
      converged: false,
      steps: [{ kind: 'createApp', part: 'app', target: 'sp-1', why: 'there is none', needs: [] }],
      waits: [{ part: 'certificate', reason: 'NotIssued', message: 'not issued yet', retry_after_ms: 5000 }],
      problems: [],
    });
    harness.outside.outage = new Error('fly is down');
    const answer = await call('GET', at('/plan'));
    expect(answer).toMatchObject(refused(503, 'unavailable'));
    expect(JSON.stringify(answer.body)).not.toContain('fly is down');
    expect(answer.headers['retry-after']).toBe('5');
  });
});

describe('a new tenant', () => {
  const body = { name: 'made-by-hand', owner_customer_id: 'ctm_1', region: 'fra', memory_mb: 1024 };

  it('is made by an operator, with the finalizer that keeps it until Fly holds nothing of it', async () => {
    const answer = await harness.call('operator', 'POST', '/api/v1/tenants', { body });
    expect(answer).toMatchObject({
      status: 201,
      body: { data: { name: 'made-by-hand', owner_customer_id: 'ctm_1', region: 'fra', memory_mb: 1024 } },
    });
    expect(answer.headers['location']).toBe(`/api/v1/tenants/${String(answer.body.data['id'])}`);
    expect((await harness.store.getByUid(String(answer.body.data['id'])))?.metadata.finalizers).toEqual([
      FINALIZER,
    ]);
    expect(await harness.call('operator', 'POST', '/api/v1/tenants', { body })).toMatchObject(
      refused(409, 'already_exists'),
    );
    const wrong = await harness.call('operator', 'POST', '/api/v1/tenants', {
      body: { ...body, region: 'nowhere' },
    });
    expect(wrong).toMatchObject(refused(422, 'invalid'));
  });

  it('is not for a customer to make: one comes with a subscription', async () => {
    const answer = await call('POST', '/api/v1/tenants', { ...body, name: 'mine' });
    expect(answer).toMatchObject(refused(405, 'method_not_allowed'));
    expect(answer.headers['allow']).toBe('GET');
    expect(await harness.store.get({ namespace: 'default', name: 'mine' })).toBeUndefined();
  });
});

describe('a patch', () => {
  it('scales, suspends and configures in one change', async () => {
    const body = {
      memory_mb: 1024,
      volume_gb: 3,
      status: 'suspended',
      env: { LOG_LEVEL: 'debug' },
      hostnames: ['shop.example.com'],
    };
    const answer = await call('PATCH', at(), body);
    expect(answer).toMatchObject({
      status: 202,
      body: { data: { memory_mb: 1024, volume_gb: 3, status: 'suspended' } },
    });
    const now = await stored();
    expect(now.metadata.generation).toBe(2);
    expect(now.spec).toMatchObject({
      memoryMb: 1024,
      volumeGb: 3,
      state: 'Suspended',
      env: { LOG_LEVEL: 'debug' },
      hostnames: ['shop.example.com'],
    });
    expect(answer.headers['etag']).toBe(`"${now.metadata.resourceVersion}"`);
  });

  it.each([
    [{ memory_mb: 300 }, 400, 'memory_mb'],
    [{ memory_mb: '512' }, 400, 'memory_mb'],
    [{ status: 'deleted' }, 400, 'status'],
    [{ owner: 'ctm_2' }, 400, 'owner'],
    [{ volume_gb: 1 }, 422, 'volume_gb'],
    [{ env: { DATABASE_URL: 'x' } }, 422, 'env.DATABASE_URL'],
    [{ env: { lower: 'x' } }, 422, 'env.lower'],
    [{ hostnames: ['nodots'] }, 422, 'hostnames[0]'],
  ])('of %j is refused with %i and names the field', async (body, status, path) => {
    const answer = await call('PATCH', at(), body);
    expect(answer.status).toBe(status);
    expect(answer.body.error.issues).toMatchObject([{ path }]);
    expect((await stored()).metadata.generation).toBe(1);
  });

  it('needs a body', async () => {
    expect((await call('PATCH', at())).status).toBe(400);
  });
});

describe('If-Match', () => {
  const stale = { 'if-match': '"1"' };
  it.each([
    ['PATCH', '', { memory_mb: 1024 }],
    ['DELETE', '', undefined],
    ['POST', '/suspend', undefined],
    ['POST', '/deploy', { image: 'current' }],
  ])('of an old version stops %s %s', async (method, path, body) => {
    const answer = await call(method, at(path), body, stale);
    expect(answer).toMatchObject(refused(412, 'precondition_failed'));
    expect(answer.headers['etag']).toBe(`"${tenant.metadata.resourceVersion}"`);
    expect((await stored()).metadata).toEqual(tenant.metadata);
  });

  it.each(['*', 'the newest', 'a list with the newest'])('of %s lets it through', async (kind) => {
    const tag = `"${tenant.metadata.resourceVersion}"`;
    const header = kind === '*' ? '*' : kind === 'the newest' ? tag : `"1", ${tag}`;
    expect((await call('PATCH', at(), { memory_mb: 1024 }, { 'if-match': header })).status).toBe(202);
  });

  it('is not answered by trying again when somebody else was faster', async () => {
    const tag = `"${tenant.metadata.resourceVersion}"`;
    const answers = await Promise.all(
      [1024, 2048].map((memory) => call('PATCH', at(), { memory_mb: memory }, { 'if-match': tag })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([202, 412]);
  });
});

describe('a deploy', () => {
  it('writes the tag with the digest that it meant', async () => {
    push();
    const answer = await call('POST', at('/deploy'), { image: image() });
    expect(answer).toMatchObject({
      status: 202,
      body: { status: 'deploying', data: { status: 'deploying', image: `${image()}@${DIGEST}` } },
    });
    expect(answer.body.url).toBe(answer.body.data.app_url);
    expect((await stored()).spec.image).toBe(`${image()}@${DIGEST}`);
  });

  it('says deployed only when the loop has seen that very image run', async () => {
    push();
    await call('POST', at('/deploy'), { image: image() });
    const machine = { id: 'm1', version: 'v1', state: 'started' };
    await harness.report(await stored(), { observedGeneration: 2, phase: 'running', machine });
    const again = await call('POST', at('/deploy'), { image: image() });
    expect(again.body.data).toMatchObject({ status: 'deployed', machine_id: 'm1' });
    expect((await stored()).metadata.generation).toBe(2);
    harness.outside.images.set(image(), `sha256:${'cd'.repeat(32)}`);
    expect((await call('POST', at('/deploy'), { image: image() })).body.data.status).toBe('deploying');
  });

  const wrong: readonly (readonly [string, (expected: string) => string])[] = [
    ['another tenant', () => `${REGISTRY}/images:tenant-1b4e28ba-2fa1-41d2-883f-0016d3cca427`],
    ['another registry', (expected) => expected.replace(REGISTRY, 'docker.io')],
    ['a digest', (expected) => `${expected}@${DIGEST}`],
    ['a suffix', (expected) => `${expected}-evil`],
    ['another case', (expected) => expected.toUpperCase()],
    ['another path', (expected) => expected.replace('/images', '/images/more')],
    ['no tag', (expected) => expected.split(':tenant')[0]!],
    ['a space', (expected) => `${expected} `],
  ];
  it.each(wrong)('of %s is refused with the image that is expected', async (_name, make) => {
    push();
    const answer = await call('POST', at('/deploy'), { image: make(image()) });
    expect(answer).toMatchObject(refused(400, 'invalid_image'));
    expect(answer.body.error.message).toBe(`Invalid image. Expected: ${image()}`);
    expect((await stored()).metadata.generation).toBe(1);
  });

  it('of an image that was never pushed names it', async () => {
    const answer = await call('POST', at('/deploy'), { image: image() });
    expect(answer).toMatchObject(refused(404, 'image_not_found'));
    expect(answer.body.error.message).toContain(image());
  });

  it('while the registry is down is to be tried again', async () => {
    harness.outside.outage = new Error('token hunter2 refused');
    const answer = await call('POST', at('/deploy'), { image: image() });
    expect(answer).toMatchObject(refused(503, 'unavailable'));
    expect(JSON.stringify(answer.body)).not.toContain('hunter2');
  });

  it.each([undefined, {}, { image: 7 }, { image: '' }, { image: 'current', tag: 'x' }])(
    'with the body %j is refused',
    async (body) => {
      expect(await call('POST', at('/deploy'), body)).toMatchObject(refused(400, 'invalid_request'));
    },
  );

  it('of "current" restarts what is deployed, and is refused when nothing is', async () => {
    expect(await call('POST', at('/deploy'), { image: 'current' })).toMatchObject(
      refused(409, 'not_provisioned'),
    );
    push();
    await call('POST', at('/deploy'), { image: image() });
    expect((await call('POST', at('/deploy'), { image: 'current' })).status).toBe(202);
    expect((await stored()).spec).toMatchObject({
      image: `${image()}@${DIGEST}`,
      restartedAt: new Date(harness.clock.now()).toISOString(),
    });
  });
});

describe('restart', () => {
  it('answers bare, and each accepted request counts', async () => {
    push();
    await call('POST', at('/deploy'), { image: image() });
    const answers = await Promise.all([1, 2, 3].map(() => call('POST', at('/restart'))));
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 202, body: { status: 'restarting' } });
    expect(Object.keys(answers[0]!.body)).toEqual(['status']);
    const now = await stored();
    expect(now.metadata.generation).toBe(5);
    expect(Date.parse(now.spec.restartedAt!)).toBe(harness.clock.now() + 2);
  });

  it('is refused when nothing is deployed, and when suspended', async () => {
    expect(await call('POST', at('/restart'))).toMatchObject(refused(409, 'not_provisioned'));
    push();
    await call('POST', at('/deploy'), { image: image() });
    await call('POST', at('/suspend'));
    expect(await call('POST', at('/restart'))).toMatchObject(refused(409, 'invalid_state'));
  });
});

describe('retry-provision', () => {
  it('is refused unless the tenant has failed, and then answers bare', async () => {
    expect(await call('POST', at('/retry-provision'))).toMatchObject(refused(409, 'invalid_state'));
    await harness.report(tenant, { observedGeneration: 1, phase: 'failed' });
    const answer = await call('POST', at('/retry-provision'));
    expect(answer).toMatchObject({ status: 202 });
    expect(answer.body).toEqual({ status: 'provisioning' });
    expect((await stored()).spec.retriedAt).toBe(new Date(harness.clock.now()).toISOString());
    expect((await call('GET', at('/status'))).body.status).not.toBe('failed');
  });
});

describe('suspend and activate', () => {
  it('are the same as a patch, and may be repeated', async () => {
    for (const _ of [1, 2]) {
      const answer = await call('POST', at('/suspend'));
      expect(answer).toMatchObject({ status: 202, body: { data: { status: 'suspended' } } });
    }
    expect(await stored()).toMatchObject({ spec: { state: 'Suspended' }, metadata: { generation: 2 } });
    for (const _ of [1, 2]) expect((await call('POST', at('/activate'))).status).toBe(202);
    expect(await stored()).toMatchObject({ spec: { state: 'Running' }, metadata: { generation: 3 } });
  });
});

describe('a verb', () => {
  it.each([
    ['no type and no body', {}, undefined],
    ['a JSON type and no body', { 'content-type': 'application/json' }, ''],
    [
      'a form type and no body, as curl -d sends it',
      { 'content-type': 'application/x-www-form-urlencoded' },
      '',
    ],
    ['an empty object', { 'content-type': 'application/json' }, '{}'],
    ['null', { 'content-type': 'application/json' }, 'null'],
  ])('is understood with %s', async (_name, headers, body) => {
    expect((await call('POST', at('/suspend'), body, headers)).status).toBe(202);
  });

  it('with words in its body is not', async () => {
    expect(await call('POST', at('/suspend'), { until: 'monday' })).toMatchObject(
      refused(400, 'invalid_request'),
    );
  });

  it('wins although others write all the time', async () => {
    const verbs = ['/suspend', '/activate', '/suspend', '/activate'];
    const answers = await Promise.all(verbs.map((path) => call('POST', at(path))));
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
  });
});

describe('delete', () => {
  it('answers at once with nothing, and the tenant is gone or going', async () => {
    const kept = await harness.seed(`kept-${count}`, { finalizers: ['cloud.systemprompt.io/fly'] });
    const url = `/api/v1/tenants/${kept.metadata.uid}`;
    for (const _ of [1, 2]) expect(await call('DELETE', url)).toMatchObject({ status: 204, body: {} });
    expect((await call('GET', `${url}/status`)).body.status).toBe('deleted');
    expect(await call('POST', `${url}/activate`)).toMatchObject(refused(409, 'invalid_state'));
    expect((await call('DELETE', at())).status).toBe(204);
    expect((await call('GET', at())).status).toBe(404);
  });
});
