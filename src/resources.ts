/**
 * What does the daemon stand on, and where does it come from? A PostgreSQL, a store and a Fly: those that the operator
 * names, or an embedded server and a simulator that start and stop with the daemon.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Clock } from './clock.ts';
import type { Config, FlyConfig } from './config.ts';
import type { LeaseBackend } from './controller/leases/backend.ts';
import { connect, type Database } from './database/connection.ts';
import { startEmbeddedPostgres } from './database/embedded.ts';
import { migrate } from './database/migrations.ts';
import { createTenantDatabases, type TenantDatabasesPool } from './database/tenant-databases.ts';
import { lockStateDir } from './database/state-lock.ts';
import { openClusterAccess } from './kubernetes/access.ts';
import { createKubernetesClient } from './kubernetes/client.ts';
import { createKubernetesMetrics } from './kubernetes/metrics.ts';
import { createFly, type FlyClient } from './fly/client.ts';
import { createKubernetesLeases } from './leases/kubernetes.ts';
import { createSimulatorServer } from './simulator/server.ts';
import { createKubernetesStore } from './store/kubernetes/kubernetes-store.ts';
import { createPostgresStore } from './store/postgres/postgres-store.ts';
import type { EventStore, Survey, TenantStore } from './store/store.ts';
import { databaseName } from './tenant/names.ts';

/** Tag of the image that the example tenants run. */
const EXAMPLE_TAG = 'hello';

/** Things that were started, to be stopped in the reverse order, each even if another one fails to. */
export interface Cleanup {
  add(what: string, stop: () => Promise<void>): void;
}

export interface ResourceOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly cleanup: Cleanup;
  /** Aborts when the daemon is told to stop before it has started. */
  readonly stopping: AbortSignal;
  /** Name of this replica; no other one that lives has it. */
  readonly replica: string;
}

/** Makes the state folder and takes it for this process. Throws when another daemon holds it. */
export async function openStateDir({ config, cleanup }: ResourceOptions): Promise<void> {
  // Others may pass through, for the embedded server's own user when the daemon runs as root; they may not look.
  await mkdir(config.stateDir, { recursive: true, mode: 0o711 });
  const lock = await lockStateDir(config.stateDir);
  cleanup.add('the state folder', () => lock.release());
}

export interface OpenedDatabase {
  readonly database: Database;
  readonly url: string;
}

/** Connects to a migrated database. */
export async function openDatabase({
  config,
  clock,
  log,
  cleanup,
  stopping,
}: ResourceOptions): Promise<OpenedDatabase> {
  let url = config.databaseUrl;
  if (url === undefined) {
    const embedded = await startEmbeddedPostgres({ stateDir: config.stateDir, log, clock });
    cleanup.add('the embedded PostgreSQL', () => embedded.stop());
    log.info(`embedded PostgreSQL keeps its data in ${embedded.dataDir}`);
    url = embedded.url;
  }
  await migrate({ url, log, signal: stopping });
  const database = connect({ url, log, clock });
  cleanup.add('the database connections', () => database.close());
  return { database, url };
}

export interface OpenedStore {
  readonly tenants: TenantStore;
  readonly events: EventStore;
  /** What kubectl asks beside tenants; absent on a cluster, which answers it itself. */
  readonly survey?: Survey;
  /** Where replicas meet; absent when that is the database. */
  readonly leases?: LeaseBackend;
}

/** Where tenants live: in the database, or on an API server, with their events for REST in the database all the same. */
export async function openStore(options: ResourceOptions, database: Database): Promise<OpenedStore> {
  const { config, clock, log, metrics, cleanup } = options;
  const postgres = createPostgresStore({ database, clock, log });
  cleanup.add('the store', () => postgres.close());
  if (config.store.kind === 'postgres') return postgres;
  const access = await openClusterAccess(config.store);
  const client = createKubernetesClient({ access, clock, metrics: createKubernetesMetrics(metrics) });
  cleanup.add('the connections to the API server', () => client.close());
  const store = createKubernetesStore({ client, events: postgres.events, clock, log, metrics });
  cleanup.add('the events that are left', () => store.close());
  log.info(`tenants live on the Kubernetes API server ${access.origin}`);
  return { ...store, leases: createKubernetesLeases({ api: client, namespace: access.namespace, clock }) };
}

/** Where each tenant gets a database of its own. */
export function openTenantDatabases(
  { config, clock, log, cleanup }: ResourceOptions,
  databaseUrl: string,
): TenantDatabasesPool {
  const adminUrl = config.tenantDatabaseAdminUrl ?? databaseUrl;
  const databases = createTenantDatabases({ adminUrl, nameOf: databaseName, log, clock });
  cleanup.add('the connections to tenant databases', () => databases.close());
  return databases;
}

/** The client of Fly, or of a simulator that is started for it. */
export async function openFly(options: ResourceOptions): Promise<FlyClient> {
  const { config, clock, log, metrics, cleanup, replica } = options;
  const fly = config.fly ?? (await startSimulator(options));
  const client = createFly({ ...fly, orgSlug: config.orgSlug, replica, clock, log, metrics });
  cleanup.add('the connections to Fly', () => client.close());
  return client;
}

async function startSimulator({ config, clock, log, cleanup }: ResourceOptions): Promise<FlyConfig> {
  const simulator = await createSimulatorServer({
    clock,
    port: config.simulator.port,
    latency: config.simulator.latency,
    seed: config.simulator.seed,
    stateFile: join(config.stateDir, 'simulator.json'),
    apps: [config.sharedRegistryApp],
    images: [`${config.sharedRegistryApp}:${EXAMPLE_TAG}`],
    log: (message, error) => log.error({ err: error }, message),
  });
  cleanup.add('the simulated Fly', () => simulator.close());
  log.info(
    `no FLY_API_TOKEN: a simulated Fly listens on ${simulator.url} and keeps its world in the state folder`,
  );
  const { url } = simulator;
  return {
    token: 'simulator',
    apiUrl: url,
    registryUrl: url,
    logsUrl: url,
    prometheusUrl: `${url}/prometheus`,
  };
}
