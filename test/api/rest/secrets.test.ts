/** What may be done with secrets through the REST door, and what is never shown? */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { secretAnswer, secretListAnswer, secretsSetAnswer } from '../../../src/api/rest/secrets.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { openHarness, type Answer, type Harness, type Method } from '../harness.ts';

let harness: Harness;
let tenant: Tenant;
let count = 0;
beforeAll(async () => {
  harness = await openHarness();
});
beforeEach(async () => {
  tenant = await harness.seed(`shop-${count++}`, { finalizers: ['test/keep'] });
});
afterAll(() => harness.close());

const me = { customer: 'ctm_1' };
const call = (method: Method, path: string, body?: unknown): Promise<Answer> =>
  harness.call(me, method, `/api/v1/tenants/${tenant.metadata.uid}/secrets${path}`, {
    ...(body !== undefined && { body }),
  });
const kept = async () => (await harness.vault.reveal(tenant.metadata.uid))?.values ?? {};
const listed = async () => secretListAnswer.parse((await call('GET', '')).body);
const refused = (status: number, code: string) => ({ status, body: { error: { code } } });

describe('secrets', () => {
  it('are none at first, and what is generated is not among them', async () => {
    expect(await listed()).toEqual({ keys: [], data: [] });
    await harness.vault.generate(tenant.metadata.uid);
    expect(await listed()).toEqual({ keys: [], data: [] });
  });

  it('are set in bulk, merged with those that are there', async () => {
    const first = await call('PUT', '', { secrets: { OPENAI_API_KEY: 'sk-one', GITHUB_TOKEN: 'gh-one' } });
    expect(first.status).toBe(202);
    expect(secretsSetAnswer.parse(first.body).data).toEqual({
      keys: ['OPENAI_API_KEY', 'GITHUB_TOKEN'],
      skipped: [],
    });
    await call('PUT', '', { secrets: { OPENAI_API_KEY: 'sk-two' } });
    expect(await kept()).toMatchObject({ OPENAI_API_KEY: 'sk-two', GITHUB_TOKEN: 'gh-one' });
    expect((await listed()).keys).toEqual(['GITHUB_TOKEN', 'OPENAI_API_KEY']);
  });

  it('of the CLI that are copies of ours, or Fly’s own, are left out of a bulk', async () => {
    await harness.vault.generate(tenant.metadata.uid);
    const before = await kept();
    const answer = await call('PUT', '', {
      secrets: {
        JWT_SECRET: 'made by an old CLI',
        DATABASE_URL: 'postgres://elsewhere',
        FLY_APP_NAME: 'other',
        PORT: '1',
        SYSTEMPROMPT_PROFILE: '/app/services/profiles/x/profile.yaml',
      },
    });
    expect(secretsSetAnswer.parse(answer.body).data).toEqual({
      keys: ['SYSTEMPROMPT_PROFILE'],
      skipped: ['JWT_SECRET', 'DATABASE_URL', 'FLY_APP_NAME', 'PORT'],
    });
    expect(await kept()).toEqual({
      ...before,
      SYSTEMPROMPT_PROFILE: '/app/services/profiles/x/profile.yaml',
    });
  });

  it('are deleted one by one, and deleting what is not there is no error', async () => {
    await call('PUT', '', { secrets: { ONE: '1', TWO: '2' } });
    for (const _ of [1, 2]) expect((await call('DELETE', '/ONE')).status).toBe(204);
    expect((await call('DELETE', '/JWT_SECRET')).status).toBe(204);
    expect((await listed()).keys).toEqual(['TWO']);
    expect(await kept()).toHaveProperty('JWT_SECRET');
  });

  it('of a tenant that is being deleted are not set', async () => {
    await harness.vault.generate(tenant.metadata.uid);
    await harness.store.delete({ namespace: 'default', name: tenant.metadata.name });
    expect(await call('PUT', '', { secrets: { ONE: '1' } })).toMatchObject(refused(409, 'invalid_state'));
    expect(await kept()).not.toHaveProperty('ONE');
  });

  it('of a tenant that goes while they are written leave nothing behind', async () => {
    const { uid } = tenant.metadata;
    const set = harness.vault.set.bind(harness.vault);
    // The tenant goes between the look at it and the write.
    harness.vault.set = async (...args) => {
      harness.vault.set = set;
      const { metadata, spec } = (await harness.store.getByUid(uid))!;
      await harness.store.update({ metadata: { ...metadata, finalizers: [] }, spec });
      await harness.store.delete({ namespace: 'default', name: metadata.name });
      return set(...args);
    };
    expect(await call('PUT', '', { secrets: { ONE: '1' } })).toMatchObject(refused(404, 'tenant_not_found'));
    expect(await harness.vault.describe(uid)).toBeUndefined();
  });
});

describe('one secret', () => {
  it('is set, shown without its value, updated and deleted', async () => {
    const created = new Date(harness.clock.now()).toISOString();
    expect((await call('POST', '', { key: 'ANTHROPIC_API_KEY', value: 'sk-first' })).status).toBe(202);
    await harness.clock.advance(60_000);
    expect((await call('PATCH', '/ANTHROPIC_API_KEY', { value: 'sk-second' })).status).toBe(202);
    const shown = await call('GET', '/ANTHROPIC_API_KEY');
    expect(secretAnswer.parse(shown.body).data).toEqual({
      key: 'ANTHROPIC_API_KEY',
      value: '********',
      created_at: created,
      updated_at: new Date(harness.clock.now()).toISOString(),
    });
    expect(await kept()).toMatchObject({ ANTHROPIC_API_KEY: 'sk-second' });
    expect((await call('DELETE', '/ANTHROPIC_API_KEY')).status).toBe(204);
    expect(await call('GET', '/ANTHROPIC_API_KEY')).toMatchObject(refused(404, 'secret_not_found'));
  });

  it('that is not there cannot be updated', async () => {
    expect(await call('PATCH', '/NOBODY', { value: 'x' })).toMatchObject(refused(404, 'secret_not_found'));
    expect(await harness.vault.describe(tenant.metadata.uid)).toBeUndefined();
  });

  it.each(['DATABASE_URL', 'JWT_SECRET', 'FLY_MACHINE_ID', 'APP_URL'])('cannot be %s', async (key) => {
    expect(await call('POST', '', { key, value: 'x' })).toMatchObject(refused(422, 'reserved_secret'));
  });
});

describe('a body', () => {
  it.each([
    ['POST', { key: 'lower', value: 'x' }, 'key'],
    ['POST', { key: 'A-B', value: 'x' }, 'key'],
    ['POST', { key: 'A', value: '' }, 'value'],
    ['POST', { key: 'A', value: 'x'.repeat(65_537) }, 'value'],
    ['POST', { key: 'A', value: 'with\0nul' }, 'value'],
    ['POST', { key: 'A', value: 7 }, 'value'],
    ['POST', { key: 'A', value: 'x', more: 1 }, 'more'],
    ['PUT', { secrets: { good: 'x' } }, 'secrets.good'],
    ['PUT', { secrets: { GOOD: null } }, 'secrets.GOOD'],
    ['PUT', { secrets: [] }, 'secrets'],
    ['PUT', {}, 'secrets'],
  ] as const)('of %s %j is refused and names the field, not the value', async (method, body, path) => {
    const answer = await call(method, '', body);
    expect(answer).toMatchObject(refused(400, 'invalid_request'));
    expect(answer.body.error.issues).toMatchObject([{ path }]);
    expect(await harness.vault.describe(tenant.metadata.uid)).toBeUndefined();
  });

  it('with more secrets than a tenant may have is refused, and none of them is set', async () => {
    const many = (prefix: string) =>
      Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`${prefix}_${index}`, 'x']));
    expect((await call('PUT', '', { secrets: many('A') })).status).toBe(202);
    expect(await call('PUT', '', { secrets: many('B') })).toMatchObject(refused(422, 'invalid_secret'));
    expect((await listed()).keys).toHaveLength(150);
  });
});
