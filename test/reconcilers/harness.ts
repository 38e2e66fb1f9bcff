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
import type { Timeouts } from '../../src/fly/transport.ts';
import { createLoop, type Loop, type LoopOptions } from '../../src/loop.ts';
import { appOf } from '../../src/reconcilers/tenant/input.ts';
import { previewPlan, type TenantPlanView } from '../../src/reconcilers/tenant/plan-view.ts';
import type { LatencyOptions } from '../../src/simulator/latency.ts';
import { createSimulatorServer, type SimulatorServer } from '../../src/simulator/server.ts';
import { createPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { ConflictError, type EventStore, type StoredEvent, type TenantStore } from '../../src/store/store.ts';
import { databaseName, FINALIZER } from '../../src/tenant/names.ts';
import { findCondition, type ConditionType } from '../../src/tenant/conditions.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { createVault } from '../../src/vault/postgres-vault.ts';
import type { OwnersVault } from '../../src/vault/vault.ts';
import type { AppView } from '../invariants/holdings.ts';
import { createTestDatabase, silentLog, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { everyShard } from '../support/every-shard.ts';

export const IMAGE = 'registry.fly.io/systemprompt-images:hello';
export const settings = {
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
    monotonic: () => systemClock.monotonic() * factor,
    random: () => systemClock.random(),
    setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / factor, callback),
  };
}

export interface LoggedCall {
  readonly sequence: number;
  /** When it arrived, in milliseconds since the epoch, of the simulator's clock. */
  readonly at: number;
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
  readonly vault: OwnersVault;
  readonly simulator: SimulatorServer;
  readonly clock: Clock;
  loop: Loop;
  /** What every loop here is made of. */
  readonly parts: LoopParts;
  /** All tenants as the store has them, whatever loop runs or does not. */
  readonly tenants: Loop['tenants'];
  /** Another loop over the same world, with some parts replaced; not started. */
  newLoop(replaced?: Partial<LoopParts>): Loop;
  /** A second loop over the same world, as after a crash; the first one must be stopped. */
  restartLoop(): Promise<void>;
  create(name: string, spec?: Record<string, unknown>): Promise<Tenant>;
  edit(name: string, spec: Record<string, unknown>): Promise<Tenant>;
  get(name: string): Promise<Tenant | undefined>;
  waitFor(name: string, what: string, test: (tenant: Tenant) => boolean): Promise<Tenant>;
  /** Until the newest generation is in the phase. */
  phase(name: string, phase: string): Promise<Tenant>;
  /** Until a condition gives the reason, at the newest generation. */
  reason(name: string, type: ConditionType, wanted: string): Promise<Tenant>;
  gone(name: string): Promise<void>;
  plan(tenant: Tenant): Promise<TenantPlanView>;
  eventsOf(tenant: Tenant): Promise<StoredEvent[]>;
  control<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** Makes the simulated Fly do something unusual in the tenant's app; see docs/simulator.md. */
  fault(tenant: Tenant, plan: Record<string, unknown>): Promise<void>;
  app(tenant: Tenant): Promise<AppView | undefined>;
  /** Calls that Fly has seen: all of those that it remembers, or those about one app. */
  calls(app?: string): Promise<LoggedCall[]>;
  /** Those that were to change something, by operation. */
  writes(tenant?: Tenant): Promise<Record<string, number>>;
  close(): Promise<void>;
}

/** Lists lag far behind, so that nothing holds only because everybody sees everything at once. */
export const LISTS_LAG: LatencyOptions = { ranges: { list: [8_000, 8_000], volumeUnbind: [0, 5_000] } };

/** The parts of a loop that a test may put something in front of. */
export type LoopParts = Pick<LoopOptions, 'store' | 'fly' | 'vault' | 'databases'>;

export interface HarnessOptions {
  /** Factor, or table, of the simulator's latencies; 0: everything happens, and is seen, at once. */
  readonly latency?: number | LatencyOptions;
  readonly timeFactor?: number;
  /** Of the Fly client. */
  readonly timeouts?: Partial<Timeouts>;
  /** False: the test starts loops of its own. */
  readonly autostart?: boolean;
}

export interface SimulatedWorld {
  readonly apps: Record<string, AppView>;
  /** Only of the whole world, not of one app. */
  readonly registry?: { readonly tags: Record<string, string> };
}

export async function createHarness(options: HarnessOptions = {}): Promise<Harness> {
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
    ...(options.timeouts !== undefined && { timeouts: options.timeouts }),
  });
  const postgres = createPostgresStore({ database: test.database, clock, log });
  const { tenants: store, events } = postgres;
  const vault = createVault({ database: test.database, keys: [{ id: 'test', key: randomBytes(32) }], clock });
  const databases = createTenantDatabases({ adminUrl: test.url, nameOf: databaseName, log, clock });
  const parts = { store, fly, vault, databases, settings, clock, log };
  const newLoop = (replaced: Partial<LoopParts> = {}): Loop => {
    const means = { ...parts, ...replaced };
    const acting = { elector: everyShard(), under: () => means };
    return createLoop({ ...means, acting, metrics: createRuntimeMetrics(new Registry()) });
  };
  // A loop that is never started: only its eyes are used.
  const { tenants } = newLoop();
  const named = (name: string) => ({ namespace: 'default', name });

  const harness: Harness = {
    test,
    store,
    events,
    fly,
    vault,
    simulator,
    clock,
    parts,
    tenants,
    newLoop,
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
      // As every door does: read again when the loop has written its status meanwhile.
      for (let left = 5; ; left -= 1) {
        const tenant = await store.get(named(name));
        if (tenant === undefined) throw new Error(`there is no tenant ${name}`);
        try {
          return await store.update({ ...tenant, spec: { ...tenant.spec, ...spec } });
        } catch (error) {
          if (!(error instanceof ConflictError) || left === 0) throw error;
        }
      }
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
    reason: (name, type, wanted) =>
      harness.waitFor(name, `have ${type} for the reason ${wanted}`, ({ status, metadata }) => {
        const found = findCondition(status?.conditions, type);
        return found?.reason === wanted && found.observedGeneration === metadata.generation;
      }),
    async fault(tenant, plan) {
      await harness.control('POST', '/faults', { app: appOf(tenant), ...plan });
    },
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
      const name = appOf(tenant);
      const { apps } = await harness.control<SimulatedWorld>('GET', `/world?app=${name}`);
      return apps[name];
    },
    async calls(app) {
      const query = app === undefined ? '' : `?app=${app}`;
      return (await harness.control<{ calls: LoggedCall[] }>('GET', `/calls${query}`)).calls;
    },
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
      await tenants.stop();
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
  tenants.start();
  if (options.autostart !== false) harness.loop.start();
  return harness;
}
