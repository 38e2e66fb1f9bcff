/**
 * The kubernetes store on a cluster of its own, with a proxy before the API server that a test can cut, and a real
 * PostgreSQL for its events.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { Registry } from 'prom-client';
import type { Logger } from 'pino';
import { parse } from 'yaml';
import { z } from 'zod';
import { systemClock } from '../../../src/clock.ts';
import type { KubernetesClient } from '../../../src/kubernetes/client.ts';
import {
  createKubernetesStore,
  type KubernetesStore,
  type KubernetesStoreOptions,
} from '../../../src/store/kubernetes/kubernetes-store.ts';
import { createPostgresStore } from '../../../src/store/postgres/postgres-store.ts';
import type { EventStore, TenantStore } from '../../../src/store/store.ts';
import { startCluster, type Cluster } from '../../cluster/cluster.ts';
import { installDefinition } from '../../cluster/tenants.ts';
import { clientOf } from '../../kubernetes/client-of.ts';
import { startCuttableProxy, type CuttableProxy } from '../../support/cuttable-proxy.ts';
import { createTestDatabase, silentLog, type TestDatabase } from '../../support/database.ts';
import type { StoreUnderTest } from '../contract.ts';

export interface KubernetesSubject extends StoreUnderTest {
  readonly store: TenantStore;
  readonly events: EventStore;
  readonly cluster: Cluster;
  readonly client: KubernetesClient;
  readonly database: TestDatabase;
  /** Before the API server, for the store's own connections alone. */
  readonly proxy: CuttableProxy;
  readonly registry: Registry;
  /** The event store of PostgreSQL by itself. */
  readonly plainEvents: EventStore;
  /** Another store on the same cluster, as a second replica would have; the caller closes it. */
  another(options?: Partial<KubernetesStoreOptions>): Promise<KubernetesStore>;
}

export async function startKubernetesStore(
  options: { readonly log?: Logger; readonly watchLifetimeMs?: number } = {},
): Promise<KubernetesSubject> {
  const cluster = await startCluster();
  await installDefinition(cluster);
  const proxy = await startCuttableProxy({ port: Number(new URL(cluster.url).port) });
  const client = await clientOf(await kubeconfigThrough(cluster, proxy));
  const database = await createTestDatabase();
  const log = options.log ?? silentLog();
  const registry = new Registry();
  const postgres = createPostgresStore({ database: database.database, clock: systemClock, log });
  const common = { client, events: postgres.events, clock: systemClock, log };
  const store = createKubernetesStore({ ...common, ...options, log, metrics: registry });
  let namespaces = 0;
  return {
    store: store.tenants,
    events: store.events,
    cluster,
    client,
    database,
    proxy,
    registry,
    plainEvents: postgres.events,
    another: (more = {}) =>
      Promise.resolve(createKubernetesStore({ ...common, metrics: new Registry(), ...more })),
    async newNamespace() {
      const name = `case-${(namespaces += 1)}`;
      const body = { metadata: { name } };
      await cluster.request({ method: 'POST', path: '/api/v1/namespaces', body });
      return name;
    },
    async forgetHistory() {
      await cluster.compact();
      // Its watch cache would still remember.
      await cluster.restartApiServer();
    },
    cutConnections() {
      proxy.cut();
      return Promise.resolve();
    },
    async stop() {
      await store.close();
      await postgres.close();
      await client.close();
      await proxy.close();
      await cluster.stop();
      await database.drop();
    },
  };
}

const kubeconfigSchema = z.object({ clusters: z.tuple([z.object({ cluster: z.looseObject({}) })]) });

/** The administrator's kubeconfig, with the proxy in the server's place: its certificate names the same address. */
async function kubeconfigThrough(cluster: Cluster, { port }: CuttableProxy): Promise<string> {
  const config: unknown = parse(await readFile(cluster.adminKubeconfig, 'utf8'));
  const { clusters } = kubeconfigSchema.parse(config);
  clusters[0].cluster['server'] = `https://127.0.0.1:${port}`;
  const path = `${cluster.adminKubeconfig}.proxy`;
  await writeFile(
    path,
    JSON.stringify({ ...(config as object), clusters: [{ name: 'test', ...clusters[0] }] }),
  );
  return path;
}
