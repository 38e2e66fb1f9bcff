/**
 * How does the daemon start and stop? This is the composition root: it builds every part in the order in which
 * they stand on each other, and takes them down in the reverse one. A start that fails half-way leaves nothing.
 */
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { createApi } from './api/api.ts';
import { createAuthenticator, signToken, type Identity } from './api/auth.ts';
import type { HealthView } from './api/dependencies.ts';
import { systemClock } from './clock.ts';
import type { Config, EncryptionKey } from './config.ts';
import { createRuntimeMetrics } from './controller/metrics.ts';
import type { Database } from './database/connection.ts';
import { createTenantDatabases } from './database/tenant-databases.ts';
import { applyExamples, developmentKeys, writeCredentials } from './development.ts';
import type { Fly } from './fly/fly.ts';
import { createLedger, type Ledger } from './ledger/ledger.ts';
import { createOpenSearchSink } from './ledger/opensearch.ts';
import { createLoop, type Loop } from './loop.ts';
import { previewPlan } from './reconcilers/tenant/plan-view.ts';
import { openDatabase, openFly, openStateDir, type Cleanup, type ResourceOptions } from './resources.ts';
import { createPostgresStore } from './store/postgres/postgres-store.ts';
import type { TenantStore } from './store/store.ts';
import { parseImage } from './tenant/image.ts';
import { databaseName, FINALIZER } from './tenant/names.ts';
import { createVault } from './vault/postgres-vault.ts';

/** How long running passes may take to end when the daemon is told to stop. */
const STOP_DEADLINE_MS = 10_000;
/** How long a database may take to answer a health check. */
const PING_TIMEOUT_MS = 2_000;
/** Development tokens outlive any development run that anybody remembers. */
const TOKEN_LIFETIME_SECONDS = 365 * 24 * 3_600;
const EXAMPLES = new URL('../examples/tenants.yaml', import.meta.url);
/** The customer who owns the example tenants. */
const EXAMPLE_CUSTOMER = 'ctm_example';

export interface Daemon {
  /** Where the API listens. */
  readonly url: string;
  /** Stops taking work, lets running passes end, and closes everything. */
  stop(): Promise<void>;
}

/** Starts everything. Rejects with one error that says what failed; whatever was started by then is stopped. */
export async function startDaemon(config: Config, log: Logger): Promise<Daemon> {
  const cleanup = createCleanup(log);
  try {
    const url = await build({ config, log, cleanup, clock: systemClock, metrics: new Registry() });
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
  const store = createPostgresStore({ database, clock, log });
  cleanup.add('the store', () => store.close());
  const ledger = openLedger(options, { database, keys: config.encryptionKeys ?? keys?.encryptionKeys ?? [] });
  const vault = createVault({ database, keys: config.encryptionKeys ?? keys?.encryptionKeys ?? [], clock });
  const databases = createTenantDatabases({
    adminUrl: config.tenantDatabaseAdminUrl ?? databaseUrl,
    nameOf: databaseName,
    log,
    clock,
  });
  cleanup.add('the connections to tenant databases', () => databases.close());
  const settings = {
    orgSlug: config.orgSlug,
    registryHost: config.registryHost,
    sharedRegistryApp: config.sharedRegistryApp,
    subdomainSuffix: config.subdomainSuffix,
  };
  const parts = { store: store.tenants, fly, vault, databases, settings, clock, log };
  const loop = createLoop({ ...parts, metrics: createRuntimeMetrics(metrics) });
  const jwtSecret = config.jwt.secret ?? keys?.jwtSecret;
  const api = createApi({
    ...parts,
    ...settings,
    ...config.manners,
    events: store.events,
    ledger,
    metrics,
    auth: createAuthenticator({ key: tokenKey(config, jwtSecret), issuer: config.jwt.issuer, clock }),
    resolveImage: (reference, signal) => resolveImage(fly, reference, signal),
    planTenant: (tenant, signal) =>
      previewPlan({ ...parts, digestUsedElsewhere: loop.digestUsedElsewhere }, tenant, signal),
    health: () => health(database, loop),
  });
  cleanup.add('the API', () => api.close());
  const url = await api.listen({
    host: config.host,
    port: config.port,
    listenTextResolver: (address) => `the API listens on ${address}`,
  });
  // Before the loop starts, which is what turns /readyz green: whoever waits for that may read the file at once.
  if (keys !== undefined && jwtSecret !== undefined) await introduce(options, { jwtSecret, url });
  loop.start();
  cleanup.add('the control loop', () => loop.stop(STOP_DEADLINE_MS));
  if (keys !== undefined && config.fly === undefined) await showExamples(store.tenants, log);
  return url;
}

/** What is kept of requests; with an OpenSearch, there as well. */
function openLedger(
  { config, clock, log, metrics, cleanup }: ResourceOptions,
  { database, keys }: { readonly database: Database; readonly keys: readonly EncryptionKey[] },
): Ledger {
  const { openSearch, keepAuditDays, keepRequestsDays } = config.manners;
  const sink = openSearch && createOpenSearchSink(openSearch);
  if (sink !== undefined) cleanup.add('the connection to OpenSearch', () => sink.close());
  const options = { database, clock, log, metrics, keys, keepAuditDays, keepRequestsDays };
  const ledger = createLedger({ ...options, ...(sink && { sink }) });
  cleanup.add('the ledger of requests', () => ledger.close());
  return ledger;
}

function tokenKey(
  config: Config,
  secret: string | undefined,
): Parameters<typeof createAuthenticator>[0]['key'] {
  if (config.jwt.jwksUrl !== undefined) return { kind: 'jwks', url: config.jwt.jwksUrl };
  return { kind: 'secret', secret: secret ?? '' };
}

async function resolveImage(fly: Fly, text: string, signal: AbortSignal): Promise<string | undefined> {
  const image = parseImage(text);
  if (image === undefined) return undefined;
  const { registry, repository, tag, digest } = image;
  return fly.registry.resolve({ registry, repository, reference: digest ?? tag ?? 'latest' }, signal);
}

async function health(database: Database, { tenants }: Loop): Promise<HealthView> {
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
  ];
  return { healthy: checks.every((check) => check.healthy), checks };
}

/** Writes credentials for people and scripts; only a development run has a key of its own to sign them with. */
async function introduce(
  { config, clock, log }: ResourceOptions,
  { jwtSecret, url }: { readonly jwtSecret: string; readonly url: string },
): Promise<void> {
  const sign = (identity: Identity): Promise<string> =>
    signToken({
      secret: jwtSecret,
      issuer: config.jwt.issuer,
      identity,
      lifetimeSeconds: TOKEN_LIFETIME_SECONDS,
      clock,
    });
  const file = await writeCredentials(config.stateDir, {
    api_url: url,
    operator_token: await sign({ role: 'operator', subject: 'development-operator' }),
    customer_token: await sign({
      role: 'customer',
      subject: 'development-customer',
      customer: EXAMPLE_CUSTOMER,
    }),
  });
  log.info(`credentials for this run are in ${file}`);
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
