/** What stands behind a kubeconfig, besides the tenants: discovery, OpenAPI, events, namespaces, reviews. */
import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthenticator } from '../../../src/api/auth.ts';
import { createKubectlApi } from '../../../src/api/kubernetes/kubectl.ts';
import { tenantStructuralSchema } from '../../../src/tenant/crd.ts';
import { manifest, openHarness, ROOT, SECRET, TENANTS, type Caller, type Harness } from '../harness.ts';

let harness: Harness;
let kubectl: FastifyInstance;
beforeAll(async () => {
  harness = await openHarness();
  kubectl = createKubectlApi({
    store: harness.store,
    events: harness.events,
    survey: harness.survey,
    auth: createAuthenticator({
      key: { kind: 'secret', secret: SECRET },
      issuer: 'landlord',
      clock: harness.clock,
    }),
    clock: harness.clock,
    log: pino({ level: 'silent' }),
    metrics: new Registry(),
    health: () => harness.outside.health(),
    ledger: harness.ledger,
    trustsProxy: () => false,
    corsOrigins: [],
    version: '1.2.3',
  });
});
afterAll(async () => {
  await kubectl.close();
  await harness.close();
});

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
/** What kubectl sends first. */
const DISCOVERY = `${AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json`;
const customer = { customer: 'ctm_1' };

async function get(url: string, headers: Record<string, string> = {}, caller: Caller = 'operator') {
  const answer = await kubectl.inject({
    url,
    headers: {
      ...(caller !== 'nobody' && { authorization: `Bearer ${await harness.token(caller)}` }),
      ...headers,
    },
  });
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: (answer.body === '' ? {} : JSON.parse(answer.body)) as Record<string, unknown> & {
      items: Record<string, unknown>[];
    },
  };
}

async function post(url: string, body: Buffer | object, caller: Caller = 'operator') {
  const binary = Buffer.isBuffer(body);
  const answer = await kubectl.inject({
    method: 'POST',
    url,
    headers: {
      ...(caller !== 'nobody' && { authorization: `Bearer ${await harness.token(caller)}` }),
      'content-type': binary ? 'application/vnd.kubernetes.protobuf' : 'application/json',
      accept: 'application/vnd.kubernetes.protobuf,application/json',
    },
    payload: binary ? body : JSON.stringify(body),
  });
  return { status: answer.statusCode, body: JSON.parse(answer.body) as Record<string, unknown> };
}

describe('discovery', () => {
  it('is aggregated for clients that ask for it', async () => {
    const { headers, body } = await get('/apis', { accept: DISCOVERY });
    expect(headers['content-type']).toBe(AGGREGATED);
    expect(body).toMatchObject({ kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2' });
    expect(
      body.items.find(({ metadata }) => (metadata as { name: string }).name === 'cloud.systemprompt.io'),
    ).toEqual({
      metadata: { name: 'cloud.systemprompt.io', creationTimestamp: null },
      versions: [
        {
          version: 'v1alpha1',
          resources: [
            {
              resource: 'tenants',
              responseKind: { group: 'cloud.systemprompt.io', version: 'v1alpha1', kind: 'Tenant' },
              scope: 'Namespaced',
              singularResource: 'tenant',
              verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
              shortNames: ['tn'],
              categories: ['all'],
              subresources: [
                {
                  subresource: 'status',
                  responseKind: { group: 'cloud.systemprompt.io', version: 'v1alpha1', kind: 'Tenant' },
                  verbs: ['get', 'patch', 'update'],
                },
              ],
            },
          ],
          freshness: 'Current',
        },
      ],
    });
    expect((await get('/api', { accept: DISCOVERY })).body.items[0]).toMatchObject({
      versions: [{ version: 'v1', resources: [{ resource: 'events' }, { resource: 'namespaces' }] }],
    });
  });

  it('goes group by group for clients that do not', async () => {
    expect((await get('/api')).body).toMatchObject({ kind: 'APIVersions', versions: ['v1'] });
    expect((await get('/apis')).body).toMatchObject({ kind: 'APIGroupList', groups: [{}, {}, {}] });
    expect((await get('/apis/cloud.systemprompt.io')).body).toMatchObject({
      kind: 'APIGroup',
      preferredVersion: { groupVersion: 'cloud.systemprompt.io/v1alpha1' },
    });
    const { body } = await get(ROOT);
    expect(body).toMatchObject({ kind: 'APIResourceList', groupVersion: 'cloud.systemprompt.io/v1alpha1' });
    expect((body['resources'] as { name: string }[]).map(({ name }) => name)).toEqual([
      'tenants',
      'tenants/status',
    ]);
    expect((await get('/api/v1')).body).toMatchObject({
      resources: [
        { name: 'events', namespaced: true },
        { name: 'namespaces', namespaced: false },
      ],
    });
  });

  it.each(['/api', '/apis', '/openapi/v3', `/openapi/v3${ROOT}`])(
    'sends %s once, and says afterwards that it has not changed',
    async (url) => {
      const first = await get(url, { accept: DISCOVERY });
      const etag = String(first.headers['etag']);
      expect(etag).toMatch(/^"[0-9A-F]{64}"$/);
      const again = await get(url, { accept: DISCOVERY, 'if-none-match': etag });
      expect([again.status, again.body]).toEqual([304, {}]);
      expect((await get(url, { accept: DISCOVERY, 'if-none-match': '"other"' })).status).toBe(200);
    },
  );

  it('names only what can be asked, with every verb', async () => {
    const tenants = `${TENANTS}/any`;
    expect(kubectl.routeTable.get('/api/v1/namespaces/:namespace/events')).toEqual(new Set(['GET']));
    expect((await get('/apis/apps/v1/deployments')).body).toMatchObject({
      kind: 'Status',
      message: 'the server could not find the requested resource',
    });
    expect((await get(tenants)).status).toBe(404);
  });

  it('tells which Kubernetes it speaks, and which Landlord it is', async () => {
    expect((await get('/version')).body).toMatchObject({ major: '1', gitVersion: 'v1.32.0+landlord.1.2.3' });
  });
});

describe('the OpenAPI document', () => {
  it('is found through the index, under its hash', async () => {
    const { body } = await get('/openapi/v3');
    const { serverRelativeURL } = (
      body as unknown as { paths: Record<string, { serverRelativeURL: string }> }
    ).paths['apis/cloud.systemprompt.io/v1alpha1']!;
    expect(serverRelativeURL).toMatch(
      /^\/openapi\/v3\/apis\/cloud.systemprompt.io\/v1alpha1\?hash=[0-9A-F]{64}$/,
    );
    expect((await get(serverRelativeURL)).status).toBe(200);
  });

  it('has the very schema of the CRD, and refers to nothing that it does not have', async () => {
    const { body } = await get(`/openapi/v3${ROOT}`);
    const { schemas } = (
      body as unknown as { components: { schemas: Record<string, { properties: object }> } }
    ).components;
    const { spec, status } = tenantStructuralSchema().properties!;
    expect(schemas['io.systemprompt.cloud.v1alpha1.Tenant']).toMatchObject({
      properties: JSON.parse(JSON.stringify({ spec, status })) as object,
      'x-kubernetes-group-version-kind': [
        { group: 'cloud.systemprompt.io', kind: 'Tenant', version: 'v1alpha1' },
      ],
    });
    const referred = [...JSON.stringify(body).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(
      ([, name]) => name,
    );
    expect(new Set(referred).size).toBeGreaterThan(10);
    for (const name of referred) expect(Object.keys(schemas)).toContain(name);
  });
});

describe('events', () => {
  beforeAll(async () => {
    for (const [namespace, name] of [
      ['default', 'first'],
      ['default', 'second'],
      ['other', 'third'],
    ] as const) {
      await harness.call('operator', 'POST', `${ROOT}/namespaces/${namespace}/tenants`, {
        body: manifest(name),
      });
      const tenant = await harness.store.get({ namespace, name });
      await harness.events.record(tenant!.metadata.uid, [
        { type: 'Normal', reason: 'AppCreated', message: `app of ${name} is created` },
        { type: 'Warning', reason: 'MachineGone', message: `machine of ${name} is gone` },
      ]);
    }
  });
  const messages = ({ body }: { body: { items: Record<string, unknown>[] } }) =>
    body.items.map(({ message }) => message);

  it('are listed for one namespace or for all, the oldest first', async () => {
    expect(messages(await get('/api/v1/namespaces/default/events?limit=500'))).toEqual([
      'app of first is created',
      'machine of first is gone',
      'app of second is created',
      'machine of second is gone',
    ]);
    expect(messages(await get('/api/v1/events'))).toHaveLength(6);
    expect(messages(await get('/api/v1/namespaces/empty/events'))).toEqual([]);
  });

  it('of one tenant are found by all that kubectl describe asks for', async () => {
    const tenant = await harness.store.get({ namespace: 'default', name: 'second' });
    const { uid } = tenant!.metadata;
    const selector = `involvedObject.uid=${uid},involvedObject.name=second,involvedObject.namespace=default,involvedObject.kind=Tenant`;
    const answer = await get(
      `/api/v1/namespaces/default/events?fieldSelector=${encodeURIComponent(selector)}`,
    );
    expect(answer.body).toMatchObject({ kind: 'EventList', apiVersion: 'v1' });
    expect(answer.body.items[1]).toMatchObject({
      kind: 'Event',
      apiVersion: 'v1',
      metadata: { name: expect.stringMatching(/^second\.[0-9a-f]+$/) as string, namespace: 'default' },
      involvedObject: { kind: 'Tenant', name: 'second', namespace: 'default', uid },
      type: 'Warning',
      reason: 'MachineGone',
      message: 'machine of second is gone',
      count: 1,
      source: { component: 'landlord' },
    });
    expect(answer.body.items).toHaveLength(2);
    const elsewhere = await get(
      `/api/v1/namespaces/other/events?fieldSelector=${encodeURIComponent(selector)}`,
    );
    expect(elsewhere.body.items).toEqual([]);
  });

  it.each([
    ['type=Warning', 2],
    ['type!=Warning', 2],
    ['reason=AppCreated,involvedObject.name=first', 1],
    ['involvedObject.uid=11111111-1111-4111-8111-111111111111', 0],
    ['involvedObject.uid=nonsense', 0],
  ])('are chosen by %s', async (selector, count) => {
    const url = `/api/v1/namespaces/default/events?fieldSelector=${encodeURIComponent(selector)}`;
    expect((await get(url)).body.items).toHaveLength(count);
  });

  it('cannot be chosen by a field that they do not have, nor watched', async () => {
    expect((await get('/api/v1/events?fieldSelector=spec.x%3D1')).status).toBe(400);
    expect((await get('/api/v1/events?watch=true')).status).toBe(405);
  });

  it('come as the table that kubectl get events shows', async () => {
    const { body } = await get('/api/v1/namespaces/other/events', {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
    });
    const [row] = (body as unknown as { rows: { cells: unknown[] }[] }).rows;
    expect(row?.cells.slice(1, 4)).toEqual(['Normal', 'AppCreated', 'tenant/third']);
  });
});

describe('namespaces', () => {
  it('are those that hold tenants, and the default one', async () => {
    await harness.call('operator', 'POST', `${ROOT}/namespaces/blue/tenants`, { body: manifest('one') });
    const names = (await get('/api/v1/namespaces')).body.items.map(
      ({ metadata }) => (metadata as { name: string }).name,
    );
    expect(names).toEqual([...names].sort());
    expect(names).toEqual(expect.arrayContaining(['blue', 'default']));
    expect((await get('/api/v1/namespaces/blue')).body).toMatchObject({
      kind: 'Namespace',
      status: { phase: 'Active' },
    });
    expect((await get('/api/v1/namespaces/red')).body).toMatchObject({
      code: 404,
      message: 'namespaces "red" not found',
    });
  });

  it('cannot be made: a tenant makes them', async () => {
    expect((await post('/api/v1/namespaces', { kind: 'Namespace' })).status).toBe(405);
  });
});

describe('who may ask', () => {
  it('nobody without a token, except for health', async () => {
    for (const url of ['/api', '/apis', '/version', '/openapi/v3', '/api/v1/namespaces', TENANTS])
      expect((await get(url, {}, 'nobody')).body).toMatchObject({ kind: 'Status', code: 401 });
    expect((await get('/readyz', {}, 'nobody')).status).toBe(200);
  });

  it('customers see what there is, but nothing of it', async () => {
    for (const url of ['/api', '/apis', '/version', '/openapi/v3', ROOT])
      expect((await get(url, {}, customer)).status).toBe(200);
    for (const url of ['/api/v1/namespaces', '/api/v1/events', TENANTS])
      expect((await get(url, {}, customer)).body).toMatchObject({ kind: 'Status', reason: 'Forbidden' });
  });
});

describe('a review', () => {
  const WHOAMI = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const CAN_I = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  /** What kubectl v1.32 sends for `kubectl auth can-i list tenants -n default`. */
  const RECORDED = Buffer.from(
    '6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a656374416363657373526576696577' +
      '12550a100a0012001a0022002a0032003800420012370a350a0764656661756c7412046c6973741a15636c6f75642e73797374656d70726f' +
      '6d70742e696f22002a0774656e616e747332003a001a080800120' +
      '01a0020001a002200',
    'hex',
  );

  it('says who asks', async () => {
    expect((await post(WHOAMI, {})).body).toMatchObject({
      status: { userInfo: { username: 'olga', groups: ['landlord:operators', 'system:authenticated'] } },
    });
    expect((await post(WHOAMI, {}, customer)).body).toMatchObject({
      status: { userInfo: { username: 'carl', extra: { customer: ['ctm_1'] } } },
    });
  });

  it('is read as kubectl sends it', async () => {
    const answer = await post(CAN_I, RECORDED);
    expect(answer).toMatchObject({
      status: 201,
      body: {
        kind: 'SelfSubjectAccessReview',
        spec: {
          resourceAttributes: {
            namespace: 'default',
            verb: 'list',
            group: 'cloud.systemprompt.io',
            resource: 'tenants',
          },
        },
        status: { allowed: true },
      },
    });
    expect((await post(CAN_I, RECORDED, customer)).body).toMatchObject({ status: { allowed: false } });
  });

  it.each([
    ['delete', 'cloud.systemprompt.io', 'tenants', '', true],
    ['patch', 'cloud.systemprompt.io', 'tenants', 'status', true],
    ['delete', 'cloud.systemprompt.io', 'tenants', 'status', false],
    ['deletecollection', 'cloud.systemprompt.io', 'tenants', '', false],
    ['list', '', 'events', '', true],
    ['watch', '', 'events', '', false],
    ['get', '', 'pods', '', false],
    ['*', '*', '*', '', true],
  ])('whether an operator may %s %s/%s %s: %4$s', async (verb, group, resource, subresource, allowed) => {
    const spec = { resourceAttributes: { verb, group, resource, subresource } };
    expect((await post(CAN_I, { spec })).body).toMatchObject({ status: { allowed } });
  });

  it.each([Buffer.from('not protobuf'), Buffer.from('k8s\0'), RECORDED.subarray(0, 60), Buffer.alloc(0)])(
    'that is cut or none is refused',
    async (body) => {
      expect((await post(CAN_I, body)).status).toBe(400);
    },
  );
});
