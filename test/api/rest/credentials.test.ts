/** Who is shown a tenant's credentials, how often, and what does a rotation answer? */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { credentialsAnswer, rotatedAnswer } from '../../../src/api/rest/credentials.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { openHarness, type Answer, type Caller, type Harness } from '../harness.ts';

let harness: Harness;
let tenant: Tenant;
let count = 0;
beforeAll(async () => {
  harness = await openHarness();
});
beforeEach(async () => {
  tenant = await harness.seed(`shop-${count++}`, { finalizers: ['test/keep'] });
  await harness.vault.generate(tenant.metadata.uid);
});
afterAll(() => harness.close());

const me = { customer: 'ctm_1' };
const at = (path: string) => `/api/v1/tenants/${tenant.metadata.uid}${path}`;
const get = (url: string, caller: Caller = me) => harness.call(caller, 'GET', url);
const secretsUrl = async (): Promise<string | undefined> =>
  (await get(at('/status'))).body.data['secrets_url'] as string | undefined;
const withToken = (id: string, token: string): Promise<Answer> =>
  harness.call('nobody', 'GET', `/api/v1/tenants/${id}/secrets`, {
    headers: { authorization: `Bearer ${token}` },
  });
const tokenOf = (url: string | undefined): string => url?.split('/').at(-1) ?? '';
const refused = (status: number, code: string) => ({ status, body: { error: { code } } });

describe('the credentials link', () => {
  it('is below the API’s own address, reads the same while it waits, and opens once', async () => {
    const url = (await secretsUrl())!;
    expect(url).toMatch(new RegExp(`^${at('/credentials/')}[\\w-]{43}$`));
    expect(await secretsUrl()).toBe(url);
    await harness.vault.set(tenant.metadata.uid, { OPENAI_API_KEY: 'sk-one', GITHUB_TOKEN: 'gh' });
    const revealed = (await harness.vault.reveal(tenant.metadata.uid))!;
    const answer = await get(url);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(credentialsAnswer.strict().parse(answer.body)).toEqual({
      jwt_secret: revealed.values['JWT_SECRET'],
      database_url: expect.stringContaining(`:${revealed.databasePassword}@db.example.com/`) as string,
      internal_database_url: expect.stringContaining(`:${revealed.databasePassword}@db.internal/`) as string,
      external_database_url: expect.stringContaining('sslmode=require') as string,
      app_url: `https://${tenant.metadata.uid}.tenants.example.com`,
      openai_api_key: 'sk-one',
    });
    expect(await get(url)).toMatchObject(refused(404, 'link_not_found'));
    expect(await secretsUrl()).toBeUndefined();
    expect((await harness.events.list(tenant.metadata.uid)).map(({ reason }) => reason)).toEqual([
      'CredentialsShown',
    ]);
  });

  it('opens for its owner alone, and is still good after somebody else tried', async () => {
    const url = (await secretsUrl())!;
    expect((await get(url, 'nobody')).status).toBe(401);
    expect(await get(url, { customer: 'ctm_2' })).toMatchObject(refused(404, 'tenant_not_found'));
    expect((await get(url)).status).toBe(200);
  });

  it('of one tenant does not open those of another of the same owner', async () => {
    const other = await harness.seed(`other-${count}`);
    await harness.vault.generate(other.metadata.uid);
    const token = tokenOf(await secretsUrl());
    expect(await get(`/api/v1/tenants/${other.metadata.uid}/credentials/${token}`)).toMatchObject(
      refused(404, 'link_not_found'),
    );
    expect((await withToken(other.metadata.uid, token)).status).toBe(401);
    expect((await get(at(`/credentials/${token}`))).status).toBe(200);
  });

  it.each(['x', 'a'.repeat(43), 'a'.repeat(300), '%00'])(
    'that was made up (%s) opens nothing',
    async (token) => {
      expect((await get(at(`/credentials/${token}`))).status).toBeGreaterThanOrEqual(400);
      expect((await get(at(`/credentials/${token}`))).status).toBeLessThan(500);
      expect(await secretsUrl()).toBeDefined();
    },
  );
});

describe('the token of the link as bearer', () => {
  it('shows the same, once, without any other token', async () => {
    const token = tokenOf(await secretsUrl());
    const answer = await withToken(tenant.metadata.uid, token);
    expect(answer.status).toBe(200);
    expect(credentialsAnswer.strict().parse(answer.body).database_url).toContain('db.example.com');
    const again = await withToken(tenant.metadata.uid, token);
    expect(again).toMatchObject(refused(401, 'unauthorized'));
    expect(again.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
  });

  it('opens no other route', async () => {
    const token = tokenOf(await secretsUrl());
    for (const path of ['', '/status', '/environment', '/secrets/ONE', '/registry-token']) {
      const answer = await harness.call('nobody', 'GET', at(path), {
        headers: { authorization: `Bearer ${token}` },
      });
      expect([path, answer.status]).toEqual([path, 401]);
    }
    expect((await withToken(tenant.metadata.uid, token)).status).toBe(200);
  });

  it.each(['no-uuid', '00000000-0000-4000-8000-000000000000'])(
    'for the tenant %s is not valid',
    async (id) => {
      expect((await withToken(id, 'a'.repeat(43))).status).toBe(401);
    },
  );
});

describe('a rotation', () => {
  it.each(['POST', 'PATCH'] as const)(
    'by %s answers bare with the new password and a new link',
    async (method) => {
      const before = (await harness.vault.reveal(tenant.metadata.uid))!;
      const oldLink = (await secretsUrl())!;
      const answer = await harness.call(me, method, at('/rotate-credentials'));
      expect(answer.status).toBe(202);
      const { status, message, ...urls } = rotatedAnswer.strict().parse(answer.body);
      expect(status).toBe('rotated');
      expect(message).toContain('restarts');
      const after = (await harness.vault.reveal(tenant.metadata.uid))!;
      expect(after.databasePassword).not.toBe(before.databasePassword);
      for (const url of [urls.database_url, urls.internal_database_url, urls.external_database_url])
        expect(url).toContain(`:${after.databasePassword}@`);
      expect(await get(oldLink)).toMatchObject(refused(404, 'link_not_found'));
      expect((await get(urls.secrets_url!)).status).toBe(200);
      const stored = (await harness.store.getByUid(tenant.metadata.uid))!;
      expect(stored.spec.credentialsRotatedAt).toBe(new Date(harness.clock.now()).toISOString());
      expect((await harness.vault.describe(tenant.metadata.uid))?.rotatedAt).toBe(
        stored.spec.credentialsRotatedAt,
      );
    },
  );

  it('makes one new password for each request, also for those that come at once', async () => {
    const answers = await Promise.all(
      [1, 2, 3].map(() => harness.call(me, 'POST', at('/rotate-credentials'))),
    );
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    const state = (await harness.vault.describe(tenant.metadata.uid))!;
    const stored = (await harness.store.getByUid(tenant.metadata.uid))!;
    // Whichever was the newest request, its password is the one that stands.
    expect(state.rotatedAt).toBe(stored.spec.credentialsRotatedAt);
  });

  it('is refused before there are credentials, and of an old version', async () => {
    const bare = await harness.seed(`bare-${count}`);
    expect(
      await harness.call(me, 'POST', `/api/v1/tenants/${bare.metadata.uid}/rotate-credentials`),
    ).toMatchObject(refused(409, 'not_provisioned'));
    const stale = await harness.call(me, 'POST', at('/rotate-credentials'), {
      headers: { 'if-match': '"1"' },
    });
    expect(stale).toMatchObject(refused(412, 'precondition_failed'));
    expect((await harness.vault.describe(tenant.metadata.uid))?.passwordRevision).toBe(1);
  });
});

describe('access to the database from outside', () => {
  const put = (body: unknown) => harness.call(me, 'PUT', at('/external-db-access'), { body });

  it('is a wish in the spec; the password is shown when it is given and masked when it is taken', async () => {
    const { databasePassword } = (await harness.vault.reveal(tenant.metadata.uid))!;
    const given = await put({ enabled: true });
    expect(given).toMatchObject({
      status: 202,
      body: { data: { tenant_id: tenant.metadata.uid, external_db_access: true } },
    });
    expect(given.body.data['database_url']).toContain(`:${databasePassword}@db.example.com`);
    expect((await harness.store.getByUid(tenant.metadata.uid))?.spec.externalDatabaseAccess).toBe(true);
    const taken = await put({ enabled: false });
    expect(taken.body.data['database_url']).toContain(':********@');
    expect((await harness.store.getByUid(tenant.metadata.uid))?.spec.externalDatabaseAccess).toBe(false);
  });

  it('needs a database and a proper body', async () => {
    expect(await put({ enabled: 'yes' })).toMatchObject(refused(400, 'invalid_request'));
    tenant = await harness.seed(`bare-db-${count}`);
    expect(await put({ enabled: true })).toMatchObject(refused(409, 'not_provisioned'));
  });
});
