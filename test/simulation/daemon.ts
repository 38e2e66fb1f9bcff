/**
 * What is a daemon in the simulation? The product's own loop over the product's own client of Fly, with wires where its
 * connections would be.
 */
import type { Logger } from 'pino';
import { createElector, type Elector } from '../../src/controller/leases/elector.ts';
import type { RuntimeMetrics } from '../../src/controller/metrics.ts';
import { DatabaseError } from '../../src/database/errors.ts';
import type { TenantDatabases } from '../../src/database/tenant-databases.ts';
import { createFly } from '../../src/fly/client.ts';
import { createLoop, type Loop } from '../../src/loop.ts';
import { permittedStore } from '../../src/reconcilers/tenant/permitted-store.ts';
import { previewPlan, type TenantPlanView } from '../../src/reconcilers/tenant/plan-view.ts';
import type { Exchange } from '../../src/simulator/exchange.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import type { Vault } from '../../src/vault/vault.ts';
import type { Maker } from '../invariants/maker.ts';
import { everyShard } from '../support/every-shard.ts';
import { createFlyHttp, type FlyCall, type FlyHttpOptions } from './fly-http.ts';
import type { Kernel, Process } from './kernel.ts';
import type { ModelDatabases } from './model/databases.ts';
import type { ModelLeases } from './model/leases.ts';
import type { ModelVault } from './model/secrets.ts';
import { createStorePort } from './model/store.ts';
import type { ModelTenants } from './model/tenants.ts';
import type { Watches } from './model/watches.ts';
import type { Wire } from './wire.ts';

export const SETTINGS = {
  orgSlug: 'systemprompt',
  registryHost: 'registry.fly.io',
  sharedRegistryApp: 'systemprompt-images',
  subdomainSuffix: 'tenants.test',
};

export interface DaemonParts {
  readonly process: Process;
  readonly kernel: Kernel;
  readonly wire: Wire;
  readonly exchange: Exchange;
  readonly tenants: ModelTenants;
  readonly vault: ModelVault;
  readonly databases: ModelDatabases;
  readonly watches: Watches;
  /** Absent: the daemon is the only one, and acts on everything. */
  readonly leases: ModelLeases | undefined;
  /** Passes in flight at once; as many as in production when absent. */
  readonly workers?: number | undefined;
  readonly metrics: RuntimeMetrics;
  readonly logger: Logger;
  /** Says who makes a call now. */
  readonly maker: () => Maker;
  /** Carries out what its maker has asked the store for. */
  readonly inTheNameOf: <T>(maker: Maker, perform: () => T) => T;
  readonly onFlyCall: (call: FlyCall) => void;
  readonly onFlyArrival: FlyHttpOptions['onArrival'];
  readonly onFlyAnswer: FlyHttpOptions['onAnswer'];
  /** A write to Fly leaves the daemon. `epoch`: of the holding under which it is made, when there are others. */
  readonly onFlyWrite: (write: {
    readonly app: string;
    readonly epoch: number | undefined;
    readonly maker: Maker;
  }) => void;
  readonly onRemoval: (operation: string, uid: string, maker: Maker) => void;
}

export interface Started {
  readonly loop: Loop;
  readonly elector: Elector;
  /** What the daemon answers who asks it what it would do next. */
  readonly preview: (tenant: Tenant, signal: AbortSignal) => Promise<TenantPlanView>;
}

/** Starts the loop of one daemon, in its process. */
export function startLoop(parts: DaemonParts): Started {
  const { process, wire, metrics } = parts;
  const { clock } = process;
  const { elector, epochOf } = openElection(parts);
  const store = createStorePort(parts.tenants, {
    call(operation, perform) {
      const maker = parts.maker();
      return wire.call(process, { site: `store.${operation}` }, () => parts.inTheNameOf(maker, perform));
    },
    news: (wanted) => parts.watches.news(process, wanted),
    now: () => clock.now(),
  });
  const fly = createFly({
    apiUrl: 'http://fly.test',
    registryUrl: 'http://registry.fly.io',
    logsUrl: 'http://fly.test',
    prometheusUrl: 'http://fly.test/prometheus',
    token: 'any',
    orgSlug: SETTINGS.orgSlug,
    clock,
    http: createFlyHttp({
      ...parts,
      onCall: parts.onFlyCall,
      onArrival: parts.onFlyArrival,
      onAnswer: parts.onFlyAnswer,
      onWrite: (app, { maker, mayBegin }) => parts.onFlyWrite({ app, epoch: epochOf(mayBegin), maker }),
    }),
  });
  const always = (): boolean => true;
  const means = {
    fly,
    vault: vaultOverWire(parts, always),
    databases: databasesOverWire(parts, always),
    settings: SETTINGS,
    clock,
  };
  const loop = createLoop({
    ...means,
    store,
    log: parts.logger,
    metrics,
    acting: {
      elector,
      ...(parts.workers !== undefined && { concurrency: parts.workers }),
      under: (mayAct) => ({
        store: permittedStore(store, mayAct),
        fly: fly.under(mayAct),
        vault: vaultOverWire(parts, mayAct),
        databases: databasesOverWire(parts, mayAct),
      }),
    },
  });
  loop.start();
  const { digestUsedElsewhere } = loop;
  return {
    loop,
    elector,
    preview: (tenant, signal) => previewPlan({ ...means, digestUsedElsewhere }, tenant, signal),
  };
}

interface Election {
  readonly elector: Elector;
  /** The epoch of the holding whose permit this is. */
  readonly epochOf: (mayAct: (() => boolean) | undefined) => number | undefined;
}

/** The product's own elector where there are several daemons; who is alone has every shard. */
function openElection({ process, wire, leases, logger }: DaemonParts): Election {
  if (leases === undefined) return { elector: everyShard(), epochOf: () => undefined };
  const call = <T>(operation: string, perform: () => T): Promise<T> =>
    wire.call(process, { site: `leases.${operation}` }, perform);
  const epochs = new WeakMap<() => boolean, number>();
  const elector = createElector({
    identity: process.name,
    backend: {
      list: () => call('list', () => leases.list()),
      put: (write) => call('put', () => leases.put(write)),
      remove: (record) => call('remove', () => leases.remove(record)),
    },
    clock: process.clock,
    log: logger,
  });
  elector.subscribe({
    acquired: ({ mayAct, epoch }) => void epochs.set(mayAct, epoch),
    yielding: () => Promise.resolve(),
    lost: () => undefined,
  });
  return { elector, epochOf: (mayAct) => mayAct && epochs.get(mayAct) };
}

/** As the guarded connection does it: what may no longer be sent is not sent. */
function permitted(mayAct: () => boolean): void {
  if (!mayAct())
    throw new DatabaseError('this replica may no longer act on the tenant', { kind: 'unpermitted' });
}

function vaultOverWire(
  { process, wire, vault, maker, onRemoval }: DaemonParts,
  mayAct: () => boolean,
): Vault {
  async function call<T>(operation: string, perform: () => T): Promise<T> {
    permitted(mayAct);
    return await wire.call(process, { site: `vault.${operation}` }, perform);
  }
  async function change<T>(operation: string, perform: () => T): Promise<T> {
    permitted(mayAct);
    return await wire.call(process, { site: `vault.${operation}`, transaction: true }, perform);
  }
  return {
    describe: (uid) => call('describe', () => vault.describe(uid)),
    generate: (uid) => change('generate', () => vault.generate(uid)),
    rotate: (uid, requestedAt) => change('rotate', () => vault.rotate(uid, requestedAt)),
    set: (uid, values) => change('set', () => vault.set(uid, values)),
    reveal: (uid) => call('reveal', () => vault.reveal(uid)),
    recordApplied: (uid, applied) => call('recordApplied', () => vault.recordApplied(uid, applied)),
    forget(uid) {
      const by = maker();
      return call('forget', () => {
        onRemoval('vault.forget', uid, by);
        vault.forget(uid);
      });
    },
    // Every wake is lost here, as any may be: what the owner has set is found by the sweep.
    onChange: () => () => undefined,
  };
}

function databasesOverWire(
  { process, wire, databases, maker, onRemoval }: DaemonParts,
  mayAct: () => boolean,
): TenantDatabases {
  async function alone<T>(operation: string, lock: string, perform: (share: number) => T): Promise<T> {
    permitted(mayAct);
    return await wire.call(process, { site: `databases.${operation}`, lock }, perform);
  }
  return {
    describe: (uid, { afterOthers = false } = {}) =>
      alone('describe', afterOthers ? uid : '', () => databases.describe(uid)),
    create: (uid, credentials) => alone('create', uid, (share) => databases.create(uid, credentials, share)),
    setPassword: (uid, credentials) =>
      alone('setPassword', uid, (share) => databases.setPassword(uid, credentials, share)),
    setExternalAccess: (uid, allowed) =>
      alone('setExternalAccess', uid, (share) => databases.setExternalAccess(uid, allowed, share)),
    drop(uid) {
      const by = maker();
      return alone('drop', uid, (share) => {
        onRemoval('databases.drop', uid, by);
        databases.drop(uid, share);
      });
    },
    url: (uid, password) => databases.url(uid, password),
  };
}
