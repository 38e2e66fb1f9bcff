/**
 * How does the daemon start and stop? This is the composition root: it builds every part in the order in which
 * they stand on each other, and takes them down in the reverse one. A start that fails half-way leaves nothing.
 */
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { introduceDeveloper, openAccounts } from './account-resources.ts';
import type { Accounts } from './accounts/accounts.ts';
import { createApi } from './api/api.ts';
import { createAuthenticator, type TokenKey } from './api/auth.ts';
import type { HealthView } from './api/dependencies.ts';
import { createBillingLoop, type BillingLoopOptions } from './billing-loop.ts';
import { systemClock } from './clock.ts';
import type { Config } from './config.ts';
import type { Elector } from './controller/leases/elector.ts';
import { createRuntimeMetrics } from './controller/metrics.ts';
import type { Database } from './database/connection.ts';
import { applyExamples, developmentKeys } from './development.ts';
import { leaseHealth, nameReplica, openElection } from './election.ts';
import type { Fly } from './fly/fly.ts';
import { openKubectlDoor, writeKubeconfig, type KubectlDoor } from './kubectl.ts';
import { openLedger } from './ledger-resources.ts';
import { createLoop, type Loop } from './loop.ts';
import { tenantDoors } from './platform.ts';
import { previewPlan } from './reconcilers/tenant/plan-view.ts';
import type { TenantSettings } from './reconcilers/tenant/settings.ts';
import {
  openDatabase,
  openFly,
  openStateDir,
  openStore,
  openTenantDatabases,
  type Cleanup,
  type ResourceOptions,
} from './resources.ts';
import type { TenantStore } from './store/store.ts';
import { parseImage } from './tenant/image.ts';
import { FINALIZER } from './tenant/names.ts';
import { createVault } from './vault/postgres-vault.ts';

/** How long running passes may take to end when the daemon is told to stop. */
const STOP_DEADLINE_MS = 10_000;
/** How long a database may take to answer a health check. */
const PING_TIMEOUT_MS = 2_000;
/** What stands for a tenant's database password wherever it is only shown; clients know a mask by its stars. */
const PASSWORD_MASK = '********';
const EXAMPLES = new URL('../examples/tenants.yaml', import.meta.url);

export interface Daemon {
  /** Where the API listens. */
  readonly url: string;
  /** Stops taking work, lets running passes end, and closes everything. */
  stop(): Promise<void>;
}

/**
 * Starts everything. Rejects with one error that says what failed, or with the signal's reason when that ends a wait of
 * the start; whatever was started by then is stopped.
 */
export async function startDaemon(config: Config, log: Logger, stopping: AbortSignal): Promise<Daemon> {
  const cleanup = createCleanup(log);
  try {
    const replica = nameReplica(config);
    const options = { config, log, cleanup, stopping, replica, clock: systemClock, metrics: new Registry() };
    const url = await build(options);
    return { url, stop: () => cleanup.run() };
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

async function build(options: ResourceOptions): Promise<string> {
  const { config, clock, log, metrics, cleanup } = options;
  if (!config.production) await openStateDir(options);
  const keys = config.production ? undefined : await developmentKeys(config.stateDir);
  const { database, url: databaseUrl } = await openDatabase(options);
  const fly = await openFly(options);
  const store = await openStore(options, database);
  const encryptionKeys = config.encryptionKeys ?? keys?.encryptionKeys ?? [];
  const vaultOver = (over: Pick<Database, 'db'>) =>
    createVault({ database: { db: over.db, listen: database.listen }, keys: encryptionKeys, clock });
  const vault = vaultOver(database);
  const databases = openTenantDatabases(options, databaseUrl);
  const settings = settingsOf(config);
  const parts = { store: store.tenants, fly, vault, databases, settings, clock, log };
  const { tenants, leases, survey } = store;
  const means = { database, databaseUrl, store: tenants, leases, fly, databases, vaultOver };
  const acting = openElection(options, means);
  const runtimeMetrics = createRuntimeMetrics(metrics);
  const loop = createLoop({ ...parts, metrics: runtimeMetrics, ...(acting !== undefined && { acting }) });
  let url = '';
  const accounts = await openAccounts({ ...options, database, encryptionKeys, url: () => url });
  const doors = {
    ...config.manners,
    ledger: openLedger(options, { database, keys: encryptionKeys }),
    store: store.tenants,
    events: store.events,
    clock,
    log,
    metrics,
    auth: createAuthenticator({ key: tokenKey(config), issuer: config.jwt.issuer, own: accounts, clock }),
    health: () => health(database, loop, acting?.elector),
  };
  const api = createApi({
    ...doors,
    ...settings,
    accounts,
    maskedDatabaseUrl: (uid) => databases.url(uid, PASSWORD_MASK),
    resolveImage: (reference, signal) => resolveImage(fly, reference, signal),
    planTenant: (tenant, signal) =>
      previewPlan({ ...parts, digestUsedElsewhere: loop.digestUsedElsewhere }, tenant, signal),
    ...tenantDoors({ ...options, database, databases, fly, vault }),
    probesOnly: config.role === 'controller',
  });
  cleanup.add('the API', () => api.close());
  url = await api.listen({
    host: config.host,
    port: config.port,
    listenTextResolver: (address) => `the API listens on ${address}`,
  });
  const served = config.role === 'controller' ? undefined : survey;
  const kubectl = served && (await openKubectlDoor(options, { ...doors, survey: served }));
  // Before the loop starts, which is what turns /readyz green: whoever waits for that may read the file at once.
  if (keys !== undefined) await introduce(options, { accounts, url, kubectl });
  loop.start();
  cleanup.add('the control loop', () => loop.stop(STOP_DEADLINE_MS));
  if (config.role !== 'api')
    startBilling(cleanup, {
      ...doors,
      accounts,
      tenants: loop.tenants,
      metrics: runtimeMetrics,
      listen: database.listen,
    });
  // A cluster is somebody's: nothing is put there unasked.
  const ours = keys !== undefined && config.fly === undefined && config.store.kind === 'postgres';
  if (ours) await showExamples(store.tenants, log);
  return url;
}

function settingsOf({ orgSlug, registryHost, sharedRegistryApp, subdomainSuffix }: Config): TenantSettings {
  return { orgSlug, registryHost, sharedRegistryApp, subdomainSuffix };
}

/** Where nothing can be bought, nothing follows from what was. */
function startBilling(
  cleanup: Cleanup,
  options: Omit<BillingLoopOptions, 'billing'> & { readonly accounts: Accounts },
): void {
  const { billing } = options.accounts;
  if (billing === undefined) return;
  const loop = createBillingLoop({ ...options, billing });
  loop.start();
  cleanup.add('the billing loop', () => loop.stop(STOP_DEADLINE_MS));
}

/** Tokens for people, scripts and kubectl; only a development run hands them out unasked. */
async function introduce(
  options: ResourceOptions,
  parts: { readonly accounts: Accounts; readonly url: string; readonly kubectl: KubectlDoor | undefined },
): Promise<void> {
  const token = await introduceDeveloper({ ...options, ...parts });
  if (parts.kubectl === undefined) return;
  const kubeconfig = await writeKubeconfig(options.config.stateDir, { ...parts.kubectl, token });
  options.log.info(`kubectl works with KUBECONFIG=${kubeconfig}`);
}

/** Of the issuer outside, where there is one. */
function tokenKey({ jwt }: Config): TokenKey | undefined {
  if (jwt.jwksUrl !== undefined) return { kind: 'jwks', url: jwt.jwksUrl };
  return jwt.secret === undefined ? undefined : { kind: 'secret', secret: jwt.secret };
}

async function resolveImage(fly: Fly, text: string, signal: AbortSignal): Promise<string | undefined> {
  const image = parseImage(text);
  if (image === undefined) return undefined;
  const { registry, repository, tag, digest } = image;
  return fly.registry.resolve({ registry, repository, reference: digest ?? tag ?? 'latest' }, signal);
}

async function health(
  database: Database,
  { tenants }: Loop,
  elector: Elector | undefined,
): Promise<HealthView> {
  const reachable = await database.ping(AbortSignal.timeout(PING_TIMEOUT_MS)).then(
    () => true,
    () => false,
  );
  const checks = [
    { name: 'database', healthy: reachable, ...(!reachable && { message: 'the database does not answer' }) },
    {
      name: 'tenant-watch',
      healthy: tenants.healthy,
      ...(!tenants.healthy && { message: 'the watch on tenants is down; it is being restarted' }),
    },
    ...(elector === undefined ? [] : [leaseHealth(elector)]),
  ];
  return { healthy: checks.every((check) => check.healthy), checks };
}

/** An empty store shows nothing; with a simulated Fly, tenants cost nothing. */
async function showExamples(store: TenantStore, log: Logger): Promise<void> {
  const { items } = await store.list({ limit: 1 });
  if (items.length > 0) return;
  const names = await applyExamples(store, { file: EXAMPLES, finalizer: FINALIZER });
  log.info(`the store is empty: applied examples/tenants.yaml (${names.join(', ')})`);
}

function createCleanup(log: Logger): Cleanup & { run(): Promise<void> } {
  const stops: { what: string; stop: () => Promise<void> }[] = [];
  return {
    add: (what, stop) => void stops.push({ what, stop }),
    async run() {
      for (let next = stops.pop(); next !== undefined; next = stops.pop()) {
        const { what, stop } = next;
        await stop().catch((error: unknown) => log.error({ err: error }, `cannot stop ${what} cleanly`));
      }
    },
  };
}
