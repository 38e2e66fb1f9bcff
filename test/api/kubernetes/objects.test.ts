/** Does the declarative door behave as the API server does? Statuses and sentences are Kubernetes' own. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  manifest,
  openHarness,
  ROOT,
  TENANTS,
  type Answer,
  type Body,
  type Harness,
  type Method,
} from '../harness.ts';

let harness: Harness;
/** Answers of the next draws of lots. */
let draws: number[] = [];
beforeAll(async () => {
  harness = await openHarness({ random: () => draws.shift() ?? 0.5 });
});
afterAll(() => harness.close());

const MERGE_PATCH = { 'content-type': 'application/merge-patch+json' };

const call = (
  method: Method,
  url: string,
  body?: unknown,
  headers?: Record<string, string>,
): Promise<Answer> =>
  harness.call('operator', method, url, { ...(body !== undefined && { body }), ...(headers && { headers }) });
const create = async (name: string, parts: Parameters<typeof manifest>[1] = {}): Promise<Body> => {
  const answer = await call('POST', TENANTS, manifest(name, parts));
  expect(answer.status).toBe(201);
  return answer.body;
};
const patch = (name: string, body: unknown) => call('PATCH', `${TENANTS}/${name}`, body, MERGE_PATCH);

describe('create', () => {
  it('answers the object with defaults and what the server owns', async () => {
    const created = await create('defaults', { metadata: { labels: { team: 'a' } } });
    expect(created).toMatchObject({
      apiVersion: 'cloud.systemprompt.io/v1alpha1',
      kind: 'Tenant',
      metadata: { name: 'defaults', namespace: 'default', generation: 1, labels: { team: 'a' } },
      spec: { owner: 'ctm_1', region: 'iad', memoryMb: 512, volumeGb: 1, state: 'Running' },
    });
    expect(created.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(created).toEqual((await call('GET', `${TENANTS}/defaults`)).body);
  });

  it('ignores what the server owns', async () => {
    const uid = '11111111-1111-4111-8111-111111111111';
    const created = await create('ignored', {
      metadata: {
        uid,
        generation: 9,
        resourceVersion: '1',
        creationTimestamp: null,
        deletionTimestamp: '2026-01-01T00:00:00Z',
      },
      status: { phase: 'running' },
    });
    expect(created.metadata.uid).not.toBe(uid);
    expect(created.metadata.generation).toBe(1);
    expect(created.metadata.deletionTimestamp).toBeUndefined();
    expect(created.status).toBeUndefined();
  });

  it('refuses a name that is taken', async () => {
    await create('taken');
    expect(await call('POST', TENANTS, manifest('taken'))).toMatchObject({
      status: 409,
      body: {
        kind: 'Status',
        apiVersion: 'v1',
        status: 'Failure',
        reason: 'AlreadyExists',
        message: 'tenants.cloud.systemprompt.io "taken" already exists',
        details: { name: 'taken', group: 'cloud.systemprompt.io', kind: 'tenants' },
        code: 409,
      },
    });
  });

  it('tells every field that is wrong', async () => {
    const answer = await call('POST', TENANTS, manifest('wrong', { spec: { memoryMb: 300, volumeGb: 0 } }));
    expect(answer).toMatchObject({
      status: 422,
      body: { reason: 'Invalid', details: { name: 'wrong', kind: 'Tenant' } },
    });
    expect(answer.body.message).toContain('Tenant.cloud.systemprompt.io "wrong" is invalid: [');
    const fields = answer.body.details.causes.map(({ field }) => field);
    expect(fields.sort()).toEqual(['spec.memoryMb', 'spec.volumeGb']);
    for (const cause of answer.body.details.causes) expect(cause.reason).toBe('FieldValueInvalid');
  });

  it.each([
    ['a name that is no DNS label', manifest('Not_A_Name'), 422, 'metadata.name'],
    ['no name at all', manifest('', {}), 422, 'metadata.name'],
    ['no spec', { ...manifest('x'), spec: undefined }, 422, 'spec'],
    ['another kind', { ...manifest('x'), kind: 'Pod' }, 422, 'kind'],
  ])('refuses %s', async (_name, body, status, field) => {
    const answer = await call('POST', TENANTS, body);
    expect(answer).toMatchObject({ status, body: { reason: 'Invalid' } });
    expect(answer.body.details.causes[0]?.field).toContain(field);
  });

  it.each([
    ['another version', { ...manifest('x'), apiVersion: 'cloud.systemprompt.io/v1' }],
    ['no kind', { ...manifest('x'), kind: undefined }],
    ['another namespace than the path', manifest('x', { metadata: { namespace: 'other' } })],
    ['labels that are no map', manifest('x', { metadata: { labels: ['a'] } })],
    ['a list', [manifest('x')]],
    ['nothing', undefined],
  ])('refuses %s as a bad request', async (_name, body) => {
    expect(await call('POST', TENANTS, body)).toMatchObject({
      status: 400,
      body: { kind: 'Status', reason: 'BadRequest' },
    });
  });

  it('generates a name, and another one when that is taken', async () => {
    const generate = () => call('POST', TENANTS, { ...manifest(''), metadata: { generateName: 'made-' } });
    draws = [0, 0, 0, 0, 0];
    expect((await generate()).body.metadata.name).toBe('made-bbbbb');
    draws = [0, 0, 0, 0, 0, 0.99, 0.99, 0.99, 0.99, 0.99];
    expect((await generate()).body.metadata.name).toBe('made-99999');
  });

  it('gives up on generated names when all are taken', async () => {
    draws = Array.from({ length: 5 * 8 }, () => 0);
    const answer = await call('POST', TENANTS, { ...manifest(''), metadata: { generateName: 'made-' } });
    expect(draws).toEqual([]);
    expect(answer).toMatchObject({
      status: 409,
      body: { reason: 'AlreadyExists', details: { name: 'made-bbbbb' } },
    });
  });

  it('stores nothing on a dry run', async () => {
    const answer = await call('POST', `${TENANTS}?dryRun=All`, manifest('dry'));
    expect(answer).toMatchObject({
      status: 201,
      body: { metadata: { name: 'dry' }, spec: { memoryMb: 512 } },
    });
    expect((await call('GET', `${TENANTS}/dry`)).status).toBe(404);
    expect((await call('POST', `${TENANTS}?dryRun=Some`, manifest('dry'))).status).toBe(422);
    expect((await call('POST', `${TENANTS}?dryRun=All`, manifest('taken'))).status).toBe(409);
  });
});

describe('get', () => {
  it('says in full that there is none', async () => {
    expect((await call('GET', `${TENANTS}/missing`)).body).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'tenants.cloud.systemprompt.io "missing" not found',
      reason: 'NotFound',
      details: { name: 'missing', group: 'cloud.systemprompt.io', kind: 'tenants' },
      code: 404,
    });
  });

  it('knows the namespaces apart', async () => {
    await create('apart');
    expect((await call('GET', `${ROOT}/namespaces/other/tenants/apart`)).status).toBe(404);
  });
});

describe('replace', () => {
  it('takes the spec and the labels of the body, and leaves the status alone', async () => {
    const created = await create('replaced', { metadata: { labels: { a: '1' } } });
    const seen = await call('PUT', `${TENANTS}/replaced/status`, {
      ...created,
      status: { phase: 'running' },
    });
    const body = {
      ...created,
      metadata: { ...seen.body.metadata, labels: { b: '2' } },
      spec: { ...created.spec, memoryMb: 1024 },
      status: { phase: 'failed' },
    };
    const replaced = await call('PUT', `${TENANTS}/replaced`, body);
    expect(replaced).toMatchObject({
      status: 200,
      body: {
        metadata: { generation: 2, labels: { b: '2' } },
        spec: { memoryMb: 1024 },
        status: { phase: 'running' },
      },
    });
    expect(replaced.body.metadata.labels).toEqual({ b: '2' });
    expect(replaced.body.metadata.uid).toBe(created.metadata.uid);
  });

  it('wants to know which version was seen', async () => {
    await create('unversioned');
    expect(await call('PUT', `${TENANTS}/unversioned`, manifest('unversioned'))).toMatchObject({
      status: 422,
      body: {
        reason: 'Invalid',
        details: {
          causes: [{ field: 'metadata.resourceVersion', message: 'must be specified for an update' }],
        },
      },
    });
  });

  it('refuses a version that is no longer the newest', async () => {
    const created = await create('stale');
    await patch('stale', { spec: { memoryMb: 1024 } });
    expect(await call('PUT', `${TENANTS}/stale`, created)).toMatchObject({
      status: 409,
      body: {
        reason: 'Conflict',
        message:
          'Operation cannot be fulfilled on tenants.cloud.systemprompt.io "stale": the object has been modified; please apply your changes to the latest version and try again',
      },
    });
    expect((await call('GET', `${TENANTS}/stale`)).body.spec.memoryMb).toBe(1024);
  });

  it('refuses the body of another tenant', async () => {
    const created = await create('mine');
    expect(
      (await call('PUT', `${TENANTS}/mine`, { ...created, metadata: { ...created.metadata, name: 'yours' } }))
        .status,
    ).toBe(400);
    const uid = '11111111-1111-4111-8111-111111111111';
    expect(
      (await call('PUT', `${TENANTS}/mine`, { ...created, metadata: { ...created.metadata, uid } })).status,
    ).toBe(409);
    expect(
      (
        await call('PUT', `${TENANTS}/nobodys`, {
          ...created,
          metadata: { ...created.metadata, name: 'nobodys' },
        })
      ).status,
    ).toBe(404);
  });

  it('refuses what may not change', async () => {
    const created = await create('fixed', { spec: { volumeGb: 5 } });
    const answer = await call('PUT', `${TENANTS}/fixed`, {
      ...created,
      spec: { ...created.spec, owner: 'ctm_2', volumeGb: 4 },
    });
    expect(answer.status).toBe(422);
    expect(answer.body.details.causes).toEqual([
      { reason: 'FieldValueInvalid', field: 'spec.owner', message: 'cannot be changed' },
      { reason: 'FieldValueInvalid', field: 'spec.volumeGb', message: 'may grow, never shrink' },
    ]);
  });
});

describe('merge patch', () => {
  it('changes what it names, removes what is null, and leaves the rest', async () => {
    await create('patched', {
      metadata: { labels: { a: '1', b: '2' } },
      spec: { env: { A: '1', B: '2' }, memoryMb: 1024 },
    });
    const patched = await patch('patched', {
      metadata: { labels: { a: null } },
      spec: { env: { A: null, C: '3' }, memoryMb: null },
    });
    expect(patched.body.metadata.labels).toEqual({ b: '2' });
    expect(patched.body.spec).toMatchObject({ env: { B: '2', C: '3' }, memoryMb: 512, owner: 'ctm_1' });
    expect(patched.body.metadata.generation).toBe(2);
  });

  it('ignores nulls where the server owns the field, as kubectl diff sends them', async () => {
    const created = await create('diffed');
    await harness.report(created, { phase: 'running' });
    const owned = { creationTimestamp: null, generation: null, resourceVersion: null, uid: null };
    const patched = await patch('diffed', { metadata: owned, status: null, spec: { memoryMb: 256 } });
    expect(patched).toMatchObject({
      status: 200,
      body: { metadata: { uid: created.metadata.uid, generation: 2 }, status: { phase: 'running' } },
    });
  });

  it('cannot take away its name', async () => {
    await create('named');
    const answer = await patch('named', {
      metadata: { name: null, namespace: null },
      spec: { memoryMb: 256 },
    });
    expect(answer).toMatchObject({
      status: 200,
      body: { metadata: { name: 'named', namespace: 'default' }, spec: { memoryMb: 256 } },
    });
  });

  it('that changes nothing writes nothing', async () => {
    const created = await create('same');
    expect((await patch('same', { spec: { memoryMb: 512 } })).body).toEqual(created);
  });

  it('is tried again when others write at the same time', async () => {
    await create('busy');
    const answers = await Promise.all(
      ['a', 'b', 'c', 'd'].map((key) => patch('busy', { metadata: { labels: { [key]: 'x' } } })),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect((await call('GET', `${TENANTS}/busy`)).body.metadata.labels).toEqual({
      a: 'x',
      b: 'x',
      c: 'x',
      d: 'x',
    });
  });

  it('of a named version is not', async () => {
    const { metadata } = await create('pinned');
    await patch('pinned', { spec: { memoryMb: 1024 } });
    const answer = await patch('pinned', {
      metadata: { resourceVersion: metadata.resourceVersion },
      spec: { memoryMb: 256 },
    });
    expect(answer).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
  });

  it.each([
    ['another name', { metadata: { name: 'else' } }, 400],
    ['another kind', { kind: 'Pod' }, 422],
    ['another uid', { metadata: { uid: '11111111-1111-4111-8111-111111111111' } }, 422],
    ['no spec', { spec: null }, 422],
    ['a list', [], 400],
    ['a sentence', '"please"', 400],
  ])('refuses %s', async (name, body, status) => {
    await create(`refused-${name.replaceAll(' ', '-')}`);
    expect((await patch(`refused-${name.replaceAll(' ', '-')}`, body)).status).toBe(status);
  });

  it.each(['application/strategic-merge-patch+json', 'application/json'])(
    'of the type %s is refused with the types that are taken',
    async (type) => {
      const answer = await call('PATCH', `${TENANTS}/patched`, {}, { 'content-type': type });
      expect(answer).toMatchObject({ status: 415, body: { reason: 'UnsupportedMediaType' } });
      expect(answer.body.message).toContain('application/json-patch+json, application/merge-patch+json');
    },
  );

  it('of server-side apply is refused with a word on what to do instead', async () => {
    const answer = await call(
      'PATCH',
      `${TENANTS}/patched`,
      {},
      { 'content-type': 'application/apply-patch+yaml' },
    );
    expect(answer).toMatchObject({
      status: 415,
      body: {
        message: 'server-side apply is not supported here: use kubectl apply without --server-side',
      },
    });
  });

  it('knows no key that is anything but a key', async () => {
    await create('plain-keys', { metadata: { labels: { z: '1' } } });
    const patched = await patch('plain-keys', {
      metadata: { labels: { constructor: 'x', toString: 'y', a: 'z' } },
    });
    expect(patched.body.metadata.labels).toEqual({ z: '1', constructor: 'x', toString: 'y', a: 'z' });
    const hostile = '{"metadata":{"labels":{"__proto__":{"polluted":"yes"}}}}';
    expect((await patch('plain-keys', hostile)).status).toBe(400);
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
  });

  it('stores nothing on a dry run', async () => {
    await create('dry-patched');
    const answer = await call(
      'PATCH',
      `${TENANTS}/dry-patched?dryRun=All`,
      { spec: { memoryMb: 1024 } },
      MERGE_PATCH,
    );
    expect(answer).toMatchObject({
      status: 200,
      body: { spec: { memoryMb: 1024 }, metadata: { generation: 2 } },
    });
    expect((await call('GET', `${TENANTS}/dry-patched`)).body).toMatchObject({
      spec: { memoryMb: 512 },
      metadata: { generation: 1 },
    });
  });
});

describe('the status', () => {
  it('is replaced and patched without touching the spec', async () => {
    const created = await create('observed');
    const status = { observedGeneration: 1, phase: 'provisioning' };
    const put = await call('PUT', `${TENANTS}/observed/status`, {
      ...created,
      spec: { ...created.spec, memoryMb: 2048 },
      status,
    });
    expect(put).toMatchObject({
      status: 200,
      body: { status, spec: { memoryMb: 512 }, metadata: { generation: 1 } },
    });
    const patched = await call(
      'PATCH',
      `${TENANTS}/observed/status`,
      { status: { phase: 'running' }, spec: { memoryMb: 2048 } },
      MERGE_PATCH,
    );
    expect(patched.body).toMatchObject({
      status: { observedGeneration: 1, phase: 'running' },
      spec: { memoryMb: 512 },
    });
    expect((await call('GET', `${TENANTS}/observed/status`)).body).toEqual(patched.body);
  });

  it('is not touched by a write to the object', async () => {
    const created = await create('untouched');
    await patch('untouched', { status: { phase: 'running' } });
    expect((await call('GET', `${TENANTS}/untouched`)).body).toEqual(created);
  });

  it('must be valid, and of the newest version', async () => {
    const created = await create('strict');
    expect(
      await call('PUT', `${TENANTS}/strict/status`, { ...created, status: { phase: 'dreaming' } }),
    ).toMatchObject({
      status: 422,
      body: { details: { causes: [{ field: 'status.phase' }] } },
    });
    await patch('strict', { spec: { memoryMb: 1024 } });
    expect(
      (await call('PUT', `${TENANTS}/strict/status`, { ...created, status: { phase: 'running' } })).status,
    ).toBe(409);
  });

  it('is not stored on a dry run', async () => {
    const created = await create('dry-status');
    const dry = await call('PUT', `${TENANTS}/dry-status/status?dryRun=All`, {
      ...created,
      status: { phase: 'running' },
    });
    expect(dry.body.status).toEqual({ phase: 'running' });
    expect((await call('GET', `${TENANTS}/dry-status`)).body).toEqual(created);
  });
});

describe('delete', () => {
  it('of a tenant without finalizers answers Success, and it is gone', async () => {
    const { metadata } = await create('gone');
    const answer = await call('DELETE', `${TENANTS}/gone`, { propagationPolicy: 'Background' });
    expect({ status: answer.status, body: answer.body }).toEqual({
      status: 200,
      body: {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Success',
        details: { name: 'gone', group: 'cloud.systemprompt.io', kind: 'tenants', uid: metadata.uid },
      },
    });
    expect((await call('GET', `${TENANTS}/gone`)).status).toBe(404);
    expect((await call('DELETE', `${TENANTS}/gone`)).status).toBe(404);
  });

  it('of a tenant with finalizers answers the tenant, which goes with the last of them', async () => {
    await create('kept', { metadata: { finalizers: ['cloud.systemprompt.io/fly'] } });
    const answer = await call('DELETE', `${TENANTS}/kept`);
    expect(answer).toMatchObject({
      status: 200,
      body: { kind: 'Tenant', metadata: { finalizers: ['cloud.systemprompt.io/fly'] } },
    });
    expect(answer.body.metadata.deletionTimestamp).toBeDefined();
    expect((await call('DELETE', `${TENANTS}/kept`)).body.metadata.deletionTimestamp).toBe(
      answer.body.metadata.deletionTimestamp,
    );
    expect((await patch('kept', { metadata: { finalizers: null } })).status).toBe(200);
    expect((await call('GET', `${TENANTS}/kept`)).status).toBe(404);
  });

  it('holds only for the tenant and the version that were meant', async () => {
    const { metadata } = await create('meant');
    const uid = '11111111-1111-4111-8111-111111111111';
    for (const preconditions of [
      { uid },
      { resourceVersion: '1' },
      { uid: metadata.uid, resourceVersion: '1' },
    ])
      expect(await call('DELETE', `${TENANTS}/meant`, { preconditions })).toMatchObject({
        status: 409,
        body: { reason: 'Conflict' },
      });
    const { resourceVersion } = metadata;
    expect(
      (await call('DELETE', `${TENANTS}/meant`, { preconditions: { uid: metadata.uid, resourceVersion } }))
        .status,
    ).toBe(200);
  });

  it('deletes nothing on a dry run, asked for in either place', async () => {
    const { metadata } = await create('dry-deleted');
    expect((await call('DELETE', `${TENANTS}/dry-deleted?dryRun=All`)).body).toMatchObject({
      kind: 'Status',
      status: 'Success',
    });
    expect((await call('DELETE', `${TENANTS}/dry-deleted`, { dryRun: ['All'] })).status).toBe(200);
    expect(
      (await call('DELETE', `${TENANTS}/dry-deleted?dryRun=All`, { preconditions: { uid: 'x' } })).status,
    ).toBe(409);
    expect((await call('GET', `${TENANTS}/dry-deleted`)).body.metadata).toEqual(metadata);
  });
});
