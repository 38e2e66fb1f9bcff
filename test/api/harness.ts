/**
 * The API on a real PostgreSQL and a simulated Fly, for one test file. What lies outside (the registry, the planner,
 * the health of the process) is a plain variable of the harness; time stands still until a test moves it.
 */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createAccounts, type AccountOptions, type Accounts } from '../../src/accounts/accounts.ts';
import { createApi } from '../../src/api/api.ts';
import { createAuthenticator } from '../../src/api/auth.ts';
import type { HealthView, PlanView, Platform } from '../../src/api/dependencies.ts';
import { systemClock } from '../../src/clock.ts';
import { createFly } from '../../src/fly/client.ts';
import type { Fly } from '../../src/fly/fly.ts';
import { createPlatform } from '../../src/platform.ts';
import { createSimulatorServer, type SimulatorServer } from '../../src/simulator/server.ts';
import { connect, type Database } from '../../src/database/connection.ts';
import { createLedger, type Ledger } from '../../src/ledger/ledger.ts';
import type { RateLimits } from '../../src/api/rate-limit.ts';
import { createPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { createRevisionStore, type RevisionStore } from '../../src/store/revisions.ts';
import type { EventStore, Survey, TenantStore } from '../../src/store/store.ts';
import type { Tenant, TenantStatus } from '../../src/tenant/schema.ts';
import { createVault } from '../../src/vault/postgres-vault.ts';
import type { OwnersVault } from '../../src/vault/vault.ts';
import { createTestDatabase } from '../support/database.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { DEFECT } from '../support/processes.ts';
import { signToken } from '../support/tokens.ts';

export const ROOT = '/apis/cloud.systemprompt.io/v1alpha1';
export const TENANTS = `${ROOT}/namespaces/default/tenants`;
export const REGISTRY = 'registry.example.com';
export const DIGEST = `sha256:${'ab'.repeat(32)}`;

/** Who asks: an operator, a customer by id, or nobody. */
export type Caller = 'operator' | 'nobody' | { readonly customer: string };

export type Method = NonNullable<InjectOptions['method']>;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Parsed JSON; an empty object when there was no body. */
  readonly body: Body;
}

/** All that tests look for in an answer. What an answer really has, each test finds out by comparing. */
export interface Body {
  readonly kind: string;
  readonly metadata: Tenant['metadata'] & { readonly continue?: string };
  readonly spec: Tenant['spec'];
  readonly status: unknown;
  readonly items: readonly Tenant[];
  readonly message: string;
  readonly details: { readonly causes: readonly { field: string; message: string; reason: string }[] };
  readonly error: { readonly code: string; readonly message: string; readonly issues: unknown };
  readonly data: Readonly<Record<string, unknown>>;
  readonly next_cursor: string | undefined;
  readonly url: string;
  readonly checks: readonly unknown[];
}

export interface Outside {
  /** Digest by image reference. */
  images: Map<string, string>;
  /** Thrown by the registry and the planner when set. */
  outage: Error | undefined;
  plan: PlanView;
  health: () => Promise<HealthView>;
}

export interface Harness {
  readonly api: FastifyInstance;
  readonly store: TenantStore;
  readonly events: EventStore;
  readonly revisions: RevisionStore;
  readonly vault: OwnersVault;
  readonly fly: Fly;
  readonly simulator: SimulatorServer;
  /** A call of the simulator's control surface. */
  control(method: string, path: string, body?: object): Promise<void>;
  readonly accounts: Accounts;
  readonly database: Database;
  readonly survey: Survey;
  readonly clock: FakeClock;
  readonly outside: Outside;
  readonly ledger: Ledger;
  /** Everything that was logged, one JSON line each; `close` rejects when a defect is among it that nobody asked for. */
  readonly logged: string[];
  /** To be called by a test that brings about a defect. */
  askForDefect(): void;
  /** Address of the listening socket. */
  readonly url: string;
  token(caller: Exclude<Caller, 'nobody'>): Promise<string>;
  call(
    caller: Caller,
    method: Method,
    url: string,
    options?: { body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>;
  /** Creates a tenant straight in the store. */
  seed(
    name: string,
    parts?: { owner?: string; spec?: object; finalizers?: string[]; labels?: Record<string, string> },
  ): Promise<Tenant>;
  /** Writes a status as the loop does. */
  report(tenant: Pick<Tenant, 'metadata'>, status: TenantStatus): Promise<Tenant>;
  /** Forgets every change but the last one. */
  compact(): Promise<void>;
  close(): Promise<void>;
}

/** Signs every token of these tests. */
export const SECRET = 'a-secret-of-at-least-thirty-two-bytes';

export async function openHarness(
  options: {
    random?: () => number;
    limits?: Partial<RateLimits>;
    corsOrigins?: string[];
    /** Peers whose word about addresses counts. */
    trustsProxy?: (address: string) => boolean;
    /** Instead of a database of the test's own. */
    databaseUrl?: string;
    cloudEnabled?: boolean;
    /** Instead of the simulated Fly as it is. */
    platform?: (real: Platform) => Platform;
    providers?: AccountOptions['providers'];
    billing?: AccountOptions['billing'];
    /** Verified addresses of operators. */
    operators?: readonly string[];
  } = {},
): Promise<Harness> {
  const testDatabase = options.databaseUrl === undefined ? await createTestDatabase() : undefined;
  const clock = createFakeClock(options);
  const logged: string[] = [];
  let asked = 0;
  const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) });
  const database =
    testDatabase?.database ?? connect({ url: options.databaseUrl ?? '', log, clock: systemClock });
  const stores = createPostgresStore({
    database,
    // Its polls and bookmarks are not what the tests of the API move time for.
    clock: systemClock,
    log,
    retention: { keepChanges: 1, keepChangesMs: 0 },
  });
  const metrics = new Registry();
  const ledger = createLedger({
    database,
    clock: systemClock,
    log,
    metrics,
    keys: [{ id: 'test', key: Buffer.alloc(32, 7) }],
    keepAuditDays: 30,
    keepRequestsDays: 14,
  });
  const outside: Outside = {
    images: new Map(),
    outage: undefined,
    plan: { generation: 1, steps: [], waits: [], problems: [], converged: true },
    health: async () => ({ healthy: true, checks: [{ name: 'database', healthy: true }] }),
  };
  const revisions = createRevisionStore({ database, clock });
  const vault = createVault({ database, keys: [{ id: 'test', key: randomBytes(32) }], clock });
  // Fly lives in the time of the test, where nothing refills a rate limit; its client times out in real time.
  // Its proxy never looks for idle machines, so that it has no timers which tests would count.
  const simulator = await createSimulatorServer({
    clock,
    latency: 0,
    rateLimits: false,
    autostopEveryMs: 0,
    apps: ['images'],
  });
  const { url: flyUrl } = simulator;
  const fly = createFly({
    apiUrl: flyUrl,
    registryUrl: flyUrl,
    logsUrl: flyUrl,
    prometheusUrl: `${flyUrl}/prometheus`,
    token: 'any',
    orgSlug: 'systemprompt',
    clock: systemClock,
  });
  const ask =
    <T>(answer: () => T) =>
    async () => {
      if (outside.outage) throw outside.outage;
      return answer();
    };
  let url = '';
  const accounts = createAccounts({
    database,
    encryptionKeys: [{ id: 'test', key: new Uint8Array(32).fill(7) }],
    settings: {
      publicUrl: () => url,
      redirectHosts: ['app.example.com'],
      regions: ['iad', 'lhr'],
      operators: options.operators ?? [],
    },
    providers: options.providers ?? new Map(),
    billing: options.billing,
    clock,
    log,
  });
  const api = createApi({
    accounts,
    maskedDatabaseUrl: (uid) => `postgresql://${uid}:********@db.example.com/${uid}`,
    store: stores.tenants,
    events: stores.events,
    revisions,
    vault,
    platform: (options.platform ?? ((real) => real))(createPlatform({ fly, sharedRegistryApp: 'images' })),
    databaseUrls: (uid, password) => ({
      internal: `postgresql://sp_${uid}:${password}@db.internal/sp_${uid}`,
      external: `postgresql://sp_${uid}:${password}@db.example.com/sp_${uid}?sslmode=require`,
    }),
    cloudEnabled: options.cloudEnabled ?? true,
    auth: createAuthenticator({
      key: { kind: 'secret', secret: SECRET },
      issuer: 'landlord',
      own: accounts,
      clock,
    }),
    clock,
    log,
    registryHost: REGISTRY,
    sharedRegistryApp: 'images',
    subdomainSuffix: 'tenants.example.com',
    resolveImage: (reference) => ask(() => outside.images.get(reference))(),
    planTenant: ask(() => outside.plan),
    health: () => outside.health(),
    metrics,
    ledger,
    // Time stands still here, and with it the limits: a test that is about them sets its own.
    limits: { readsPerMinute: 1e6, writesPerMinute: 1e6, anonymousPerMinute: 1e6, ...options.limits },
    trustsProxy: options.trustsProxy ?? (() => false),
    corsOrigins: options.corsOrigins ?? [],
  });
  await api.listen({ host: '127.0.0.1', port: 0 });
  const { port } = api.server.address() as AddressInfo;
  url = `http://127.0.0.1:${port}`;

  const token = (caller: Exclude<Caller, 'nobody'>) =>
    signToken({
      secret: SECRET,
      issuer: 'landlord',
      identity:
        caller === 'operator'
          ? { role: 'operator', subject: 'olga' }
          : { role: 'customer', subject: 'carl', customer: caller.customer },
      lifetimeSeconds: 86_400,
      clock,
    });

  return {
    api,
    store: stores.tenants,
    events: stores.events,
    revisions,
    vault,
    fly,
    simulator,
    async control(method, path, body) {
      const response = await fetch(`${flyUrl}/_simulator${path}`, {
        method,
        ...(body !== undefined && {
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }),
      });
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    },
    accounts,
    database,
    survey: stores.survey,
    clock,
    outside,
    ledger,
    logged,
    askForDefect: () => void (asked += 1),
    url,
    token,
    async call(caller, method, url, { body, headers = {} } = {}) {
      const answer = await api.inject({
        method,
        url,
        headers: {
          ...(caller !== 'nobody' && { authorization: `Bearer ${await token(caller)}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      return {
        status: answer.statusCode,
        headers: answer.headers,
        body: JSON.parse(answer.body === '' ? '{}' : answer.body) as Body,
      };
    },
    seed: (name, { owner = 'ctm_1', spec = {}, finalizers = [], labels = {} } = {}) =>
      stores.tenants.create({
        metadata: { namespace: 'default', name, finalizers, labels },
        spec: { owner, region: 'iad', ...spec },
      }),
    report: ({ metadata }, status) => stores.tenants.updateStatus({ metadata, status }),
    compact: () => stores.compact(),
    async close() {
      await api.close();
      await ledger.close();
      await fly.close();
      await simulator.close();
      await stores.close();
      await (testDatabase?.drop() ?? database.close());
      const defects = logged.filter((line) => line.includes(DEFECT));
      if (defects.length !== asked)
        throw new Error(
          `${defects.length} requests met a defect, asked for were ${asked}: ${defects.join(' ')}`,
        );
    },
  };
}

/** A Tenant as a client writes it. */
export function manifest(
  name: string,
  parts: { metadata?: object; spec?: object; status?: object } = {},
): object {
  return {
    apiVersion: 'cloud.systemprompt.io/v1alpha1',
    kind: 'Tenant',
    metadata: { name, ...parts.metadata },
    spec: { owner: 'ctm_1', region: 'iad', ...parts.spec },
    ...(parts.status && { status: parts.status }),
  };
}
