/** Which tenants does a list hold, and in which pieces? */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { manifest, openHarness, ROOT, TENANTS, type Answer, type Harness } from '../harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness();
  for (const [name, tier] of [
    ['a', 'gold'],
    ['b', 'gold'],
    ['c', 'iron'],
  ] as const)
    await harness.seed(name, { labels: { tier } });
  await harness.call('operator', 'POST', `${ROOT}/namespaces/other/tenants`, {
    body: manifest('a', { metadata: { labels: { tier: 'gold' } } }),
  });
});
afterAll(() => harness.close());

const list = (url: string) => harness.call('operator', 'GET', url);
const names = ({ body }: Answer): string[] =>
  body.items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);

describe('a list', () => {
  it('is a TenantList with the version from which a watch misses nothing', async () => {
    const answer = await list(TENANTS);
    expect(answer.body).toMatchObject({ apiVersion: 'cloud.systemprompt.io/v1alpha1', kind: 'TenantList' });
    expect(answer.body.metadata.resourceVersion).toMatch(/^[0-9]+$/);
    expect(answer.body.metadata.continue).toBeUndefined();
    expect(names(answer)).toEqual(['default/a', 'default/b', 'default/c']);
    expect(answer.body.items[0]).toMatchObject({ kind: 'Tenant', spec: { owner: 'ctm_1' } });
  });

  it('spans all namespaces where the path names none', async () => {
    expect(names(await list(`${ROOT}/tenants`)).sort()).toEqual([
      'default/a',
      'default/b',
      'default/c',
      'other/a',
    ]);
  });

  it.each([
    [`${TENANTS}?labelSelector=tier%3Dgold`, ['default/a', 'default/b']],
    [`${TENANTS}?labelSelector=tier!%3Dgold`, ['default/c']],
    [`${TENANTS}?labelSelector=!tier`, []],
    [`${TENANTS}?labelSelector=tier%20in%20(iron,lead)`, ['default/c']],
    [`${TENANTS}?labelSelector=tier%20notin%20(iron,lead)`, ['default/a', 'default/b']],
    [`${TENANTS}?fieldSelector=metadata.name%3Db`, ['default/b']],
    [`${TENANTS}?fieldSelector=metadata.name%3Db&labelSelector=tier%3Diron`, []],
    [`${TENANTS}?fieldSelector=metadata.name!%3Db`, ['default/a', 'default/c']],
    [`${TENANTS}?fieldSelector=metadata.name%3Dmissing`, []],
    [`${TENANTS}?fieldSelector=spec.owner%3Dctm_1`, ['default/a', 'default/b', 'default/c']],
    [`${TENANTS}?fieldSelector=spec.owner%3Dnobody`, []],
    [`${ROOT}/tenants?fieldSelector=metadata.name%3Da`, ['default/a', 'other/a']],
    [`${ROOT}/tenants?fieldSelector=metadata.namespace%3Dother`, ['other/a']],
    [`${TENANTS}?fieldSelector=metadata.namespace%3Dother`, []],
    [`${TENANTS}?limit=500&resourceVersion=0&timeout=32s`, ['default/a', 'default/b', 'default/c']],
  ])('of %s holds %j', async (url, want) => {
    expect(names(await list(url)).sort()).toEqual(want);
  });

  it('of one name never claims a version that is newer than what it shows', async () => {
    const readList = harness.store.list.bind(harness.store);
    harness.store.list = async (query) => {
      harness.store.list = readList;
      const { metadata, spec } = (await harness.store.get({ namespace: 'default', name: 'c' }))!;
      await harness.store.update({ metadata, spec: { ...spec, memoryMb: 2048 } });
      return readList(query);
    };
    const answer = await list(`${TENANTS}?fieldSelector=metadata.name%3Dc`);
    expect(answer.body.items[0]?.spec.memoryMb).toBe(2048);
  });

  it('comes in pieces that together are the whole, at one version', async () => {
    const first = await list(`${TENANTS}?limit=2`);
    expect(names(first)).toEqual(['default/a', 'default/b']);
    const next = encodeURIComponent(first.body.metadata.continue ?? '');
    const second = await list(`${TENANTS}?limit=2&continue=${next}`);
    expect(names(second)).toEqual(['default/c']);
    expect(second.body.metadata.continue).toBeUndefined();
    expect(second.body.metadata.resourceVersion).toBe(first.body.metadata.resourceVersion);
  });

  it.each([
    `${TENANTS}?labelSelector=a%20under%20(b)`,
    `${TENANTS}?fieldSelector=spec.plan%3Dx`,
    `${TENANTS}?limit=-1`,
    `${TENANTS}?limit=many`,
    `${TENANTS}?resourceVersion=5&resourceVersionMatch=Exact`,
  ])('refuses %s', async (url) => {
    expect(await list(url)).toMatchObject({ status: 400, body: { kind: 'Status', reason: 'BadRequest' } });
  });

  it('refuses a continue token that it did not make', async () => {
    const answer = await list(`${TENANTS}?limit=2&continue=forged`);
    expect(answer.body).toMatchObject({ kind: 'Status', status: 'Failure' });
    expect([400, 410, 422]).toContain(answer.status);
  });
});
