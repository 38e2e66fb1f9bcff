/**
 * What must every TenantStore do? One suite of cases that is run against each adapter, on a real server. Whatever
 * only one adapter can do (such as holding a commit back) has its own file beside this one.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AlreadyExistsError,
  ConflictError,
  GoneError,
  InvalidError,
  NotFoundError,
  type NewTenant,
  type TenantStore,
} from '../../src/store/store.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { changesOf, follow, tenantsOf, versionOf, type Follower } from './follow.ts';

export interface StoreUnderTest {
  readonly store: TenantStore;
  /** A namespace that no other case uses. */
  newNamespace(): Promise<string>;
  /** Forgets every change up to now, so that older resourceVersions are Gone. */
  forgetHistory(): Promise<void>;
  /** Cuts every connection between the store and what it keeps tenants in. */
  cutConnections(): Promise<void>;
  stop(): Promise<void>;
}

/** More than any pool of connections holds. */
const MOST_DEAD_CONNECTIONS = 50;
const FINALIZER = 'cloud.systemprompt.io/fly';
const spec = { owner: 'ctm_1', region: 'iad' };

export function describeTenantStore(name: string, makeStore: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let subject: StoreUnderTest;
    let store: TenantStore;
    let namespace: string;
    let followers: Follower[];

    beforeAll(async () => {
      subject = await makeStore();
      store = subject.store;
    });
    beforeEach(async () => {
      namespace = await subject.newNamespace();
      followers = [];
      return () => Promise.all(followers.map((follower) => follower.stop()));
    });
    afterAll(() => subject.stop());

    const newTenant = (
      tenantName: string,
      more: { spec?: object; metadata?: Partial<NewTenant['metadata']> } = {},
    ) => ({
      metadata: { namespace, name: tenantName, ...more.metadata },
      spec: { ...spec, ...more.spec },
    });
    const create = (tenantName: string, more: Parameters<typeof newTenant>[1] = {}) =>
      store.create(newTenant(tenantName, more));
    const watchFrom = (resourceVersion: string) => {
      const follower = follow(store, { resourceVersion, namespace });
      followers.push(follower);
      return follower;
    };
    const names = (items: readonly Tenant[]) => items.map((tenant) => tenant.metadata.name);
    const withSpec = (tenant: Tenant, change: object) => ({
      metadata: tenant.metadata,
      spec: { ...tenant.spec, ...change },
    });

    describe('create and get', () => {
      it('fills in what the store is to add, and the defaults of the spec', async () => {
        const tenant = await create('a', {
          metadata: { labels: { tier: 'gold' }, annotations: { note: 'häß ☃' } },
        });
        expect(tenant).toMatchObject({
          apiVersion: 'cloud.systemprompt.io/v1alpha1',
          kind: 'Tenant',
          metadata: {
            name: 'a',
            namespace,
            generation: 1,
            labels: { tier: 'gold' },
            annotations: { note: 'häß ☃' },
          },
          spec: { ...spec, memoryMb: 512, volumeGb: 1, state: 'Running', env: {}, deletionPolicy: 'Delete' },
        });
        expect(tenant.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
        expect(Date.parse(tenant.metadata.creationTimestamp)).not.toBeNaN();
        expect(tenant.status).toBeUndefined();
      });

      it('gives back exactly what it answered with, by name and by uid', async () => {
        const tenant = await create('a', { spec: { env: { B: '2', A: '1' }, hostnames: ['x.example.com'] } });
        expect(await store.get({ namespace, name: 'a' })).toEqual(tenant);
        expect(await store.getByUid(tenant.metadata.uid)).toEqual(tenant);
      });

      it.each(['missing', 'Not_A_Name', ''])('knows no tenant named "%s"', async (missing) => {
        expect(await store.get({ namespace, name: missing })).toBeUndefined();
      });

      it.each(['00000000-0000-4000-8000-000000000000', 'not-a-uid', ''])(
        'knows no tenant with uid "%s"',
        async (uid) => {
          expect(await store.getByUid(uid)).toBeUndefined();
        },
      );

      it('refuses a name that is taken, also when two come at once', async () => {
        const results = await Promise.allSettled([create('a'), create('a'), create('a')]);
        expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
        for (const result of results)
          if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(AlreadyExistsError);
        await expect(create('a')).rejects.toThrow(AlreadyExistsError);
      });

      it('lets the same name live in two namespaces', async () => {
        const other = await subject.newNamespace();
        const tenant = await create('a');
        const twin = await create('a', { metadata: { namespace: other } });
        expect(twin.metadata.uid).not.toBe(tenant.metadata.uid);
      });

      it.each([
        ['a memory size that is not on offer', { memoryMb: 333 }, 'spec.memoryMb'],
        ['a field that nobody knows', { memory: 1 }, 'spec.memory'],
        ['a reserved variable', { env: { DATABASE_URL: 'x' } }, 'spec.env.DATABASE_URL'],
        ['a missing owner', { owner: undefined }, 'spec.owner'],
      ])('refuses %s, and stores nothing', async (_what, change, path) => {
        const attempt = create('a', { spec: change });
        await expect(attempt).rejects.toThrow(InvalidError);
        await expect(attempt).rejects.toMatchObject({ issues: [expect.objectContaining({ path })] });
        expect(await store.get({ namespace, name: 'a' })).toBeUndefined();
      });

      it.each([
        ['a name that is no DNS label', { name: 'Not_A_Name' }],
        ['a label key with a blank', { labels: { 'a b': 'c' } }],
        ['a label value that is too long', { labels: { a: 'x'.repeat(64) } }],
        ['an annotation key with a blank', { annotations: { 'a b': 'c' } }],
      ])('refuses %s', async (_what, metadata) => {
        await expect(create('a', { metadata })).rejects.toThrow(InvalidError);
      });

      it('writes nothing in a dry run, but checks everything', async () => {
        const planned = await store.create(newTenant('a'), { dryRun: true });
        expect(planned.spec.memoryMb).toBe(512);
        expect(await store.get({ namespace, name: 'a' })).toBeUndefined();
        await create('a');
        await expect(store.create(newTenant('a'), { dryRun: true })).rejects.toThrow(AlreadyExistsError);
        await expect(
          store.create(newTenant('b', { spec: { memoryMb: 1 } }), { dryRun: true }),
        ).rejects.toThrow(InvalidError);
      });
    });

    describe('update', () => {
      it('counts a generation when the spec changes, and keeps the status', async () => {
        const tenant = await store.updateStatus({ ...(await create('a')), status: { phase: 'running' } });
        const updated = await store.update(withSpec(tenant, { memoryMb: 1024 }));
        expect(updated.metadata.generation).toBe(2);
        expect(updated.metadata.resourceVersion).not.toBe(tenant.metadata.resourceVersion);
        expect(updated.spec.memoryMb).toBe(1024);
        expect(updated.status).toEqual({ phase: 'running' });
        expect(await store.get({ namespace, name: 'a' })).toEqual(updated);
      });

      it('counts no generation when only labels, annotations or finalizers change', async () => {
        const tenant = await create('a', { metadata: { labels: { a: '1' } } });
        const metadata = {
          ...tenant.metadata,
          labels: { b: '2' },
          annotations: { c: '3' },
          finalizers: [FINALIZER],
        };
        const updated = await store.update({ metadata, spec: tenant.spec });
        expect(updated.metadata).toMatchObject({
          generation: 1,
          labels: { b: '2' },
          annotations: { c: '3' },
          finalizers: [FINALIZER],
        });
        expect(updated.metadata.resourceVersion).not.toBe(tenant.metadata.resourceVersion);
      });

      it('removes labels and annotations that are no longer given', async () => {
        const tenant = await create('a', { metadata: { labels: { a: '1' }, annotations: { b: '2' } } });
        const metadata = { ...tenant.metadata, labels: undefined, annotations: undefined };
        const updated = await store.update({ metadata, spec: tenant.spec });
        expect(updated.metadata.labels).toBeUndefined();
        expect(updated.metadata.annotations).toBeUndefined();
      });

      it('writes nothing when nothing differs', async () => {
        const tenant = await create('a', {
          metadata: { labels: { a: '1' } },
          spec: { env: { A: '1', B: '2' } },
        });
        const same = await store.update({
          metadata: tenant.metadata,
          spec: { ...tenant.spec, env: { B: '2', A: '1' } },
        });
        expect(same).toEqual(tenant);
        const watcher = watchFrom(tenant.metadata.resourceVersion);
        await create('b');
        const seen = await watcher.until((events) => changesOf(events).length > 0);
        expect(changesOf(seen)).toEqual(['ADDED b']);
      });

      it('refuses a version that is not the stored one, even when nothing would differ', async () => {
        const tenant = await create('a');
        await store.update(withSpec(tenant, { memoryMb: 1024 }));
        await expect(store.update(withSpec(tenant, { memoryMb: 2048 }))).rejects.toThrow(ConflictError);
        await expect(store.update(withSpec(tenant, { memoryMb: 1024 }))).rejects.toThrow(ConflictError);
      });

      it('refuses a writer of the spec who has not seen the newest status, and the other way round', async () => {
        const tenant = await create('a');
        const [spec, status] = await Promise.allSettled([
          store.update(withSpec(tenant, { memoryMb: 1024 })),
          store.updateStatus({ ...tenant, status: { phase: 'running' } }),
        ]);
        const loser = spec.status === 'rejected' ? spec : status;
        expect([spec.status, status.status].sort()).toEqual(['fulfilled', 'rejected']);
        expect(loser).toMatchObject({ reason: expect.any(ConflictError) as unknown });
        const stored = await store.get({ namespace, name: 'a' });
        expect([stored?.spec.memoryMb, stored?.status?.phase]).toEqual(
          spec.status === 'fulfilled' ? [1024, undefined] : [512, 'running'],
        );
      });

      it('lets exactly one of many writers win who have read the same version', async () => {
        const tenant = await create('a');
        const sizes = [256, 1024, 2048, 256, 1024, 2048] as const;
        const results = await Promise.allSettled(
          sizes.map((memoryMb) => store.update(withSpec(tenant, { memoryMb }))),
        );
        expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
        for (const result of results)
          if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(ConflictError);
        expect((await store.get({ namespace, name: 'a' }))?.metadata.generation).toBe(2);
      });

      it.each([
        ['another owner', { owner: 'ctm_2' }, 'spec.owner'],
        ['a smaller volume', { volumeGb: 1 }, 'spec.volumeGb'],
        ['an adopted app', { adopt: { app: 'old' } }, 'spec.adopt'],
      ])('refuses %s', async (_what, change, path) => {
        const tenant = await create('a', { spec: { volumeGb: 3 } });
        const attempt = store.update(withSpec(tenant, change));
        await expect(attempt).rejects.toThrow(InvalidError);
        await expect(attempt).rejects.toMatchObject({ issues: [expect.objectContaining({ path })] });
        expect(await store.get({ namespace, name: 'a' })).toEqual(tenant);
      });

      it('refuses another region only once the volume exists', async () => {
        const tenant = await store.update(withSpec(await create('a'), { region: 'fra' }));
        const status = { volume: { id: 'vol_1', sizeGb: 1, region: 'fra' } };
        const placed = await store.updateStatus({ metadata: tenant.metadata, status });
        await expect(store.update(withSpec(placed, { region: 'iad' }))).rejects.toThrow(InvalidError);
      });

      it('does not find what is gone, or what was made anew under the name', async () => {
        const tenant = await create('a');
        await store.delete({ namespace, name: 'a' });
        await expect(store.update(withSpec(tenant, { memoryMb: 1024 }))).rejects.toThrow(NotFoundError);
        await create('a');
        await expect(store.update(withSpec(tenant, { memoryMb: 1024 }))).rejects.toThrow(ConflictError);
      });

      it('writes nothing in a dry run, and answers as if it had', async () => {
        const tenant = await create('a');
        const planned = await store.update(withSpec(tenant, { memoryMb: 1024 }), { dryRun: true });
        expect(planned).toMatchObject({ metadata: { generation: 2 }, spec: { memoryMb: 1024 } });
        expect(await store.get({ namespace, name: 'a' })).toEqual(tenant);
      });
    });

    describe('updateStatus', () => {
      const condition = {
        type: 'Ready',
        status: 'True',
        reason: 'Converged',
        message: 'Fly is as the spec wants it.',
        lastTransitionTime: '2026-01-02T03:04:05.000Z',
        observedGeneration: 1,
      } as const;

      it('replaces the status and touches nothing else', async () => {
        const tenant = await create('a');
        const first = await store.updateStatus({
          metadata: tenant.metadata,
          status: { hostname: 'a.test', conditions: [condition] },
        });
        expect(first.metadata).toEqual({
          ...tenant.metadata,
          resourceVersion: first.metadata.resourceVersion,
        });
        expect(first.spec).toEqual(tenant.spec);
        const second = await store.updateStatus({
          metadata: first.metadata,
          status: { conditions: [condition] },
        });
        expect(second.status).toEqual({ conditions: [condition] });
        expect(await store.get({ namespace, name: 'a' })).toEqual(second);
      });

      it('writes nothing when the status is the same, however its fields are ordered', async () => {
        const tenant = await create('a');
        const metadata = tenant.metadata;
        const first = await store.updateStatus({
          metadata,
          status: { phase: 'running', conditions: [condition] },
        });
        const again = await store.updateStatus({
          ...first,
          status: { conditions: [condition], phase: 'running', url: undefined },
        });
        expect(again).toEqual(first);
      });

      it('refuses a version that is not the stored one', async () => {
        const tenant = await create('a');
        await store.update(withSpec(tenant, { memoryMb: 1024 }));
        await expect(store.updateStatus({ ...tenant, status: { phase: 'running' } })).rejects.toThrow(
          ConflictError,
        );
      });

      it('refuses a status that the schema does not allow', async () => {
        const tenant = await create('a');
        const status = { conditions: [{ ...condition, reason: 'not one word' }] };
        await expect(store.updateStatus({ ...tenant, status })).rejects.toThrow(InvalidError);
      });

      it('does not find a tenant that is gone', async () => {
        const tenant = await create('a');
        await store.delete({ namespace, name: 'a' });
        await expect(store.updateStatus({ ...tenant, status: { phase: 'running' } })).rejects.toThrow(
          NotFoundError,
        );
      });
    });

    describe('delete', () => {
      it('removes at once what has no finalizer', async () => {
        const tenant = await create('a');
        const deleted = await store.delete({ namespace, name: 'a' });
        expect(deleted.metadata.uid).toBe(tenant.metadata.uid);
        expect(await store.get({ namespace, name: 'a' })).toBeUndefined();
        expect(await store.getByUid(tenant.metadata.uid)).toBeUndefined();
        await expect(store.delete({ namespace, name: 'a' })).rejects.toThrow(NotFoundError);
      });

      it('only marks what has a finalizer, once, until the last finalizer goes', async () => {
        const finalizers = [FINALIZER, 'example.com/backup'];
        const tenant = await create('a', { metadata: { finalizers } });
        const marked = await store.delete({ namespace, name: 'a' });
        expect(Date.parse(marked.metadata.deletionTimestamp ?? '')).not.toBeNaN();
        expect(marked.metadata.finalizers).toEqual(finalizers);
        expect(await store.delete({ namespace, name: 'a' })).toEqual(marked);
        await expect(create('a')).rejects.toThrow(AlreadyExistsError);

        const one = await store.update({
          ...marked,
          metadata: { ...marked.metadata, finalizers: [FINALIZER] },
        });
        expect(await store.get({ namespace, name: 'a' })).toEqual(one);
        const watcher = watchFrom(tenant.metadata.resourceVersion);
        await store.update({ ...one, metadata: { ...one.metadata, finalizers: [] } });
        expect(await store.get({ namespace, name: 'a' })).toBeUndefined();
        const seen = await watcher.until((events) => changesOf(events).includes('DELETED a'));
        expect(changesOf(seen)).toEqual(['MODIFIED a', 'MODIFIED a', 'DELETED a']);
      });

      it('still takes changes of spec and status while finalizers keep it, but no new finalizer', async () => {
        await create('a', { metadata: { finalizers: [FINALIZER] } });
        const marked = await store.delete({ namespace, name: 'a' });
        const updated = await store.update(withSpec(marked, { deletionPolicy: 'Orphan' }));
        expect(updated.spec.deletionPolicy).toBe('Orphan');
        const told = await store.updateStatus({ ...updated, status: { phase: 'deleting' } });
        const more = { ...told.metadata, finalizers: [FINALIZER, 'example.com/late'] };
        await expect(store.update({ metadata: more, spec: told.spec })).rejects.toThrow(InvalidError);
      });

      it('holds to its preconditions', async () => {
        const tenant = await create('a');
        const name = { namespace, name: 'a' };
        await expect(store.delete(name, { uid: '00000000-0000-4000-8000-000000000000' })).rejects.toThrow(
          ConflictError,
        );
        const updated = await store.update(withSpec(tenant, { memoryMb: 1024 }));
        const { resourceVersion } = tenant.metadata;
        await expect(store.delete(name, { resourceVersion })).rejects.toThrow(ConflictError);
        await store.delete(name, {
          uid: updated.metadata.uid,
          resourceVersion: updated.metadata.resourceVersion,
        });
        expect(await store.get(name)).toBeUndefined();
      });

      it('gives a tenant that is made anew another uid', async () => {
        const tenant = await create('a');
        await store.delete({ namespace, name: 'a' });
        const anew = await create('a');
        expect(anew.metadata.uid).not.toBe(tenant.metadata.uid);
        expect(anew.metadata.generation).toBe(1);
      });
    });

    describe('list', () => {
      it('is ordered by name and chooses by namespace and owner', async () => {
        await create('b', { spec: { owner: 'ctm_2' } });
        await create('a');
        await create('c');
        const all = await store.list({ namespace });
        expect(names(all.items)).toEqual(['a', 'b', 'c']);
        expect(all.items[0]).toEqual(await store.get({ namespace, name: 'a' }));
        expect(all.continue).toBeUndefined();
        expect(names((await store.list({ namespace, owner: 'ctm_1' })).items)).toEqual(['a', 'c']);
        expect((await store.list({ namespace, owner: 'nobody' })).items).toEqual([]);
        expect((await store.list({ namespace: 'no-such-namespace' })).items).toEqual([]);
        expect(names((await store.list()).items)).toEqual(expect.arrayContaining(['a', 'b', 'c']));
      });

      it.each([
        ['tier=gold', ['gold', 'gold-fra']],
        ['tier==gold,region=fra', ['gold-fra']],
        ['tier!=gold', ['none', 'silver']],
        ['tier', ['gold', 'gold-fra', 'silver']],
        ['!tier', ['none']],
        ['tier , region != fra', ['gold', 'silver']],
        ['tier in (gold, iron)', ['gold', 'gold-fra']],
        ['tier notin (gold,iron),tier', ['silver']],
        ['region notin (fra)', ['gold', 'none', 'silver']],
        ['example.com/team=', ['none']],
        ['', ['gold', 'gold-fra', 'none', 'silver']],
      ])('chooses by the label selector "%s"', async (labelSelector, expected) => {
        await create('gold', { metadata: { labels: { tier: 'gold' } } });
        await create('gold-fra', { metadata: { labels: { tier: 'gold', region: 'fra' } } });
        await create('silver', { metadata: { labels: { tier: 'silver' } } });
        await create('none', { metadata: { labels: { 'example.com/team': '' } } });
        expect(names((await store.list({ namespace, labelSelector })).items)).toEqual(expected);
      });

      it.each(['=a', 'a=b=c', '!a=b', 'a b', "a='; DROP TABLE tenants; --"])(
        'refuses the label selector "%s"',
        async (labelSelector) => {
          await expect(store.list({ namespace, labelSelector })).rejects.toThrow(InvalidError);
        },
      );

      it('is one snapshot, however much changes between its pages', async () => {
        for (const tenantName of ['a', 'b', 'c', 'd', 'e']) await create(tenantName);
        const first = await store.list({ namespace, limit: 2 });
        expect(names(first.items)).toEqual(['a', 'b']);
        const before = await store.get({ namespace, name: 'd' });
        await store.delete({ namespace, name: 'c' });
        await store.update(withSpec(before!, { memoryMb: 1024 }));
        await create('bb');
        await create('f');
        const second = await store.list({ namespace, limit: 2, continue: first.continue! });
        const third = await store.list({ namespace, limit: 2, continue: second.continue! });
        expect([...names(second.items), ...names(third.items)]).toEqual(['c', 'd', 'e']);
        expect(second.items[1]).toEqual(before);
        expect(third.continue).toBeUndefined();
        expect(new Set([first, second, third].map((page) => page.resourceVersion)).size).toBe(1);

        const seen = await watchFrom(third.resourceVersion).until((events) =>
          changesOf(events).includes('ADDED f'),
        );
        expect(changesOf(seen)).toEqual(['DELETED c', 'MODIFIED d', 'ADDED bb', 'ADDED f']);
      });

      it('says Gone to a continue token that is too old, and Invalid to a made-up one', async () => {
        await create('a');
        await create('b');
        const first = await store.list({ namespace, limit: 1 });
        await create('c');
        await subject.forgetHistory();
        await expect(store.list({ namespace, limit: 1, continue: first.continue! })).rejects.toThrow(
          GoneError,
        );
        await expect(store.list({ namespace, limit: 1, continue: 'made-up' })).rejects.toThrow(InvalidError);
      });
    });

    describe('watch', () => {
      it('misses nothing of what came after a list, and tells when the backlog is through', async () => {
        const tenant = await create('before');
        const { resourceVersion } = await store.list({ namespace });
        await create('a');
        await store.update(withSpec(tenant, { memoryMb: 1024 }));
        await store.delete({ namespace, name: 'before' });
        const watcher = watchFrom(resourceVersion);
        const backlog = await watcher.until((seen) => seen.some((event) => event.type === 'BOOKMARK'));
        expect(changesOf(backlog)).toEqual(['ADDED a', 'MODIFIED before', 'DELETED before']);
        expect(backlog.at(-1)?.type).toBe('BOOKMARK');

        const live = await create('live');
        const seen = await watcher.until((events) => changesOf(events).includes('ADDED live'));
        const last = seen.findLast((event) => event.type === 'ADDED');
        expect(last).toEqual({ type: 'ADDED', tenant: live });
      });

      it('resumes from any version that it has told, without a gap and without a repeat', async () => {
        const { resourceVersion } = await store.list({ namespace });
        let tenant = await create('a');
        for (const memoryMb of [1024, 256, 2048] as const)
          tenant = await store.update(withSpec(tenant, { memoryMb }));
        await store.delete({ namespace, name: 'a' });
        const all = await watchFrom(resourceVersion).until((seen) => changesOf(seen).includes('DELETED a'));
        const changes = all.filter((event) => event.type !== 'BOOKMARK');
        expect(changesOf(changes)).toEqual([
          'ADDED a',
          'MODIFIED a',
          'MODIFIED a',
          'MODIFIED a',
          'DELETED a',
        ]);
        for (const [index, event] of changes.slice(0, -1).entries()) {
          const rest = await watchFrom(versionOf(event)).until((seen) =>
            changesOf(seen).includes('DELETED a'),
          );
          expect(rest.filter((later) => later.type !== 'BOOKMARK')).toEqual(changes.slice(index + 1));
        }
      });

      it('resumes from a bookmark', async () => {
        const watcher = watchFrom((await store.list({ namespace })).resourceVersion);
        const seen = await watcher.until((events) => events.some((event) => event.type === 'BOOKMARK'));
        const bookmark = versionOf(seen.at(-1)!);
        await create('a');
        const later = await watchFrom(bookmark).until((events) => changesOf(events).length > 0);
        expect(changesOf(later)).toEqual(['ADDED a']);
      });

      it('tells only of its namespace, or of all', async () => {
        const other = await subject.newNamespace();
        const { resourceVersion } = await store.list({ namespace });
        const everywhere = follow(store, { resourceVersion });
        followers.push(everywhere);
        await create('elsewhere', { metadata: { namespace: other } });
        await create('here');
        const seen = await watchFrom(resourceVersion).until((events) => changesOf(events).length > 0);
        expect(changesOf(seen)).toEqual(['ADDED here']);
        const all = await everywhere.until((events) => changesOf(events).includes('ADDED here'));
        expect(changesOf(all)).toContain('ADDED elsewhere');
      });

      it('tells of a deletion and of the next tenant under the name, also to whoever was away meanwhile', async () => {
        const first = await create('a');
        await store.delete({ namespace, name: 'a' });
        const second = await create('a', { spec: { memoryMb: 1024 } });
        const seen = await watchFrom(first.metadata.resourceVersion).until((events) =>
          changesOf(events).includes('ADDED a'),
        );
        expect(changesOf(seen)).toEqual(['DELETED a', 'ADDED a']);
        expect(tenantsOf(seen).map(({ metadata }) => metadata.uid)).toEqual([
          first.metadata.uid,
          second.metadata.uid,
        ]);
        expect(tenantsOf(seen)[1]).toEqual(second);
      });

      it('gives a deleted tenant with its last state and a version of its own', async () => {
        const tenant = await create('a', { spec: { memoryMb: 1024 } });
        await store.delete({ namespace, name: 'a' });
        const seen = await watchFrom(tenant.metadata.resourceVersion).until(
          (events) => changesOf(events).length > 0,
        );
        const deleted = tenantsOf(seen)[0];
        expect(deleted?.spec).toEqual(tenant.spec);
        expect(deleted?.metadata.uid).toBe(tenant.metadata.uid);
        expect(deleted?.metadata.resourceVersion).not.toBe(tenant.metadata.resourceVersion);
      });

      it('says Gone to a version whose changes are no longer kept', async () => {
        const tenant = await create('a');
        await store.update(withSpec(tenant, { memoryMb: 1024 }));
        await subject.forgetHistory();
        await expect(watchFrom(tenant.metadata.resourceVersion).until(() => false)).rejects.toThrow(
          GoneError,
        );
        const { resourceVersion } = await store.list({ namespace });
        await create('b');
        const seen = await watchFrom(resourceVersion).until((events) => changesOf(events).length > 0);
        expect(changesOf(seen)).toEqual(['ADDED b']);
      });

      it('refuses a version that is none', async () => {
        const signal = new AbortController().signal;
        const iterator = store.watch({ resourceVersion: 'yesterday', signal })[Symbol.asyncIterator]();
        await expect(iterator.next()).rejects.toThrow(InvalidError);
      });

      it('ends without an error when it is aborted, before, while and after it waits', async () => {
        const { resourceVersion } = await store.list({ namespace });
        for await (const event of store.watch({ resourceVersion, signal: AbortSignal.abort() }))
          expect.unreachable(event.type);
        const aborter = new AbortController();
        const seen: string[] = [];
        for await (const event of store.watch({ resourceVersion, namespace, signal: aborter.signal })) {
          seen.push(event.type);
          setImmediate(() => aborter.abort());
        }
        expect(seen).toEqual(['BOOKMARK']);
      });

      it('loses no change of many writers, and tells every watcher the same order', async () => {
        const { resourceVersion } = await store.list({ namespace });
        const watchers = [watchFrom(resourceVersion), watchFrom(resourceVersion), watchFrom(resourceVersion)];
        const write = async (index: number) => {
          const tenant = await create(`t-${index}`);
          const updated = await store.update(withSpec(tenant, { memoryMb: 1024 }));
          await store.updateStatus({ ...updated, status: { phase: 'running' } });
          await store.delete({ namespace, name: `t-${index}` });
        };
        const indexes = Array.from({ length: 20 }, (_, index) => index);
        await Promise.all(indexes.map(write));
        const deletions = (lines: string[]) => lines.filter((line) => line.startsWith('DELETED')).length;
        const orders = await Promise.all(
          watchers.map(async (watcher) =>
            changesOf(await watcher.until((seen) => deletions(changesOf(seen)) === 20)),
          ),
        );
        expect(orders[0]).toHaveLength(80);
        for (const order of orders) expect(order).toEqual(orders[0]);
        for (const index of indexes)
          expect(orders[0]?.filter((line) => line.endsWith(` t-${index}`))).toEqual(
            ['ADDED', 'MODIFIED', 'MODIFIED', 'DELETED'].map((type) => `${type} t-${index}`),
          );
      });

      it('loses no change, tells none twice and none out of order, however often it is cut', async () => {
        const { resourceVersion } = await store.list({ namespace });
        const watcher = watchFrom(resourceVersion);
        const written = Array.from({ length: 12 }, (_, index) => `t-${index}`);
        for (const [index, tenantName] of written.entries()) {
          const writing = retried(() => create(tenantName));
          // Some cuts meet a connection that is being made, some a request, some a line that is being read.
          for (let turn = 0; turn < 2 ** index; turn += 1) await new Promise(setImmediate);
          await subject.cutConnections();
          await writing;
        }
        await retried(() => create('last'));
        const seen = await watcher.until((events) => changesOf(events).includes('ADDED last'));
        expect(changesOf(seen)).toEqual([...written, 'last'].map((tenantName) => `ADDED ${tenantName}`));
      });

      it('loses no change when its connections are cut', async () => {
        const { resourceVersion } = await store.list({ namespace });
        const watcher = watchFrom(resourceVersion);
        await create('a');
        await watcher.until((seen) => changesOf(seen).includes('ADDED a'));
        await subject.cutConnections();
        await retried(() => create('b'));
        await subject.cutConnections();
        await retried(() => create('c'));
        const seen = await watcher.until((events) => changesOf(events).includes('ADDED c'));
        expect(changesOf(seen)).toEqual(['ADDED a', 'ADDED b', 'ADDED c']);
      });
    });
  });
}

/**
 * A write whose connection is cut may have been done or not; the next attempt tells. Several attempts may meet a dead
 * connection: each of those that were cut is found out only when it is used.
 */
async function retried(write: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await write();
      return;
    } catch (error) {
      if (error instanceof AlreadyExistsError && attempt > 1) return;
      const pointless = error instanceof ConflictError || error instanceof InvalidError;
      if (pointless || attempt === MOST_DEAD_CONNECTIONS) throw error;
    }
  }
}
