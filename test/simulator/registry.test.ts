import { describe, expect, it } from 'vitest';
import { createVirtualFly } from './support/virtual-fly.ts';

const MANIFEST = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: {},
  layers: [],
};

function withRepository(options = {}) {
  const fly = createVirtualFly(options);
  fly.control('POST', '/apps', { name: 'images', org: 'o' });
  fly.control('POST', '/apps', { name: 'one', org: 'o' });
  return fly;
}

function put(
  fly: ReturnType<typeof createVirtualFly>,
  reference: string,
  manifest: object = MANIFEST,
  repository = 'images',
) {
  return fly.call('PUT', `/v2/${repository}/manifests/${reference}`, manifest, {
    'content-type': MANIFEST.mediaType,
  });
}

describe('the registry', () => {
  it('keeps a manifest under its tag and its digest, byte for byte', () => {
    const fly = withRepository();
    const stored = put(fly, 'v1');
    const digest = stored.headers['docker-content-digest']!;
    expect(stored.status).toBe(201);
    for (const reference of ['v1', digest]) {
      for (const method of ['GET', 'HEAD']) {
        const { status, text, headers } = fly.call(method, `/v2/images/manifests/${reference}`);
        expect([status, headers['docker-content-digest'], headers['content-type']]).toEqual([
          200,
          digest,
          MANIFEST.mediaType,
        ]);
        expect(text).toBe(JSON.stringify(MANIFEST));
      }
    }
    expect(fly.call('GET', '/v2/images/tags/list').json).toEqual({ name: 'images', tags: ['v1'] });
  });

  it('moves a tag to what is pushed last, and keeps what it pointed to', () => {
    const fly = withRepository();
    const first = put(fly, 'v1').headers['docker-content-digest']!;
    const second = put(fly, 'v1', { ...MANIFEST, annotations: { a: 'b' } }).headers['docker-content-digest']!;
    expect(second).not.toBe(first);
    expect(fly.call('HEAD', '/v2/images/manifests/v1').headers['docker-content-digest']).toBe(second);
    expect(fly.call('HEAD', `/v2/images/manifests/${first}`).status).toBe(200);
  });

  it('deletes by digest, with every tag of it, and refuses to delete by tag', () => {
    const fly = withRepository();
    const digest = put(fly, 'v1').headers['docker-content-digest']!;
    put(fly, 'v2');
    expect(fly.call('DELETE', '/v2/images/manifests/v1').json.errors[0].code).toBe('UNSUPPORTED');
    expect(fly.call('DELETE', `/v2/images/manifests/${digest}`).status).toBe(202);
    expect(fly.call('HEAD', '/v2/images/manifests/v2').status).toBe(404);
    expect(fly.call('DELETE', `/v2/images/manifests/${digest}`).status).toBe(404);
  });

  it('has repositories with slashes, each below an app', () => {
    const fly = withRepository();
    expect(put(fly, 'v1', MANIFEST, 'images/deep/er').status).toBe(201);
    expect(fly.call('HEAD', '/v2/images/deep/er/manifests/v1').status).toBe(200);
    expect(put(fly, 'v1', MANIFEST, 'nobody').json.errors[0].code).toBe('NAME_UNKNOWN');
  });

  it.each([
    ['no JSON', 'v1', 'MANIFEST_INVALID', '[]'],
    ['another digest', `sha256:${'0'.repeat(64)}`, 'DIGEST_INVALID', JSON.stringify(MANIFEST)],
    ['an impossible tag', '-v1', 'TAG_INVALID', JSON.stringify(MANIFEST)],
  ])('refuses %s', (_, reference, code, body) => {
    const { status, json } = withRepository().call('PUT', `/v2/images/manifests/${reference}`, body);
    expect([status, json.errors[0].code]).toEqual([400, code]);
  });

  it('tells a client without a credential how to bring one', () => {
    const { status, headers } = withRepository().call('GET', '/v2/', undefined, { authorization: '' });
    expect([status, headers['www-authenticate']]).toEqual([401, 'Basic realm="registry"']);
  });
});

function create(fly: ReturnType<typeof createVirtualFly>, image: string) {
  return fly.call('POST', '/v1/apps/one/machines', { config: { image } });
}

describe('the image of a machine', () => {
  it('is resolved to the digest that the tag has, under every name of the registry', () => {
    const fly = withRepository({ registryHosts: ['registry.test:5000'] });
    const digest = put(fly, 'v1').headers['docker-content-digest']!;
    for (const registry of ['registry.fly.io', 'registry.test:5000', '127.0.0.1:4280', 'localhost:9']) {
      expect(create(fly, `${registry}/images:v1`).json).toMatchObject({
        image_ref: { registry, repository: 'images', tag: 'v1', digest },
        config: { image: `${registry}/images:v1` },
      });
    }
    expect(create(fly, `registry.fly.io/images@${digest}`).json.image_ref).toEqual({
      registry: 'registry.fly.io',
      repository: 'images',
      digest,
    });
  });

  it('must exist, and be known to the hosts', () => {
    const fly = withRepository({
      latency: { ranges: { manifest: [3000, 3000] }, kinds: { call: 0, transition: 0 } },
    });
    fly.pass(10_000);
    const unknown =
      'failed to get manifest registry.fly.io/images:v1: request failed: not found [http 404]: MANIFEST_UNKNOWN: manifest unknown';
    expect(create(fly, 'registry.fly.io/images:v1')).toMatchObject({ status: 400, json: { error: unknown } });
    put(fly, 'v1');
    expect(create(fly, 'registry.fly.io/images:v1')).toMatchObject({ status: 400, json: { error: unknown } });
    fly.pass(3000);
    expect(create(fly, 'registry.fly.io/images:v1').status).toBe(200);
  });

  it('of another registry has a digest that follows from the reference', () => {
    const fly = withRepository();
    const digest = (image: string): unknown => create(fly, image).json.image_ref.digest;
    expect(digest('docker.io/library/nginx:1')).toBe(digest('docker.io/library/nginx:1'));
    expect(digest('docker.io/library/nginx:1')).not.toBe(digest('docker.io/library/nginx:2'));
  });

  it('does not follow a tag that was pushed again while the reference reads the same', () => {
    const fly = withRepository();
    const digest = put(fly, 'v1').headers['docker-content-digest'];
    const { id, config } = create(fly, 'registry.fly.io/images:v1').json;
    fly.control('POST', '/registry', { repository: 'images', tag: 'v1' });
    fly.pass(1);
    expect(fly.call('POST', `/v1/apps/one/machines/${id}`, { config }).json.image_ref.digest).toBe(digest);
  });

  it.each([['UPPER/case'], ['a b'], ['name@sha256:short']])('cannot be "%s"', (image) => {
    expect(create(withRepository(), image).status).toBe(400);
  });
});

describe('an image seeded by hand', () => {
  it('has a new digest every time, and the same one for the same content', () => {
    const fly = withRepository();
    const seed = (body: object): unknown =>
      fly.control('POST', '/registry', { repository: 'images', tag: 'v1', ...body }).json.digest;
    expect(seed({})).not.toBe(seed({}));
    expect(seed({ content: 'a' })).toBe(seed({ content: 'a' }));
  });

  it.each([
    ['leaves its machine failed, which can be started in vain', 'failed', 'failed'],
    ['has a machine that never ran destroyed', 'destroyed', 'destroyed'],
  ])('that does not boot %s', (_, boot, state) => {
    const fly = withRepository();
    fly.control('POST', '/registry', { repository: 'images', tag: 'broken', boot });
    const { id } = create(fly, 'registry.fly.io/images:broken').json;
    const base = `/v1/apps/one/machines/${id}`;
    fly.pass(5_000);
    const { state: before, events } = fly.call('GET', base).json;
    expect(before).toBe(state);
    expect(events.map(({ status }: { status: string }) => status)).not.toContain('started');
    expect(fly.call('POST', `${base}/start`).status).toBe(state === 'failed' ? 200 : 404);
    fly.pass(5_000);
    expect(fly.call('GET', base).json.state).toBe(state);
  });

  it('that does not boot leaves a machine failed that ran before', () => {
    const fly = withRepository();
    fly.control('POST', '/registry', { repository: 'images', tag: 'broken', boot: 'destroyed' });
    const { id, config } = create(fly, 'docker.io/library/nginx:1').json;
    fly.pass(5_000);
    const image = 'registry.fly.io/images:broken';
    fly.call('POST', `/v1/apps/one/machines/${id}`, { config: { ...config, image } });
    fly.pass(5_000);
    expect(fly.call('GET', `/v1/apps/one/machines/${id}`).json.state).toBe('failed');
  });
});
