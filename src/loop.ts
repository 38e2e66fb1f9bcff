/**
 * How are store, queue, reconciler and Fly's feed tied into one control loop? Here wake-ups meet: changes of
 * specs and of secrets, changes on Fly, machines that have settled. Each becomes a key and nothing more.
 */
import type { Logger } from 'pino';
import type { Clock } from './clock.ts';
import { createController } from './controller/controller.ts';
import { createInformer, type Change, type Informer } from './controller/informer.ts';
import type { Elector } from './controller/leases/elector.ts';
import { shardWork } from './controller/leases/sharded.ts';
import { shardOf } from './controller/leases/shards.ts';
import type { RuntimeMetrics } from './controller/metrics.ts';
import { PRIORITY } from './controller/queue.ts';
import type { TenantDatabases } from './database/tenant-databases.ts';
import type { Fly } from './fly/fly.ts';
import { createFlyFeed } from './reconcilers/feed/feed.ts';
import { appOf } from './reconcilers/tenant/input.ts';
import { createMachineWaits } from './reconcilers/tenant/machine-waits.ts';
import {
  createTenantReconciler,
  tenantKey,
  type TenantReconcilerDependencies,
} from './reconcilers/tenant/reconcile.ts';
import type { TenantSettings } from './reconcilers/tenant/settings.ts';
import { GoneError, type TenantStore } from './store/store.ts';
import { isPaused, reconcileRequest } from './tenant/annotations.ts';
import { parseImage } from './tenant/image.ts';
import type { Tenant } from './tenant/schema.ts';
import type { Vault } from './vault/vault.ts';

/** Two of the store's bookmark intervals: a watch that says nothing for so long is dead. */
const SILENT_MS = 130_000;
/**
 * Passes wait for Fly, not for the processor: one of two seconds lets this many start 30 tenants a second, more than
 * one PostgreSQL makes databases. More would only make all of a burst wait for the last of it.
 */
export const CONCURRENCY = 64;

/** A machine that has arrived usually lacks one look to be Ready: it goes before work that has not begun. */
const NEARLY_DONE = PRIORITY.edit + 10;

/**
 * A deploy of the CLI sends secrets in two or three requests, one after the other: they reach the machine together,
 * by one restart.
 */
const SECRETS_SETTLE_MS = 1_500;

type TenantIndex = 'app' | 'digest' | 'shard' | 'uid';

export interface LoopOptions {
  readonly store: TenantStore;
  readonly fly: Fly;
  readonly vault: Vault;
  readonly databases: TenantDatabases;
  readonly settings: TenantSettings;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: RuntimeMetrics;
  /** Absent: the replica acts on nothing, and only follows the store. */
  readonly acting?: {
    /** Says which tenants this replica may act on; the loop starts and stops it. */
    readonly elector: Elector;
    /** Passes in flight at once; {@link CONCURRENCY} when absent. */
    readonly concurrency?: number;
    /** The means of acting for as long as `mayAct` says so; each of them asks before it changes anything. */
    readonly under: (
      mayAct: () => boolean,
    ) => Pick<TenantReconcilerDependencies, 'store' | 'fly' | 'vault' | 'databases'>;
  };
}

export interface Loop {
  /** Follows the store, and its health is that of the watch. */
  readonly tenants: Informer<Tenant, TenantIndex>;
  /** Whether a tenant other than `uid` wants or runs the digest, and is to stay. */
  readonly digestUsedElsewhere: (digest: string, uid: string) => boolean;
  start(): void;
  /** Lets running passes end until the deadline, then cuts them off. */
  stop(deadlineMs: number): Promise<void>;
}

export function createLoop(options: LoopOptions): Loop {
  const tenants = createTenantInformer(options);
  const digestUsedElsewhere = (digest: string, uid: string): boolean =>
    tenants
      .byIndex('digest', digest)
      .some(({ metadata }) => metadata.uid !== uid && metadata.deletionTimestamp === undefined);
  const acting = options.acting && createActing(options, options.acting, { tenants, digestUsedElsewhere });
  return {
    tenants,
    digestUsedElsewhere,
    start() {
      tenants.start();
      acting?.start();
    },
    async stop(deadlineMs) {
      await acting?.stop(deadlineMs);
      await tenants.stop();
    },
  };
}

/** The part that acts: wake-ups become passes over the tenants of the shards that this replica has. */
function createActing(
  options: LoopOptions,
  { elector, under, concurrency = CONCURRENCY }: NonNullable<LoopOptions['acting']>,
  { tenants, digestUsedElsewhere }: Pick<Loop, 'tenants' | 'digestUsedElsewhere'>,
): Pick<Loop, 'start' | 'stop'> {
  const { fly, clock, log } = options;
  const waits = createMachineWaits({
    fly,
    clock,
    wake: (key) => controller.enqueue(key, { priority: NEARLY_DONE }),
  });
  const work = shardWork(elector, (mayAct) =>
    createTenantReconciler({
      ...options,
      ...under(mayAct),
      digestUsedElsewhere,
      isOutdated: (tenant) => isOutdated(tenant, tenants.get(tenantKey(tenant.metadata))),
      awaitMachine: (key, machine) => waits.await(key, machine),
    }),
  );
  const { metrics } = options;
  const controller = createController({
    name: 'tenant',
    ...work,
    clock,
    log,
    metrics,
    concurrency,
  });
  const feed = createFlyFeed({
    fly,
    clock,
    log,
    replicas: () => elector.replicas,
    onChange(app) {
      for (const { metadata } of tenants.byIndex('app', app))
        controller.enqueue(tenantKey(metadata), { priority: PRIORITY.drift });
    },
  });
  tenants.onChange((change) => {
    const wish = wishFor(change, tenants.synced);
    if (wish !== undefined) controller.enqueue(change.key, wish);
  });
  const wakeForSecrets = (uid: string): void => {
    const wish = { priority: PRIORITY.edit, resetBackoff: true, afterMs: SECRETS_SETTLE_MS };
    for (const { metadata } of tenants.byIndex('uid', uid)) controller.enqueue(tenantKey(metadata), wish);
  };
  let unwatchSecrets = (): void => undefined;
  work.bind(controller, (shard) => {
    for (const tenant of tenants.byIndex('shard', String(shard)))
      controller.enqueue(tenantKey(tenant.metadata), { ...firstWish(tenant), resetBackoff: true });
  });
  return {
    start() {
      unwatchSecrets = options.vault.onChange(wakeForSecrets);
      elector.start();
      controller.start();
      feed.start();
    },
    async stop(deadlineMs) {
      unwatchSecrets();
      await feed.stop();
      const { cut, stuck } = await controller.stop({ deadlineMs });
      if (cut.length > 0)
        log.warn({ cut, stuck }, `stopping cut off ${cut.length} passes; they go on at the next start`);
      await Promise.all([waits.stop(), elector.stop({ release: stuck.length === 0 })]);
    },
  };
}

function createTenantInformer({ store, clock, log, metrics }: LoopOptions): Loop['tenants'] {
  return createInformer<Tenant, TenantIndex>({
    name: 'tenants',
    identify: ({ metadata }) => ({ ...metadata, key: tenantKey(metadata) }),
    isGone: (error) => error instanceof GoneError,
    silentMs: SILENT_MS,
    clock,
    log,
    metrics,
    indexes: {
      uid: ({ metadata }) => [metadata.uid],
      app: (tenant) => [appOf(tenant)],
      shard: ({ metadata }) => [String(shardOf(tenantKey(metadata)))],
      digest: ({ spec, status }) =>
        [
          parseImage(spec.image ?? '')?.digest ?? [],
          status?.image?.digest ?? [],
          status?.machine?.imageDigest ?? [],
        ].flat(),
    },
    source: {
      list: ({ continue: token }) => store.list(token === undefined ? {} : { continue: token }),
      async *watch({ resourceVersion, signal }) {
        for await (const event of store.watch({ resourceVersion, signal }))
          yield event.type === 'BOOKMARK' ? event : { type: event.type, object: event.tenant };
      },
    },
  });
}

/** Whether a newer spec, the deletion, or a pause of the tenant is known by now. */
function isOutdated(tenant: Tenant, known: Tenant | undefined): boolean {
  if (known === undefined || known.metadata.uid !== tenant.metadata.uid) return false;
  const newer = known.metadata.generation > tenant.metadata.generation;
  const deleted = known.metadata.deletionTimestamp !== tenant.metadata.deletionTimestamp;
  return newer || deleted || (isPaused(known) && !isPaused(tenant));
}

/** What a change asks of the queue; our own status writes ask for nothing. */
function wishFor({ before, after }: Change<Tenant>, synced: boolean): Wish | undefined {
  if (after === undefined) return undefined;
  if (before === undefined) {
    return synced ? { priority: PRIORITY.edit, resetBackoff: true } : firstWish(after);
  }
  const edited =
    before.metadata.generation !== after.metadata.generation ||
    before.metadata.deletionTimestamp !== after.metadata.deletionTimestamp ||
    before.metadata.uid !== after.metadata.uid ||
    isPaused(before) !== isPaused(after) ||
    reconcileRequest(before) !== reconcileRequest(after);
  return edited ? { priority: PRIORITY.edit, resetBackoff: true } : undefined;
}

/** What a tenant asks of the queue that was there before this replica looked after it. */
function firstWish({ metadata, status }: Tenant): Wish {
  const settled = status?.observedGeneration === metadata.generation && status.phase !== 'deleting';
  return { priority: settled ? PRIORITY.startup : PRIORITY.step };
}

interface Wish {
  readonly priority: number;
  readonly resetBackoff?: boolean;
}
