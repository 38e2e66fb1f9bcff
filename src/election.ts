/**
 * What is this replica called, where does it meet the others, and with what means does it act? All that is changed in
 * the name of a tenant goes through the means that are made here, each of which asks for the permit first.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { HealthCheck } from './api/dependencies.ts';
import type { Config } from './config.ts';
import type { LeaseBackend } from './controller/leases/backend.ts';
import { createElector, type Elector } from './controller/leases/elector.ts';
import type { Database } from './database/connection.ts';
import type { TenantDatabasesPool } from './database/tenant-databases.ts';
import type { FlyClient } from './fly/client.ts';
import { createPostgresLeases } from './leases/postgres.ts';
import type { LoopOptions } from './loop.ts';
import { permittedStore } from './reconcilers/tenant/permitted-store.ts';
import type { ResourceOptions } from './resources.ts';
import type { TenantStore } from './store/store.ts';
import type { Vault } from './vault/vault.ts';

/** A database of one's own, in a folder of one's own: whoever had this name before was a daemon that is dead. */
const ALONE = 'alone';

/**
 * What this process is called among the replicas; no other one that lives has the name. With an embedded database it
 * is the same after every start, so that a daemon that was killed need not wait for the end of its own leases.
 */
export function nameReplica({ databaseUrl, store }: Pick<Config, 'databaseUrl' | 'store'>): string {
  if (databaseUrl === undefined && store.kind === 'postgres') return ALONE;
  const host = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-');
  return `${host.replace(/^-|-$/g, '').slice(0, 100)}-${randomBytes(4).toString('hex')}`;
}

/** What a replica acts with. */
export interface Means {
  readonly database: Database;
  readonly databaseUrl: string;
  readonly store: TenantStore;
  /** Where replicas meet; absent: in the database. */
  readonly leases: LeaseBackend | undefined;
  readonly fly: FlyClient;
  readonly databases: TenantDatabasesPool;
  readonly vaultOver: (database: Pick<Database, 'db'>) => Vault;
}

/** Undefined for a replica that acts on nothing. */
export function openElection(options: ResourceOptions, means: Means): LoopOptions['acting'] {
  const { config, replica, clock, log, metrics } = options;
  if (config.role === 'api' || !config.flyEnabled) return undefined;
  const backend = means.leases ?? openDatabaseLeases(options, means);
  const { database, store, fly, databases, vaultOver } = means;
  return {
    elector: createElector({ identity: replica, backend, clock, log, metrics }),
    under: (mayAct) => ({
      store: permittedStore(store, mayAct),
      fly: fly.under(mayAct),
      databases: databases.under(mayAct),
      vault: vaultOver(database.under(mayAct)),
    }),
  };
}

function openDatabaseLeases(
  { clock, log, cleanup }: ResourceOptions,
  { databaseUrl: url }: Means,
): LeaseBackend {
  const leases = createPostgresLeases({ url, clock, log });
  cleanup.add('the connections to the leases', () => leases.close());
  return leases;
}

/** To hold no shard is healthy: such a replica stands by. */
export function leaseHealth({ healthy }: Pick<Elector, 'healthy'>): HealthCheck {
  const message = 'the leases cannot be renewed: this replica acts on no tenant until they can';
  return { name: 'leases', healthy, ...(!healthy && { message }) };
}
