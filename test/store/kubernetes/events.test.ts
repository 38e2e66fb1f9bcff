import { execFile } from 'node:child_process';
import { isDeepStrictEqual, promisify } from 'node:util';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../../src/clock.ts';
import { connect } from '../../../src/database/connection.ts';
import { createPostgresStore } from '../../../src/store/postgres/postgres-store.ts';
import type { EventStore, TenantEvent } from '../../../src/store/store.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { accountWith, daemonRights } from '../../cluster/tenants.ts';
import { describeOnCluster } from '../../cluster/on-cluster.ts';
import { clientOf } from '../../kubernetes/client-of.ts';
import { silentLog } from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';
import { freePort } from '../../support/processes.ts';
import { startKubernetesStore, type KubernetesSubject } from './subject.ts';

const spec = { owner: 'ctm_1', region: 'iad' };
const started: TenantEvent = {
  type: 'Normal',
  reason: 'MachineStarted',
  message: 'The machine “häß” started.',
};
const failed: TenantEvent = {
  type: 'Warning',
  reason: 'StepFailed',
  message: 'cannot create volume "x": no',
};

const listSchema = z.object({
  items: z.array(
    z.looseObject({ metadata: z.looseObject({ name: z.string() }), reason: z.string(), count: z.number() }),
  ),
});

await describeOnCluster('events of tenants on a cluster', () => {
  let subject: KubernetesSubject;
  let namespace: string;
  let tenant: Tenant;
  beforeAll(async () => {
    subject = await startKubernetesStore();
  });
  beforeEach(async () => {
    namespace = await subject.newNamespace();
    tenant = await subject.store.create({ metadata: { namespace, name: 'a' }, spec });
  });
  afterAll(() => subject.stop());

  const inCluster = async () => {
    const path = `/api/v1/namespaces/${namespace}/events`;
    return listSchema.parse((await subject.cluster.request({ path })).body).items;
  };
  const counts = async (): Promise<Record<string, number>> =>
    Object.fromEntries((await inCluster()).map(({ reason, count }) => [reason, count]));
  const reachCluster = (wanted: Record<string, number>) =>
    eventually(async () => isDeepStrictEqual(await counts(), wanted), {
      what: `the events ${JSON.stringify(wanted)} to be in the cluster`,
    });
  const inDatabase = async () => {
    const events = await subject.events.list(tenant.metadata.uid);
    return Object.fromEntries(events.map(({ reason, count }) => [reason, count]));
  };
  /** Writes a status that is a new one each time. */
  let times = 0;
  const tell = async (events: readonly TenantEvent[]): Promise<void> => {
    times += 1;
    tenant = await subject.store.updateStatus({ ...tenant, status: { hostname: `${times}.test` } }, events);
  };

  it('stand beside the tenant, where kubectl describe shows them, and in the database, where REST reads', async () => {
    await tell([started, failed]);
    await reachCluster({ MachineStarted: 1, StepFailed: 1 });
    const event = (await inCluster()).find(({ reason }) => reason === 'StepFailed');
    const { uid, resourceVersion } = tenant.metadata;
    const at: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(event).toMatchObject({
      metadata: { name: expect.stringMatching(/^a\.[0-9a-f]{16}$/) as unknown, namespace },
      involvedObject: {
        apiVersion: 'cloud.systemprompt.io/v1alpha1',
        kind: 'Tenant',
        name: 'a',
        namespace,
        uid,
        resourceVersion,
      },
      ...failed,
      source: { component: 'landlord' },
      reportingComponent: 'landlord',
      firstTimestamp: at,
      lastTimestamp: at,
    });
    await eventually(async () => Object.keys(await inDatabase()).length === 2, { what: 'the database' });
    const args = [
      '--kubeconfig',
      subject.cluster.adminKubeconfig,
      '-n',
      namespace,
      'describe',
      'tenant',
      'a',
    ];
    const { stdout } = await promisify(execFile)('kubectl', args);
    expect(stdout).toMatch(/Warning\s+StepFailed\s+\S+\s+landlord\s+cannot create volume "x": no/);
  });

  it('are counted when they are equal, also by a store that does not know that they were told', async () => {
    await tell([started]);
    await tell([started]);
    await reachCluster({ MachineStarted: 2 });
    const other = await subject.another();
    await other.events.record(tenant.metadata.uid, [started]);
    await reachCluster({ MachineStarted: 3 });
    expect(await inDatabase()).toEqual({ MachineStarted: 3 });
    await other.close();
  });

  it('hold up no status while either place is away, and are told when it is back', async () => {
    let away = true;
    const refusing = `postgresql://landlord@127.0.0.1:${await freePort()}/landlord`;
    const nowhere = connect({ url: refusing, log: silentLog(), clock: systemClock });
    const unreachable = createPostgresStore({ database: nowhere, clock: systemClock, log: silentLog() });
    const events: EventStore = {
      ...subject.plainEvents,
      record: (uid, told) => (away ? unreachable.events : subject.plainEvents).record(uid, told),
    };
    const other = await subject.another({ events });
    const told = await other.tenants.updateStatus({ ...tenant, status: { hostname: 'b.test' } }, [started]);
    expect(told.status?.hostname).toBe('b.test');
    await reachCluster({ MachineStarted: 1 });
    expect(await inDatabase()).toEqual({});
    away = false;
    await eventually(async () => (await inDatabase())['MachineStarted'] === 1, { what: 'the database' });
    await other.close();
    await unreachable.close();
    await nowhere.close();
  });

  it('of a write that nobody knows the end of are told, those of one that was refused are not', async () => {
    const stale = { ...tenant, metadata: { ...tenant.metadata, resourceVersion: '1' } };
    await expect(subject.store.updateStatus({ ...stale, status: {} }, [failed])).rejects.toThrow();
    // The answer is cut off: the server has written it.
    const { client } = subject;
    const other = await subject.another({
      client: {
        ...client,
        async call(call) {
          const answer = await client.call(call);
          if (!call.path.includes('/status')) return answer;
          subject.proxy.cut();
          return client.call({ method: 'GET', path: '/version', timeoutMs: 0 });
        },
      },
    });
    const lost = other.tenants.updateStatus({ ...tenant, status: { hostname: 'c.test' } }, [started]);
    await expect(lost).rejects.toMatchObject({ kind: 'unavailable', ambiguous: true });
    await reachCluster({ MachineStarted: 1 });
    await other.close();
  });

  it('need no right: without it everything else goes on', async () => {
    const token = await accountWith(
      subject.cluster,
      (await daemonRights()).filter(({ resources }) => !resources.includes('events')),
    );
    const client = await clientOf(await subject.cluster.kubeconfigFor({ token }));
    const registry = new Registry();
    const weak = await subject.another({ client, metrics: registry });
    await weak.tenants.updateStatus({ ...tenant, status: { hostname: 'd.test' } }, [started]);
    await eventually(async () => (await inDatabase())['MachineStarted'] === 1, { what: 'the database' });
    await eventually(
      async () =>
        (await registry.metrics()).includes('landlord_events_dropped_total{place="cluster",why="refused"} 1'),
      { what: 'the refusal to be counted' },
    );
    await weak.close();
    await client.close();
  });

  it('are few in the cluster, however much a tenant has to tell, and all in the database up to its own bound', async () => {
    const many = Array.from({ length: 50 }, (_, index) => ({ ...started, reason: `Reason${index}` }));
    await tell(many.slice(0, 40));
    await tell(many.slice(40));
    await tell(many.map(({ reason, ...rest }) => ({ ...rest, reason: `More${reason}` })));
    await eventually(async () => Object.keys(await inDatabase()).length === 100, { what: 'the database' });
    await eventually(async () => (await inCluster()).length === 50, { what: 'the cluster' });
    const last = await subject.store.create({ metadata: { namespace, name: 'b' }, spec });
    await subject.store.updateStatus({ ...last, status: { hostname: 'x.test' } }, [failed]);
    await eventually(async () => 'StepFailed' in (await counts()), { what: 'another tenant’s event' });
    expect(await inCluster()).toHaveLength(51);
  });
});
