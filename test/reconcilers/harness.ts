/**
 * The whole loop in one process: the real store and tenant databases on a real PostgreSQL, the real vault and Fly
 * client, and the simulator over HTTP. Only time may run faster than it does outside.
 */
import { randomBytes } from 'node:crypto';
import { Registry } from 'prom-client';
import type { Clock } from '../../src/clock.ts';
import { systemClock } from '../../src/clock.ts';
import { createRuntimeMetrics } from '../../src/controller/metrics.ts';
import { createTenantDatabases } from '../../src/database/tenant-databases.ts';
import { createFly } from '../../src/fly/client.ts';
import type { Fly } from '../../src/fly/fly.ts';
import { createLoop, type Loop } from '../../src/loop.ts';
import { previewPlan, type TenantPlanView } from '../../src/reconcilers/tenant/plan-view.ts';
import { createSimulatorServer, type SimulatorServer } from '../../src/simulator/server.ts';
import { createPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import type { EventStore, StoredEvent, TenantStore } from '../../src/store/store.ts';
import { databaseName, FINALIZER } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { createVault } from '../../src/vault/postgres-vault.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { createTestDatabase, silentLog, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

export const IMAGE = 'registry.fly.io/systemprompt-images:hello';
const settings = {
  orgSlug: 'systemprompt',
  registryHost: 'registry.fly.io',
  sharedRegistryApp: 'systemprompt-images',
  subdomainSuffix: 'tenants.test',
};

/** Time that runs `factor` times faster than outside, so that minutes of patience take seconds. */
export function fastClock(factor: number): Clock {
  const start = systemClock.now();
  return {
    now: () => Math.round(start + (systemClock.now() - start) * factor),
    random: () => systemClock.random(),
    setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / factor, callback),
  };
}

export interface LoggedCall {
  readonly sequence: number;
  readonly operation: string;
  readonly method: string;
  readonly app?: string;
  readonly status: number | null;
}

export interface Harness {
  readonly test: TestDatabase;
  readonly store: TenantStore;
  readonly events: EventStore;
  readonly fly: Fly;
  readonly vault: Vault;
  readonly simulator: SimulatorServer;
  readonly clock: Clock;
  loop: Loop;
  /** A second loop over the same world, as after a crash; the first one must be stopped. */
  restartLoop(): Promise<void>;
  create(name: string, spec?: Record<string, unknown>): Promise<Tenant>;
  edit(name: string, spec: Record<string, unknown>): Promise<Tenant>;
  get(name: string): Promise<Tenant | undefined>;
  waitFor(name: string, what: string, test: (tenant: Tenant) => boolean): Promise<Tenant>;
  /** Until the newest generation is in the phase. */
  phase(name: string, phase: string): Promise<Tenant>;
  gone(name: string): Promise<void>;
  plan(tenant: Tenant): Promise<TenantPlanView>;
  eventsOf(tenant: Tenant): Promise<StoredEvent[]>;
  control<T>(method: string, path: string, body?: unknown): Promise<T>;
  app(tenant: Tenant): Promise<SimulatedApp | undefined>;
  /** Calls that Fly has seen. */
  calls(): Promise<LoggedCall[]>;
  /** Those that were to change something, by operation. */
  writes(tenant?: Tenant): Promise<Record<string, number>>;
  close(): Promise<void>;
}

export interface SimulatedApp {
  readonly machines: {
    id: string;
    state: string;
    instance_id: string;
    versions: string[];
    config: { image: string; guest: { memory_mb: number } };
  }[];
  readonly volumes: { id: string; name: string; state: string; size_gb: number }[];
  readonly addresses: { ip: string; type: string }[];
  readonly certificates: { hostname: string }[];
  readonly secrets: { version: number; names: string[] };
}

export async function createHarness(
  options: { latency?: number; timeFactor?: number } = {},
): Promise<Harness> {
  const clock = fastClock(options.timeFactor ?? 1);
  const log = silentLog();
  const test = await createTestDatabase({ clock });
  const simulator = await createSimulatorServer({
    clock,
    seed: 7,
    latency: options.latency ?? 0,
    apps: [settings.sharedRegistryApp],
  });
  const { url } = simulator;
  const fly = createFly({
    apiUrl: url,
    registryUrl: url,
    logsUrl: url,
    prometheusUrl: `${url}/prometheus`,
    token: 'any',
    orgSlug: settings.orgSlug,
    clock,
  });
  const postgres = createPostgresStore({ database: test.database, clock, log });
  const { tenants: store, events } = postgres;
  const vault = createVault({ database: test.database, keys: [{ id: 'test', key: randomBytes(32) }], clock });
  const databases = createTenantDatabases({ adminUrl: test.url, nameOf: databaseName, log, clock });
  const parts = { store, fly, vault, databases, settings, clock, log };
  const newLoop = (): Loop => createLoop({ ...parts, metrics: createRuntimeMetrics(new Registry()) });
  const named = (name: string) => ({ namespace: 'default', name });

  const harness: Harness = {
    test,
    store,
    events,
    fly,
    vault,
    simulator,
    clock,
    loop: newLoop(),
    async restartLoop() {
      await harness.loop.stop(0);
      harness.loop = newLoop();
      harness.loop.start();
    },
    create: (name, spec = {}) =>
      store.create({
        metadata: { ...named(name), finalizers: [FINALIZER] },
        spec: { owner: 'ctm_1', region: 'iad', image: IMAGE, ...spec },
      }),
    async edit(name, spec) {
      const tenant = await store.get(named(name));
      if (tenant === undefined) throw new Error(`there is no tenant ${name}`);
      return store.update({ ...tenant, spec: { ...tenant.spec, ...spec } });
    },
    get: (name) => store.get(named(name)),
    waitFor: (name, what, holds) =>
      eventually(
        async () => {
          const tenant = await store.get(named(name));
          return tenant !== undefined && holds(tenant) ? tenant : undefined;
        },
        { what: `tenant ${name} to ${what}` },
      ),
    phase: (name, phase) =>
      harness.waitFor(
        name,
        `be ${phase}`,
        ({ status, metadata }) =>
          status?.phase === phase && status.observedGeneration === metadata.generation,
      ),
    async gone(name) {
      await eventually(async () => (await store.get(named(name))) === undefined, {
        what: `tenant ${name} to be gone`,
      });
    },
    plan: (tenant) =>
      previewPlan({ ...parts, digestUsedElsewhere: () => false }, tenant, AbortSignal.timeout(10_000)),
    eventsOf: (tenant) => events.list(tenant.metadata.uid),
    async control<T>(method: string, path: string, body?: unknown) {
      const response = await fetch(`${url}/_simulator${path}`, {
        method,
        ...(body !== undefined && {
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return (text === '' ? undefined : JSON.parse(text)) as T;
    },
    async app(tenant) {
      const { apps } = await harness.control<{ apps: Record<string, SimulatedApp> }>('GET', '/world');
      return apps[`sp-${tenant.metadata.uid}`];
    },
    calls: async () => (await harness.control<{ calls: LoggedCall[] }>('GET', '/calls')).calls,
    async writes(tenant) {
      const made: Record<string, number> = {};
      for (const { operation, method, app } of await harness.calls()) {
        const ours = tenant === undefined || app === `sp-${tenant.metadata.uid}`;
        if (ours && method !== 'GET' && method !== 'HEAD') made[operation] = (made[operation] ?? 0) + 1;
      }
      return made;
    },
    async close() {
      await harness.loop.stop(5_000);
      await fly.close();
      await postgres.close();
      const uids = await test.query<{ uid: string }>('SELECT uid FROM vault_tenants').catch(() => []);
      for (const { uid } of uids) await databases.drop(uid);
      await databases.close();
      await simulator.close();
      await test.drop();
    },
  };
  await harness.control('POST', '/registry', { repository: settings.sharedRegistryApp, tag: 'hello' });
  harness.loop.start();
  return harness;
}
