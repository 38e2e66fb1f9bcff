/** With what does an owner push, what was deployed, how does one go back, and under which names does it answer? */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { customDomainAnswer, domainsAnswer } from '../../../src/api/rest/domains.ts';
import { registryTokenAnswer } from '../../../src/api/rest/registry.ts';
import { revisionsAnswer, rollbackAnswer } from '../../../src/api/rest/revisions.ts';
import { MOST_REVISIONS } from '../../../src/store/revisions.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { openHarness, REGISTRY, type Answer, type Harness, type Method } from '../harness.ts';

let harness: Harness;
let tenant: Tenant;
let count = 0;
beforeAll(async () => {
  harness = await openHarness();
});
beforeEach(async () => {
  tenant = await harness.seed(`shop-${count++}`);
  harness.outside.outage = undefined;
});
afterAll(() => harness.close());

const me = { customer: 'ctm_1' };
const at = (path: string) => `/api/v1/tenants/${tenant.metadata.uid}${path}`;
const call = (method: Method, path: string, body?: unknown): Promise<Answer> =>
  harness.call(me, method, at(path), { ...(body !== undefined && { body }) });
const stored = async (): Promise<Tenant> => (await harness.store.getByUid(tenant.metadata.uid))!;
const refused = (status: number, code: string) => ({ status, body: { error: { code } } });
const image = () => `${REGISTRY}/images:tenant-${tenant.metadata.uid}`;
const digest = (number: number) => `sha256:${String(number).padStart(64, '0')}`;

/** Pushes something else under the tenant's tag and deploys it. What was pushed before stays known by its digest. */
async function deploy(number: number): Promise<Answer> {
  harness.outside.images.set(image(), digest(number));
  harness.outside.images.set(`${REGISTRY}/images@${digest(number)}`, digest(number));
  return call('POST', '/deploy', { image: image() });
}
const revisions = async () => revisionsAnswer.parse((await call('GET', '/revisions')).body).data;

describe('a registry token', () => {
  it('is good for the registry app alone, ends in an hour, and is logged without itself', async () => {
    const answer = await call('GET', '/registry-token');
    expect(answer.headers['cache-control']).toBe('no-store');
    const { data, ...flat } = registryTokenAnswer.parse(answer.body);
    expect(flat).toEqual(data);
    expect(data).toMatchObject({
      registry: REGISTRY,
      username: 'x',
      password: data.token,
      repository: 'images',
      tag: `tenant-${tenant.metadata.uid}`,
      expires_at: new Date(harness.clock.now() + 3_600_000).toISOString(),
    });
    const authorization = `Basic ${Buffer.from(`x:${data.token}`).toString('base64')}`;
    const reach = async (path: string): Promise<number> =>
      (await fetch(`${harness.simulator.url}${path}`, { headers: { authorization } })).status;
    expect(await reach('/v2/')).toBe(200);
    expect(await reach('/v2/images/tags/list')).toBe(200);
    expect(await reach('/v1/apps?org_slug=systemprompt')).toBe(403);
    harness.clock.step(3_600_000);
    expect(await reach('/v2/')).toBe(401);
    const line = harness.logged.find(
      (text) => text.includes('registry token issued') && text.includes(tenant.metadata.uid),
    );
    expect(JSON.parse(line ?? '{}')).toMatchObject({ repository: 'images', tag: data.tag, subject: 'carl' });
    expect(harness.logged.join('\n')).not.toContain(data.token);
  });

  it('is another one for each request', async () => {
    const tokens = [await call('GET', '/registry-token'), await call('GET', '/registry-token')];
    expect(new Set(tokens.map(({ body }) => body.data['token'])).size).toBe(2);
  });

  it('is never the token of the organisation, also when Fly refuses: that is 503', async () => {
    await harness.control('POST', '/faults', {
      operation: 'App_create_deploy_token',
      kind: 'status',
      status: 403,
    });
    const answer = await call('GET', '/registry-token');
    expect(answer).toMatchObject(refused(503, 'unavailable'));
    expect(JSON.stringify(answer.body)).not.toContain('token":');
  });
});

describe('revisions', () => {
  it('are none at first, then one for each image that was deployed, newest first', async () => {
    expect(await revisions()).toEqual([]);
    await deploy(1);
    await deploy(1);
    harness.clock.step(60_000);
    await deploy(2);
    expect(await revisions()).toEqual([
      {
        revision: 2,
        image: `${image()}@${digest(2)}`,
        digest: digest(2),
        deployed_by: 'carl',
        deployed_at: new Date(harness.clock.now()).toISOString(),
        current: true,
      },
      expect.objectContaining({ revision: 1, digest: digest(1), current: false }),
    ]);
  });

  it('take in what came through another door before something else is deployed', async () => {
    const other = `${REGISTRY}/images:hello`;
    tenant = await harness.seed(`applied-${count}`, { spec: { image: other } });
    await harness.report(tenant, {
      observedGeneration: 1,
      image: { reference: other, digest: digest(9), generation: 1 },
    });
    await deploy(1);
    expect((await revisions()).map(({ digest: found, deployed_by: by }) => [found, by])).toEqual([
      [digest(1), 'carl'],
      [digest(9), 'unknown'],
    ]);
  });

  it('are kept up to a number, and go with the tenant', async () => {
    const { uid } = tenant.metadata;
    for (let number = 1; number <= MOST_REVISIONS + 3; number += 1)
      await harness.revisions.record(uid, { image: `${image()}@${digest(number)}`, deployedBy: 'carl' });
    const kept = await harness.revisions.list(uid);
    expect([kept.length, kept[0]?.number, kept.at(-1)?.number]).toEqual([50, 53, 4]);
    await harness.vault.generate(uid);
    await harness.vault.forget(uid);
    expect(await harness.revisions.list(uid)).toEqual([]);
  });

  it('that are recorded at once get numbers of their own', async () => {
    const { uid } = tenant.metadata;
    const numbers = await Promise.all(
      [1, 2, 3, 4, 5].map((number) =>
        harness.revisions.record(uid, { image: `${image()}@${digest(number)}`, deployedBy: 'carl' }),
      ),
    );
    expect(numbers.sort()).toEqual([1, 2, 3, 4, 5]);
  });
});

describe('a rollback', () => {
  it('goes back to the exact digest of what ran before, although the tag has moved', async () => {
    await deploy(1);
    await deploy(2);
    const answer = await call('POST', '/rollback');
    expect(answer.status).toBe(202);
    expect(rollbackAnswer.parse(answer.body)).toMatchObject({
      rolled_back_to: 1,
      revision: 3,
      data: { status: 'deploying', image: `${image()}@${digest(1)}` },
    });
    expect((await stored()).spec.image).toBe(`${image()}@${digest(1)}`);
    expect((await revisions()).map((one) => [one.revision, one.digest, one.current])).toEqual([
      [3, digest(1), true],
      [2, digest(2), false],
      [1, digest(1), true],
    ]);
  });

  it('goes to a revision by its number', async () => {
    for (const number of [1, 2, 3]) await deploy(number);
    expect((await call('POST', '/rollback', { revision: 1 })).status).toBe(202);
    expect((await stored()).spec.image).toBe(`${image()}@${digest(1)}`);
  });

  it('is refused when there is nothing to go back to', async () => {
    expect(await call('POST', '/rollback')).toMatchObject(refused(404, 'revision_not_found'));
    await deploy(1);
    expect(await call('POST', '/rollback')).toMatchObject(refused(404, 'revision_not_found'));
    expect(await call('POST', '/rollback', { revision: 7 })).toMatchObject(
      refused(404, 'revision_not_found'),
    );
    expect(await call('POST', '/rollback', { revision: 0 })).toMatchObject(refused(400, 'invalid_request'));
  });

  it('is refused when the registry no longer has the image, and changes nothing', async () => {
    await deploy(1);
    await deploy(2);
    harness.outside.images.delete(`${REGISTRY}/images@${digest(1)}`);
    expect(await call('POST', '/rollback')).toMatchObject(refused(404, 'image_not_found'));
    expect((await stored()).spec.image).toBe(`${image()}@${digest(2)}`);
  });
});

describe('the custom domain', () => {
  const provision = async (): Promise<string> => {
    const app = `sp-${tenant.metadata.uid}`;
    await harness.control('POST', '/apps', { name: app, org: 'systemprompt' });
    const signal = AbortSignal.timeout(10_000);
    for (const type of ['shared_v4', 'v6'] as const)
      await harness.fly.network.allocateAddress(app, type, signal);
    tenant = await harness.report(tenant, { observedGeneration: 1, app: { name: app } });
    return app;
  };

  it('is none at first', async () => {
    expect(await call('GET', '/custom-domain')).toMatchObject(refused(404, 'domain_not_found'));
    expect(await call('DELETE', '/custom-domain')).toMatchObject(refused(404, 'domain_not_found'));
  });

  it('is set, told with the record that DNS needs, replaced and removed', async () => {
    const set = await call('POST', '/custom-domain', { domain: 'Shop.Example.COM.' });
    expect(set.status).toBe(202);
    const { data } = customDomainAnswer.parse(set.body);
    expect(data).toMatchObject({
      domain: 'shop.example.com',
      status: 'pending',
      verified: false,
      dns_target: `sp-${tenant.metadata.uid}.fly.dev`,
      dns_instructions: {
        record_type: 'CNAME',
        host: 'shop.example.com',
        value: `sp-${tenant.metadata.uid}.fly.dev`,
        ttl: 300,
      },
    });
    expect((await stored()).spec.hostnames).toEqual(['shop.example.com']);
    await call('PATCH', '', { hostnames: ['shop.example.com', 'two.example.com'] });
    await call('POST', '/custom-domain', { domain: 'new.example.com' });
    expect((await stored()).spec.hostnames).toEqual(['new.example.com', 'two.example.com']);
    expect((await call('DELETE', '/custom-domain')).status).toBe(204);
    expect((await stored()).spec.hostnames).toEqual(['two.example.com']);
  });

  it('has the state of its certificate on Fly, before and after it is issued', async () => {
    const app = await provision();
    await call('POST', '/custom-domain', { domain: 'www.example.org' });
    const control = (method: string, path: string, body?: object) => harness.control(method, path, body);
    await harness.fly.certificates.create(app, 'www.example.org', AbortSignal.timeout(10_000));
    await control('POST', '/certificates/www.example.org/fail', {});
    const pending = customDomainAnswer.parse((await call('GET', '/custom-domain')).body).data;
    expect(pending).toMatchObject({ status: 'pending_validation', verified: false });
    expect(pending.problems).not.toEqual([]);
    expect(pending.dns_target).toMatch(/\.fly\.dev$/);
    expect(pending.dns_records.map(({ record_type: type }) => type)).toEqual(['CNAME', 'A', 'AAAA', 'CNAME']);
    await control('POST', '/certificates/www.example.org/activate');
    const active = customDomainAnswer.parse((await call('GET', '/custom-domain')).body).data;
    expect(active).toMatchObject({ status: 'active', verified: true, problems: [] });
    expect(active.verified_at).toBe(new Date(harness.clock.now()).toISOString());
  });

  it.each(['example.org', 'example.co.uk'])(
    'at the top of a zone (%s) is told by its addresses',
    async (domain) => {
      const app = await provision();
      await call('POST', '/custom-domain', { domain });
      await harness.fly.certificates.create(app, domain, AbortSignal.timeout(10_000));
      const { dns_instructions: instructions, dns_records: records } = customDomainAnswer.parse(
        (await call('GET', '/custom-domain')).body,
      ).data;
      expect(instructions).toMatchObject({ record_type: 'AAAA', host: domain });
      expect(records.filter((record) => record.host === domain).map((record) => record.record_type)).toEqual([
        'A',
        'AAAA',
      ]);
    },
  );

  it('stands in the list of all names after the built-in one', async () => {
    await call('POST', '/custom-domain', { domain: 'shop.example.com' });
    const { data } = domainsAnswer.parse((await call('GET', '/domains')).body);
    expect(data.map(({ domain }) => domain)).toEqual([
      `${tenant.metadata.uid}.tenants.example.com`,
      'shop.example.com',
    ]);
  });

  it.each(['nodots', 'a b.com', '', '127.0.0.1', 'com', 'https://example.com'])(
    'cannot be "%s"',
    async (domain) => {
      const answer = await call('POST', '/custom-domain', { domain });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect((await stored()).spec.hostnames).toEqual([]);
    },
  );

  it('cannot be a name that Landlord gives to another tenant, by either way', async () => {
    const foreign = `${'0'.repeat(8)}.tenants.example.com`;
    expect(await call('POST', '/custom-domain', { domain: foreign })).toMatchObject(refused(422, 'invalid'));
    expect(await call('PATCH', '', { hostnames: [foreign] })).toMatchObject(refused(422, 'invalid'));
    expect((await stored()).spec.hostnames).toEqual([]);
  });
});

describe('a Landlord that does not use Fly', () => {
  it('says so wherever Fly is needed, and keeps tenants all the same', async () => {
    const without = await openHarness({ cloudEnabled: false });
    try {
      const { metadata } = await without.seed('kept');
      const path = `/api/v1/tenants/${metadata.uid}`;
      for (const [method, where] of [
        ['GET', '/registry-token'],
        ['POST', '/deploy'],
        ['POST', '/rollback'],
        ['GET', '/logs'],
        ['GET', '/metrics'],
      ] as const) {
        const body = where === '/deploy' ? { body: { image: 'current' } } : {};
        const answer = await without.call(me, method, `${path}${where}`, body);
        expect([where, answer]).toMatchObject([where, refused(503, 'cloud_disabled')]);
        expect(answer.body.error.message).toBe('Cloud not enabled');
      }
      expect((await without.call(me, 'GET', path)).status).toBe(200);
    } finally {
      await without.close();
    }
  });
});
