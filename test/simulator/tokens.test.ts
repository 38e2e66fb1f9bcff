import { describe, expect, it } from 'vitest';
import { createVirtualFly } from './support/virtual-fly.ts';

const MANIFEST = { schemaVersion: 2, config: {}, layers: [] };

function withApps() {
  const fly = createVirtualFly();
  for (const name of ['images', 'other']) fly.control('POST', '/apps', { name, org: 'o' });
  return fly;
}

type VirtualFly = ReturnType<typeof withApps>;

/** Mints a token and answers the headers that present it, in each of the ways that clients have. */
function mint(
  fly: VirtualFly,
  expiry?: string,
): Record<'scheme' | 'bearer' | 'basic', { authorization: string }> {
  const { status, json } = fly.call(
    'POST',
    '/v1/apps/images/deploy_token',
    expiry === undefined ? {} : { expiry },
  );
  expect(status).toBe(200);
  const token = String(json.token);
  expect(token).toMatch(/^FlyV1 fm2_/);
  const bare = token.replace('FlyV1 ', '');
  return {
    scheme: { authorization: token },
    bearer: { authorization: `Bearer ${bare}` },
    basic: { authorization: `Basic ${Buffer.from(`x:${bare}`).toString('base64')}` },
  };
}

describe('a deploy token', () => {
  it.each(['scheme', 'bearer', 'basic'] as const)('lets in to its own app alone, presented as %s', (how) => {
    const fly = withApps();
    const headers = mint(fly, '1h')[how];
    const put = (repository: string): number =>
      fly.call('PUT', `/v2/${repository}/manifests/v1`, MANIFEST, headers).status;
    expect(fly.call('GET', '/v2/', undefined, headers).status).toBe(200);
    expect(put('images')).toBe(201);
    expect(put('other')).toBe(403);
    expect(fly.call('GET', '/v1/apps/images', undefined, headers).status).toBe(200);
    for (const path of [
      '/v1/apps/other',
      '/v1/apps/other/secrets',
      '/v1/apps?org_slug=o',
      '/v1/orgs/o/machines',
    ])
      expect([path, fly.call('GET', path, undefined, headers).status]).toEqual([path, 403]);
  });

  it('cannot make an app, nor delete its own', () => {
    const fly = withApps();
    const { scheme } = mint(fly, '1h');
    expect(fly.call('POST', '/v1/apps', { app_name: 'third', org_slug: 'o' }, scheme).status).toBe(403);
    expect(fly.call('DELETE', '/v1/apps/images', undefined, scheme).status).toBe(403);
  });

  it('ends when it was to end', () => {
    const fly = withApps();
    const { basic } = mint(fly, '90s');
    fly.pass(89_000);
    expect(fly.call('GET', '/v2/', undefined, basic).status).toBe(200);
    fly.pass(1_000);
    expect(fly.call('GET', '/v2/', undefined, basic).status).toBe(401);
  });

  it('is good for twenty years when nobody says for how long', () => {
    const fly = withApps();
    const { basic } = mint(fly);
    fly.pass(19 * 365 * 86_400_000);
    expect(fly.call('GET', '/v2/', undefined, basic).status).toBe(200);
  });

  it('is not good for another app of the same name', () => {
    const fly = withApps();
    const { scheme } = mint(fly, '1h');
    fly.call('DELETE', '/v1/apps/images');
    fly.pass(60_000);
    fly.control('POST', '/apps', { name: 'images', org: 'o' });
    expect(fly.call('GET', '/v1/apps/images', undefined, scheme).status).toBe(401);
  });

  it('tells what it is good for', () => {
    const fly = withApps();
    expect(fly.call('GET', '/v1/tokens/current', undefined, mint(fly, '1h').scheme).json.tokens).toEqual([
      { token_id: 'simulated-images', org_slug: 'o', organization: 'o', apps: ['images'] },
    ]);
  });

  it.each(['soon', '-1h', '0s', ''])('of the duration "%s" is refused', (expiry) => {
    expect(withApps().call('POST', '/v1/apps/images/deploy_token', { expiry }).status).toBe(400);
  });
});
