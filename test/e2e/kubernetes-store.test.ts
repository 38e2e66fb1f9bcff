import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { findCondition } from '../../src/tenant/conditions.ts';
import { API_VERSION, KIND } from '../../src/tenant/names.ts';
import { tenantSchema, type Tenant } from '../../src/tenant/schema.ts';
import { isForbidden, isWrite } from '../cluster/audit-log.ts';
import { createClusterHouse, type ClusterHouse } from '../cluster/house.ts';
import { describeOnCluster } from '../cluster/on-cluster.ts';
import { isReady } from '../invariants/status.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { call } from '../support/operator.ts';
import { startDaemon, type Daemon } from '../support/processes.ts';

const TENANTS = '/apis/cloud.systemprompt.io/v1alpha1/namespaces/default/tenants';
const EVENTS = '/api/v1/namespaces/default/events';
const TELL_IMPORTS = new URL('fixtures/tell-imports.mjs', import.meta.url).href;
const CLIENT = 'imported @kubernetes/client-node';

const eventsSchema = z.object({
  items: z.array(z.object({ reason: z.string(), involvedObject: z.object({ uid: z.string() }) })),
});

await describeOnCluster('the daemon on a cluster', () => {
  let house: ClusterHouse;
  let daemon: Daemon;

  beforeAll(async () => {
    house = await createClusterHouse({ simulator: { SIMULATOR_LATENCY: '0.1' } });
    daemon = await house.replicas.start({ NODE_OPTIONS: `--import=${TELL_IMPORTS}` });
  });
  afterAll(() => house.stop());

  const look = async (name: string): Promise<Tenant | undefined> => {
    const { status, body } = await house.cluster.request({ path: `${TENANTS}/${name}` });
    return status === 404 ? undefined : tenantSchema.parse(body);
  };
  const reaches = (name: string, phase: string) =>
    eventually(
      async () => {
        const tenant = await look(name);
        return tenant?.status?.phase === phase ? tenant : undefined;
      },
      { what: `${name} to be ${phase}`, during: daemon, timeoutMs: 60_000 },
    );

  it('brings a tenant that is put there where it wants to be', async () => {
    const file = await readFile(new URL('../../examples/tenants.yaml', import.meta.url), 'utf8');
    const [hello] = parseAllDocuments(file).map((document) => z.unknown().parse(document.toJS()));
    expect((await house.cluster.request({ method: 'POST', path: TENANTS, body: hello })).status).toBe(201);
    const tenant = await reaches('hello', 'running');
    expect(tenant.status?.observedGeneration).toBe(tenant.metadata.generation);
    expect(tenant.status?.conditions).toContainEqual(
      expect.objectContaining({
        type: 'Ready',
        status: 'True',
        observedGeneration: tenant.metadata.generation,
      }),
    );
  });

  /** Whether the stream of events comes to speak of it before it ends. */
  const streamUntil = async (word: string, url: string): Promise<boolean> => {
    const headers = { authorization: `Bearer ${daemon.credentials.operator_token}` };
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(30_000) });
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      if (text.includes(word)) return true;
    }
    return false;
  };

  it('tells what happened in both places: to kubectl and over REST', async () => {
    const { metadata } = await reaches('hello', 'running');
    const reasons = await eventually(
      async () => {
        const { items } = eventsSchema.parse((await house.cluster.request({ path: EVENTS })).body);
        const of = items.filter(({ involvedObject }) => involvedObject.uid === metadata.uid);
        return of.some(({ reason }) => reason === 'TenantReady') ? of.map(({ reason }) => reason) : undefined;
      },
      { what: 'the events', during: daemon },
    );
    expect(reasons).toContain('AppCreated');
    expect(await streamUntil('tenant_ready', `${daemon.url}/api/v1/tenants/${metadata.uid}/events`)).toBe(
      true,
    );
  });

  it('carries out what REST accepts, as an edit that the cluster sees', async () => {
    const { metadata } = await reaches('hello', 'running');
    const { status } = await call(`${daemon.url}/api/v1/tenants/${metadata.uid}`, {
      method: 'PATCH',
      token: daemon.credentials.operator_token,
      body: { memory_mb: 1024 },
    });
    expect(status).toBe(202);
    await eventually(
      async () => {
        const tenant = await look('hello');
        return tenant?.spec.memoryMb === 1024 && tenant.status?.machine?.memoryMb === 1024;
      },
      { what: 'the machine to have grown', during: daemon, timeoutMs: 60_000 },
    );
  });

  it('makes one and the same of a wish (D4), whether it comes over REST or to the API server', async () => {
    const token = daemon.credentials.operator_token;
    const image = 'registry.fly.io/systemprompt-images:hello';
    const rest = await call<{ data: { id: string } }>(`${daemon.url}/api/v1/tenants`, {
      ...{ method: 'POST', token },
      body: { name: 'over-rest', owner_customer_id: 'ctm_example', region: 'iad', plan: 'basic', image },
    });
    const spec = { owner: 'ctm_example', region: 'iad', plan: 'basic', image };
    const applied = await house.cluster.request({
      ...{ method: 'POST', path: TENANTS },
      body: { apiVersion: API_VERSION, kind: KIND, metadata: { name: 'over-kube' }, spec },
    });
    expect([rest.status, applied.status]).toEqual([201, 201]);
    await call(`${daemon.url}/api/v1/tenants/${rest.body.data.id}`, {
      ...{ method: 'PATCH', token },
      body: { memory_mb: 1024, volume_gb: 2, env: { LEVEL: 'a' } },
    });
    await house.cluster.request({
      ...{ method: 'PATCH', path: `${TENANTS}/over-kube`, contentType: 'application/merge-patch+json' },
      body: { spec: { memoryMb: 1024, volumeGb: 2, env: { LEVEL: 'a' } } },
    });
    const settled = async (name: string) => {
      const { status } = await eventually(
        async () => {
          const tenant = await look(name);
          const grown = tenant?.status?.machine?.memoryMb === 1024 && isReady(tenant);
          const issued = findCondition(tenant?.status?.conditions, 'CertificateReady')?.status === 'True';
          return grown && issued ? tenant : undefined;
        },
        { what: `${name} to have grown`, during: daemon, timeoutMs: 60_000 },
      );
      // As the server has it, not as a schema puts it in order.
      const { body } = await house.cluster.request({ path: `${TENANTS}/${name}` });
      const { spec } = z.object({ spec: z.unknown() }).parse(body);
      const told = status?.conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`);
      return { spec: JSON.stringify(spec), told };
    };
    expect(await settled('over-rest')).toEqual(await settled('over-kube'));
  }, 120_000);

  it('lets go of a deleted tenant once Fly holds nothing of it', async () => {
    await house.cluster.request({ method: 'DELETE', path: `${TENANTS}/hello` });
    await eventually(async () => (await look('hello')) === undefined, {
      what: 'hello to be gone',
      during: daemon,
      timeoutMs: 60_000,
    });
  });

  it('never asks for a right that it does not have, and writes nothing but tenants, events and its leases', async () => {
    const ours = await house.requests();
    expect(ours.length).toBeGreaterThan(0);
    expect(ours.filter(isForbidden)).toEqual([]);
    const resources = new Set(ours.filter(isWrite).map(({ objectRef }) => objectRef.resource));
    expect([...resources].sort()).toEqual(['events', 'leases', 'tenants']);
  });

  it(
    'loads the Kubernetes client, which a daemon without a cluster never does',
    { timeout: 90_000 },
    async () => {
      expect(daemon.output()).toContain(CLIENT);
      const folder = await mkdtemp(join(tmpdir(), 'landlord-e2e-'));
      const database = await createTestDatabase();
      const other = await startDaemon({
        stateDir: folder,
        simulatorUrl: house.replicas.simulator.url,
        env: { NODE_OPTIONS: `--import=${TELL_IMPORTS}`, DATABASE_URL: database.url },
      });
      try {
        expect(other.output()).toContain('imported pg');
        expect(other.output()).not.toContain(CLIENT);
      } finally {
        await other.stop();
        await database.drop();
        await rm(folder, { recursive: true, force: true });
      }
    },
  );

  // The last one: a server that comes up refuses everything until it knows its roles.
  // A server that ends waits for the watches that are open, and is killed after twenty seconds.
  it(
    'is not ready while the API server is away, and comes back by itself',
    { timeout: 120_000 },
    async () => {
      await house.cluster.stopApiServer();
      const readiness = async () => (await fetch(`${daemon.url}/readyz`)).status;
      await eventually(async () => (await readiness()) === 503, {
        what: '/readyz to be red',
        during: daemon,
      });
      await house.cluster.startApiServer();
      await eventually(async () => (await readiness()) === 200, {
        what: '/readyz to be green',
        during: daemon,
        timeoutMs: 60_000,
      });
    },
  );
});
