/** What becomes of images in a real registry: are digests found, and is a tag deleted with its tenant and no other? */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createFly } from '../../src/fly/client.ts';
import type { Fly } from '../../src/fly/fly.ts';
import { imageTag } from '../../src/tenant/names.ts';
import { describeOnRegistry, startRegistry, type Registry } from '../support/registry.ts';
import { createHarness, settings, type Harness } from './harness.ts';

const repository = settings.sharedRegistryApp;
const registryHost = settings.registryHost;
const signal = AbortSignal.timeout(120_000);

const clientOf = (url: string): Fly =>
  createFly({
    ...{ apiUrl: url, registryUrl: url, logsUrl: url, prometheusUrl: url },
    ...{ token: 'any', orgSlug: settings.orgSlug, clock: systemClock },
  });

await describeOnRegistry('a real registry', () => {
  let registry: Registry;
  let fly: Fly;
  beforeAll(async () => {
    registry = await startRegistry();
    fly = clientOf(registry.url);
  });
  afterAll(async () => {
    await fly.close();
    await registry.stop();
  });
  const digestOf = (reference: string) =>
    fly.registry.resolve({ registry: registryHost, repository, reference }, signal);

  it('tells the digest of a tag, which moves with a push while the old digest stays', async () => {
    expect(await digestOf('v1')).toBeUndefined();
    const first = await registry.push({ repository, tag: 'v1', content: 'one' });
    expect(await digestOf('v1')).toBe(first);
    const second = await registry.push({ repository, tag: 'v1', content: 'two' });
    expect(second).not.toBe(first);
    expect([await digestOf('v1'), await digestOf(first)]).toEqual([second, first]);
  });

  it('deletes by digest with every tag of it; what is gone already is success', async () => {
    const digest = await registry.push({ repository, tag: 'a', content: 'same' });
    expect(await registry.push({ repository, tag: 'b', content: 'same' })).toBe(digest);
    for (const _ of [1, 2]) await fly.registry.deleteManifest({ repository, digest }, signal);
    expect([await digestOf('a'), await digestOf('b')]).toEqual([undefined, undefined]);
  });

  it('that never deletes on request keeps the image, and that is no failure', async () => {
    const keeping = await startRegistry({ deletes: false });
    const client = clientOf(keeping.url);
    try {
      const digest = await keeping.push({ repository, tag: 'v1', content: 'kept' });
      await client.registry.deleteManifest({ repository, digest }, signal);
      const image = { registry: registryHost, repository, reference: 'v1' };
      expect(await client.registry.resolve(image, signal)).toBe(digest);
    } finally {
      await client.close();
      await keeping.stop();
    }
  });

  describe('under the loop', () => {
    let harness: Harness;
    beforeEach(async () => {
      harness = await createHarness({ autostart: false });
      // The same Fly, but for its registry.
      harness.loop = harness.newLoop({ fly: { ...harness.fly, registry: fly.registry } });
      harness.loop.start();
    });
    afterEach(() => harness.close());

    it('loses the tag of a tenant with the tenant, and no image that another tenant still runs', async () => {
      const shop = await harness.create('shop', { image: undefined });
      const tag = imageTag(shop.metadata.uid);
      const digest = await registry.push({ repository, tag, content: 'shared' });
      // Suspended, because the simulated machines pull from another registry.
      const image = `${registryHost}/${repository}:${tag}@${digest}`;
      await harness.create('twin', { image, state: 'Suspended' });
      await harness.phase('shop', 'awaiting_deploy');
      await harness.phase('twin', 'suspended');
      await harness.store.delete({ namespace: 'default', name: 'shop' });
      await harness.gone('shop');
      expect(await digestOf(tag)).toBe(digest);

      const twin = (await harness.get('twin'))!;
      const own = imageTag(twin.metadata.uid);
      await registry.push({ repository, tag: own, content: 'shared' });
      await harness.store.delete({ namespace: 'default', name: 'twin' });
      await harness.gone('twin');
      expect(await digestOf(own)).toBeUndefined();
    }, 60_000);
  });
});
