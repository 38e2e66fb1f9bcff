import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createInformer, type Informer } from '../../../src/controller/informer.ts';
import { systemClock } from '../../../src/clock.ts';
import { GoneError, StoreError, type TenantStore, type WatchEvent } from '../../../src/store/store.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { describeOnCluster } from '../../cluster/on-cluster.ts';
import { clientOf } from '../../kubernetes/client-of.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { eventually } from '../../support/eventually.ts';
import { changesOf, follow, type Follower } from '../follow.ts';
import { startKubernetesStore, type KubernetesSubject } from './subject.ts';

const spec = { owner: 'ctm_1', region: 'iad' };

await describeOnCluster('a watch on an API server', () => {
  let subject: KubernetesSubject;
  let store: TenantStore;
  let namespace: string;
  const followers: Follower[] = [];
  const informers: Informer<Tenant>[] = [];
  beforeAll(async () => {
    subject = await startKubernetesStore();
    store = subject.store;
  });
  beforeEach(async () => {
    namespace = await subject.newNamespace();
  });
  afterEach(async () => {
    await Promise.all([
      ...followers.splice(0).map((follower) => follower.stop()),
      ...informers.splice(0).map((informer) => informer.stop()),
    ]);
  });
  afterAll(() => subject.stop());

  /** Writes past the proxy, so that nothing that is done to it is in the way. */
  const put = async (name: string): Promise<void> => {
    const { status } = await subject.cluster.request({
      method: 'POST',
      path: `/apis/cloud.systemprompt.io/v1alpha1/namespaces/${namespace}/tenants`,
      body: { apiVersion: 'cloud.systemprompt.io/v1alpha1', kind: 'Tenant', metadata: { name }, spec },
    });
    expect(status).toBe(201);
  };
  const watchFrom = (watched: TenantStore, resourceVersion: string): Follower => {
    const follower = follow(watched, { resourceVersion, namespace });
    followers.push(follower);
    return follower;
  };

  it('goes on without a gap when the server ends it at its time, and the consumer notices nothing', async () => {
    const other = await subject.another({ watchLifetimeMs: 1_000 });
    const { resourceVersion } = await other.tenants.list({ namespace });
    const watcher = watchFrom(other.tenants, resourceVersion);
    const watches = async () =>
      (await subject.cluster.auditLog()).filter(
        ({ verb, objectRef }) => verb === 'watch' && objectRef.namespace === namespace,
      ).length;
    let written = 0;
    await eventually(
      async () => {
        await put(`t-${(written += 1)}`);
        return (await watches()) >= 4;
      },
      { what: 'four watches', intervalMs: 100 },
    );
    const seen = await watcher.until((events) => changesOf(events).includes(`ADDED t-${written}`));
    const names = Array.from({ length: written }, (_, index) => `ADDED t-${index + 1}`);
    expect(changesOf(seen)).toEqual(names);
    expect(watcher.restarts).toBe(0);
    await other.close();
  });

  it('loses and repeats nothing, wherever the answer is cut off', async () => {
    const { resourceVersion } = await store.list({ namespace });
    for (let index = 0; index < 6; index += 1) await put(`t-${index}`);
    const names = Array.from({ length: 6 }, (_, index) => `ADDED t-${index}`);
    // A handshake has two or three thousand bytes, the head a hundred, each line about nine hundred.
    for (let bytes = 100; bytes < 12_000; bytes += 450) {
      subject.proxy.cut();
      subject.proxy.cutAfter(bytes);
      const watcher = watchFrom(store, resourceVersion);
      await eventually(() => watcher.restarts > 0 || changesOf(watcher.seen).length === 6, {
        what: `the watch to be cut after ${bytes} bytes`,
        intervalMs: 5,
      });
      subject.proxy.cutAfter(undefined);
      const seen = await watcher.until((events) => changesOf(events).length >= 6);
      expect(changesOf(seen)).toEqual(names);
      await watcher.stop();
    }
  });

  it('ends with an error, once, when the server says no more and does not even end it', async () => {
    const clock = createFakeClock();
    const other = await subject.another({ clock, watchLifetimeMs: 60_000 });
    const { resourceVersion } = await store.list({ namespace });
    const seen: WatchEvent[] = [];
    const ended = (async () => {
      const signal = new AbortController().signal;
      for await (const event of other.tenants.watch({ resourceVersion, namespace, signal })) seen.push(event);
    })().then(
      () => undefined,
      (error: unknown) => error,
    );
    await put('a');
    await eventually(() => changesOf(seen).includes('ADDED a'), { what: 'the watch to stand' });
    await clock.advance(100);
    expect(seen.at(-1)?.type).toBe('BOOKMARK');
    subject.proxy.silence(true);
    await clock.advance(65_000);
    expect(seen).toHaveLength(2);
    await clock.advance(10_000);
    expect(await ended).toMatchObject({
      name: 'StoreError',
      kind: 'unavailable',
      message:
        'cannot watch tenants: the API server did not end the watch at its time: the connection is dead',
    });
    subject.proxy.silence(false);
    subject.proxy.cut();
    await other.close();
    expect(clock.timers).toBe(0);
  });

  it('says at once that it is up to date, and says it again from where it stands', async () => {
    await put('a');
    const { resourceVersion } = await store.list({ namespace });
    const watcher = watchFrom(store, resourceVersion);
    const seen = await watcher.until((events) => events.length > 0);
    expect(seen).toEqual([{ type: 'BOOKMARK', resourceVersion }]);
  });

  it(
    'keeps an informer right through outages of the server and the loss of its history',
    { timeout: 120_000 },
    async () => {
      const informer = createInformer<Tenant>({
        name: 'tenants',
        identify: ({ metadata }) => ({ ...metadata, key: metadata.name }),
        isGone: (error) => error instanceof GoneError,
        silentMs: 130_000,
        clock: systemClock,
        log: pino({ level: 'silent' }),
        source: {
          list: () => store.list({ namespace }),
          async *watch({ resourceVersion, signal }) {
            for await (const event of store.watch({ resourceVersion, namespace, signal }))
              yield event.type === 'BOOKMARK' ? event : { type: event.type, object: event.tenant };
          },
        },
      });
      informers.push(informer);
      const keys = () =>
        informer
          .items()
          .map(({ metadata }) => metadata.name)
          .sort();
      await put('a');
      await put('b');
      informer.start();
      await eventually(() => informer.healthy, { what: 'the informer to be healthy' });
      expect(keys()).toEqual(['a', 'b']);

      const first = informer.get('b')?.metadata.uid;
      subject.proxy.cut();
      subject.proxy.cutAfter(0);
      await eventually(() => !informer.healthy, { what: 'the informer to notice' });
      await subject.cluster.request({
        method: 'DELETE',
        path: `/apis/cloud.systemprompt.io/v1alpha1/namespaces/${namespace}/tenants/b`,
      });
      await put('b');
      await put('c');
      await subject.forgetHistory();
      subject.proxy.cut();
      subject.proxy.cutAfter(undefined);
      await eventually(() => informer.healthy && informer.size === 3, {
        what: 'the informer to be healthy again',
        timeoutMs: 90_000,
      });
      expect(keys()).toEqual(['a', 'b', 'c']);
      expect(informer.get('b')?.metadata.uid).not.toBe(first);
    },
  );

  it('is an outage when the server cannot be reached, and Gone when it has forgotten', async () => {
    const { resourceVersion } = await store.list({ namespace });
    const client = await clientOf(subject.cluster.adminKubeconfig);
    const other = await subject.another({ client });
    const signal = new AbortController().signal;
    const begin = (from: string) =>
      other.tenants.watch({ resourceVersion: from, signal })[Symbol.asyncIterator]().next();
    await expect(begin('1')).rejects.toThrow(GoneError);
    await client.close();
    await expect(begin(resourceVersion)).rejects.toThrow(StoreError);
    await other.close();
  });
});
