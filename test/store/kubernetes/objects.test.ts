import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { ConflictError, InvalidError, StoreError, type TenantStore } from '../../../src/store/store.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { accountWith, daemonRights } from '../../cluster/tenants.ts';
import { describeOnCluster } from '../../cluster/on-cluster.ts';
import { clientOf } from '../../kubernetes/client-of.ts';
import { captureLog } from '../../support/captured-log.ts';
import { eventually } from '../../support/eventually.ts';
import { changesOf, follow } from '../follow.ts';
import { startKubernetesStore, type KubernetesSubject } from './subject.ts';

const MERGE_PATCH = 'application/merge-patch+json';
const spec = { owner: 'ctm_1', region: 'iad' };
const DEFINITION = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tenants.cloud.systemprompt.io';

await describeOnCluster('objects on an API server', () => {
  const captured = captureLog();
  let subject: KubernetesSubject;
  let store: TenantStore;
  let namespace: string;
  beforeAll(async () => {
    subject = await startKubernetesStore({ log: captured.log });
    store = subject.store;
  });
  beforeEach(async () => {
    namespace = await subject.newNamespace();
  });
  afterAll(() => subject.stop());

  const pathOf = (name = ''): string =>
    `/apis/cloud.systemprompt.io/v1alpha1/namespaces/${namespace}/tenants${name === '' ? '' : `/${name}`}`;
  const create = (name: string): Promise<Tenant> => store.create({ metadata: { namespace, name }, spec });

  it('keep what others have written and who has written it, whatever is replaced', async () => {
    const any: unknown = expect.anything();
    const tenant = await create('a');
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: tenant.metadata.uid };
    await subject.cluster.request({
      method: 'PATCH',
      path: `${pathOf('a')}?fieldManager=somebody`,
      body: { metadata: { ownerReferences: [owner], labels: { tier: 'gold' } } },
      contentType: MERGE_PATCH,
    });
    const current = await store.get({ namespace, name: 'a' });
    const updated = await store.update({ ...current!, spec: { ...tenant.spec, memoryMb: 1024 } });
    await store.updateStatus({ ...updated, status: { phase: 'running' } });
    const { body } = await subject.cluster.request({ path: pathOf('a') });
    expect(body).toMatchObject({
      metadata: {
        ownerReferences: [owner],
        managedFields: expect.arrayContaining([
          expect.objectContaining({
            manager: 'somebody',
            fieldsV1: { 'f:metadata': { 'f:labels': any, 'f:ownerReferences': any } },
          }),
          expect.objectContaining({ manager: 'landlord', subresource: 'status' }),
        ]) as unknown,
        labels: { tier: 'gold' },
      },
      spec: { memoryMb: 1024 },
      status: { phase: 'running' },
    });
  });

  it('are refused by the rules of the definition where ours are outrun, with the fields that are to blame', async () => {
    const tenant = await create('a');
    // The region is fixed by a status that another writer adds after we have looked: the server sees both.
    const status = { volume: { id: 'vol_1', sizeGb: 1, region: 'iad' } };
    const placed = await store.updateStatus({ ...tenant, status });
    const body = { ...placed, spec: { ...placed.spec, region: 'fra' } };
    const client = await clientOf(subject.cluster.adminKubeconfig);
    const refused = client.call({ method: 'PUT', path: pathOf('a'), body });
    await expect(refused).rejects.toMatchObject({
      status: 422,
      causes: [expect.objectContaining({ field: 'spec.region' })],
    });
    await client.close();
    await expect(store.update(body)).rejects.toThrow(InvalidError);
  });

  it('can only be created in a namespace that exists and is to stay', async () => {
    const create = (place: string) => store.create({ metadata: { namespace: place, name: 'a' }, spec });
    const issues = (message: string) => ({ issues: [{ path: 'metadata.namespace', message }] });
    await expect(create('nowhere')).rejects.toMatchObject(
      issues('names a namespace that does not exist in the cluster'),
    );
    // Without a controller to finish it, it stays in its end.
    await subject.cluster.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}` });
    await expect(create(namespace)).rejects.toMatchObject(issues('names a namespace that is being deleted'));
  });

  it('of an older definition are used as they are, and what is no tenant at all is left out', async () => {
    const fine = await create('fine');
    const watcher = follow(store, { resourceVersion: fine.metadata.resourceVersion, namespace });
    const { body } = await subject.cluster.request({ path: DEFINITION });
    const definition = body as { spec: { versions: { schema: unknown }[] } };
    const strict = definition.spec.versions[0]!.schema;
    const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    // A field that is selectable must be a field.
    const specs = { ...open, properties: { owner: { type: 'string' } } };
    const loose = { type: 'object', properties: { spec: specs, status: open } };
    await replaceSchema({ openAPIV3Schema: loose });
    const raw = { apiVersion: 'cloud.systemprompt.io/v1alpha1', kind: 'Tenant' };
    const odd = { ...fine.spec, memoryMb: 4096, burst: true };
    await subject.cluster.request({
      method: 'POST',
      path: pathOf(),
      body: { ...raw, metadata: { name: 'odd' }, spec: odd },
    });
    await subject.cluster.request({
      method: 'POST',
      path: pathOf(),
      body: { ...raw, metadata: { name: 'wrong' }, spec: { owner: 'ctm_1', region: 7 } },
    });
    await subject.cluster.request({ method: 'DELETE', path: pathOf('wrong') });
    const late = await create('late');

    expect(await store.get({ namespace, name: 'odd' })).toMatchObject({ spec: odd });
    const { items } = await store.list({ namespace });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['fine', 'late', 'odd']);
    const seen = await watcher.until((events) => changesOf(events).includes('ADDED late'));
    expect(changesOf(seen)).toEqual(['ADDED odd', 'DELETED wrong', 'ADDED late']);
    expect(watcher.restarts).toBe(0);
    expect(await store.getByUid(late.metadata.uid)).toEqual(late);
    const complaints = captured.lines().filter(({ name }) => name === 'odd' || name === 'wrong');
    expect(complaints).toMatchObject([
      { name: 'odd', msg: expect.stringContaining('used as it is') as unknown },
      { name: 'wrong', paths: expect.arrayContaining(['spec.region']) as unknown },
      { name: 'wrong' },
    ]);
    const counted = await subject.registry.metrics();
    expect(counted).toContain('landlord_kubernetes_misfit_tenants_total{handling="used"} 1');
    await watcher.stop();
    await replaceSchema(strict);

    async function replaceSchema(schema: unknown): Promise<void> {
      const versions = definition.spec.versions.map((version) => ({ ...version, schema }));
      const answer = await subject.cluster.request({
        method: 'PATCH',
        path: DEFINITION,
        body: { spec: { versions } },
        contentType: MERGE_PATCH,
      });
      expect(answer.status).toBe(200);
      // Meanwhile the server asks everybody to come back later.
      await eventually(
        () =>
          store.list().then(
            () => true,
            () => false,
          ),
        { what: 'the definition to be served' },
      );
    }
  });

  it('are chosen by an owner with any name', async () => {
    for (const [index, owner] of ['a,b=c', 'back\\slash', 'häß', 'plain'].entries()) {
      await store.create({ metadata: { namespace, name: `t-${index}` }, spec: { ...spec, owner } });
      const { items } = await store.list({ namespace, owner });
      expect(items.map((tenant) => tenant.spec.owner)).toEqual([owner]);
    }
  });

  it('are all in a list that has no limit, however many pages it takes', async () => {
    const names = Array.from({ length: 1_203 }, (_, index) => `t-${String(index).padStart(5, '0')}`);
    for (let from = 0; from < names.length; from += 100)
      await Promise.all(names.slice(from, from + 100).map(create));
    const { items, continue: token } = await store.list({ namespace });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(names);
    expect(token).toBeUndefined();
  });

  it('are found by uid by a store that has never seen them, with few lists for many questions', async () => {
    const tenants = await Promise.all(['a', 'b', 'c'].map(create));
    const other = await subject.another();
    const lists = async () =>
      (await subject.cluster.auditLog()).filter(
        ({ verb, requestURI }) => verb === 'list' && requestURI.includes('/v1alpha1/tenants?limit=500'),
      ).length;
    const before = await lists();
    const unknown = Array.from({ length: 50 }, () => crypto.randomUUID());
    const found = await Promise.all(
      [...tenants.map(({ metadata }) => metadata.uid), ...unknown].map((uid) => other.tenants.getByUid(uid)),
    );
    expect(found.slice(0, 3)).toEqual(tenants);
    expect(new Set(found.slice(3))).toEqual(new Set([undefined]));
    // One for all of the questions; its pages hold all tenants of the cases before.
    const pages = Math.ceil((await store.list()).items.length / 500);
    expect((await lists()) - before).toBeLessThanOrEqual(1 + 2 * pages);
    await other.close();
  });

  it('say which right is missing, and to whom, as an outage that is not the tenant’s fault', async () => {
    const token = await accountWith(
      subject.cluster,
      (await daemonRights()).filter(({ resources }) => !resources.includes('tenants/status')),
    );
    const client = await clientOf(await subject.cluster.kubeconfigFor({ token }));
    const weak = await subject.another({ client });
    const tenant = await weak.tenants.create({ metadata: { namespace, name: 'a' }, spec });
    const refused = weak.tenants.updateStatus({ ...tenant, status: { phase: 'running' } });
    await expect(refused).rejects.toThrow(StoreError);
    await expect(refused).rejects.toMatchObject({ kind: 'refused', ambiguous: false });
    await expect(refused).rejects.toThrow(
      /^cannot update the status of tenant ".*\/a": .* cannot patch resource "tenants\/status" in API group/,
    );
    await weak.close();
    await client.close();
  });

  it('that are made anew while they are deleted are left alone', async () => {
    const tenant = await create('a');
    await store.delete({ namespace, name: 'a' });
    const anew = await create('a');
    const { uid } = tenant.metadata;
    await expect(store.delete({ namespace, name: 'a' }, { uid })).rejects.toThrow(ConflictError);
    expect(await store.get({ namespace, name: 'a' })).toEqual(anew);
  });

  it('are not known to a cluster without the definition, which says what to do', async () => {
    await subject.cluster.request({ method: 'DELETE', path: DEFINITION });
    const failure = await eventually(
      () =>
        store.list().then(
          () => undefined,
          (error: unknown) => error,
        ),
      { what: 'the definition to be gone' },
    );
    expect(failure).toBeInstanceOf(StoreError);
    expect(failure).toMatchObject({
      message: 'cannot list tenants: the cluster knows no tenants: apply crds/tenants.yaml to it',
    });
    await expect(store.get({ namespace, name: 'a' })).rejects.toThrow(StoreError);
    await expect(create('a')).rejects.toThrow(StoreError);
  });
});
