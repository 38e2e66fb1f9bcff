/**
 * Who plays in a history? One simulated Fly, one store, one vault, one server of databases, and the daemons that live
 * among them: the product's own loop over the product's own client of Fly, started anew whenever one has died.
 */
import { pino, type Logger } from 'pino';
import type { RuntimeMetrics } from '../../src/controller/metrics.ts';
import { createFly } from '../../src/fly/client.ts';
import { createLoop, type Loop } from '../../src/loop.ts';
import { control } from '../../src/simulator/control.ts';
import { createExchange, type Exchange } from '../../src/simulator/exchange.ts';
import type { LatencyOptions } from '../../src/simulator/latency.ts';
import { createWorld, type World } from '../../src/simulator/world.ts';
import type { TenantDatabases } from '../../src/database/tenant-databases.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { appName } from '../../src/tenant/names.ts';
import { createFlyHttp, type FlyCall } from './fly-http.ts';
import type { Kernel, Process } from './kernel.ts';
import { createModelDatabases, type ModelDatabases } from './model/databases.ts';
import { createModelVault, type ModelVault } from './model/secrets.ts';
import { createStorePort } from './model/store.ts';
import { createModelTenants, type Change, type ModelTenants } from './model/tenants.ts';
import { createWatches, type Watches } from './model/watches.ts';
import type { Trace } from './trace.ts';
import { createWire, type Fault, type Wire } from './wire.ts';

export const SETTINGS = {
  orgSlug: 'systemprompt',
  registryHost: 'registry.fly.io',
  sharedRegistryApp: 'systemprompt-images',
  subdomainSuffix: 'tenants.test',
};

/** A supervisor starts a daemon that has died again after so long. */
const RESTART_MS = [200, 5_000] as const;

export interface Scene {
  readonly world: World;
  readonly exchange: Exchange;
  readonly tenants: ModelTenants;
  readonly vault: ModelVault;
  readonly databases: ModelDatabases;
  readonly wire: Wire;
  /** Those that are alive, oldest first. */
  readonly daemons: readonly Daemon[];
  /** Lines that daemons have logged, of all levels. */
  readonly log: readonly string[];
  /** Of every tenant that there ever was. */
  readonly uids: readonly string[];
  /** Apps of tenants that were deleted with the policy Orphan. */
  readonly orphans: ReadonlySet<string>;
  /** Passes that have ended, by what came of them. */
  readonly passes: Readonly<Record<string, number>>;
  /** Asks the control surface of the simulated Fly, as a person who interferes would. */
  interfere<T>(method: string, path: string, body?: unknown): T;
  /** Bells are lost and watches break from now on, or no longer. */
  disturbWatches(disturbance: 'deaf' | 'none'): void;
  /** Cuts every watch of the store. */
  cutWatches(): void;
  /** To be told when somebody has changed an app without asking Fly. */
  appTouched(name: string): void;
}

export interface Daemon {
  readonly process: Process;
  readonly loop: Loop;
}

export interface SceneOptions {
  readonly kernel: Kernel;
  readonly trace: Trace;
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly latency: LatencyOptions;
  /** Whether Fly's proxy puts machines to sleep that nobody asks for anything. */
  readonly autostop: boolean;
  /** How many daemons there are. */
  readonly replicas: number;
  readonly onCommit: (change: Change) => void;
  readonly onFlyCall: (call: FlyCall) => void;
  /** The app, or something in it, has changed. */
  readonly onApp: (name: string) => void;
  /** Something of the tenant was taken out of a database: `vault.forget`, `databases.drop`. */
  readonly onRemoval: (operation: string, uid: string) => void;
}

export function createScene(options: SceneOptions): Scene {
  const { kernel, trace } = options;
  const daemons: Daemon[] = [];
  const log: string[] = [];
  const passes: Record<string, number> = {};
  const uids: string[] = [];
  const orphans = new Set<string>();
  const watches = createWatches(kernel);
  let births = 0;

  const wire = createWire({ kernel, trace, faults: options.faults, onCrash: bury });
  const world: World = createWorld({
    seed: options.seed,
    latency: options.latency,
    callLogSize: 1,
    ...(!options.autostop && { autostopEveryMs: 0 }),
    observer: {
      machineChanged: (id) => exchange.machineChanged(id),
      recordChanged: (table, key) => {
        if (table === 'apps') options.onApp(key);
      },
    },
  });
  const exchange = createExchange({
    world: () => world,
    clock: wire.outside.clock,
    afterChange: () => undefined,
  });
  const vault = createModelVault((length) => text(kernel, length));
  const databases = createModelDatabases();
  const tenants = createModelTenants({
    now: kernel.now,
    newUid: () => uuid(kernel),
    onCommit(change) {
      const { metadata, spec } = change.tenant;
      if (change.type === 'ADDED') uids.push(metadata.uid);
      if (change.type === 'DELETED' && spec.deletionPolicy === 'Orphan') orphans.add(appName(metadata.uid));
      options.onCommit(change);
      watches.committed();
    },
  });
  const metrics: RuntimeMetrics = {
    controller: () => ({
      started: () => undefined,
      ended: ({ outcome }) => void (passes[outcome] = (passes[outcome] ?? 0) + 1),
    }),
    informer: () => ({ restarted: () => undefined }),
  };
  const logger = pino(
    { level: 'debug', base: null, timestamp: false },
    { write: (line) => void log.push(line) },
  );

  function bear(): void {
    births += 1;
    const process = kernel.spawn(`daemon-${births}`);
    trace.add(`${process.name} starts`);
    const loop = startLoop({
      ...options,
      process,
      wire,
      exchange,
      tenants,
      vault,
      databases,
      watches,
      metrics,
      logger,
    });
    daemons.push({ process, loop });
  }

  function bury(process: Process): void {
    daemons.splice(
      daemons.findIndex((daemon) => daemon.process === process),
      1,
    );
    wire.outside.later(kernel.draw(RESTART_MS), bear);
  }

  function interfere<T>(method: string, path: string, body?: unknown): T {
    const [pathname = '', query = ''] = path.split('?');
    const request = {
      method,
      path: `/_simulator${pathname}`,
      query: new URLSearchParams(query),
      headers: {},
    };
    const answer = control(
      world,
      body === undefined ? request : { ...request, body: JSON.stringify(body) },
      kernel.now(),
    );
    exchange.touched();
    // An edge: whoever asks knows what the control surface answers with.
    return answer.json as T;
  }

  interfere('POST', '/apps', { name: SETTINGS.sharedRegistryApp });
  for (let count = 0; count < options.replicas; count += 1) bear();
  return {
    ...{ world, exchange, tenants, vault, databases, wire, daemons, log, uids, orphans, passes, interfere },
    disturbWatches: watches.disturb,
    cutWatches: watches.cut,
    appTouched: options.onApp,
  };
}

interface LoopParts {
  readonly process: Process;
  readonly kernel: Kernel;
  readonly wire: Wire;
  readonly exchange: Exchange;
  readonly tenants: ModelTenants;
  readonly vault: ModelVault;
  readonly databases: ModelDatabases;
  readonly watches: Watches;
  readonly metrics: RuntimeMetrics;
  readonly logger: Logger;
  readonly onFlyCall: (call: FlyCall) => void;
  readonly onRemoval: (operation: string, uid: string) => void;
}

/** One daemon: the product's loop, with wires where its connections would be. */
function startLoop(parts: LoopParts): Loop {
  const { process, wire, metrics } = parts;
  const { clock } = process;
  const loop = createLoop({
    store: createStorePort(parts.tenants, {
      call: (operation, perform) => wire.call(process, { site: `store.${operation}` }, perform),
      news: (wanted) => parts.watches.news(process, wanted),
      now: () => clock.now(),
    }),
    fly: createFly({
      apiUrl: 'http://fly.test',
      registryUrl: 'http://registry.fly.io',
      logsUrl: 'http://fly.test',
      prometheusUrl: 'http://fly.test/prometheus',
      token: 'any',
      orgSlug: SETTINGS.orgSlug,
      clock,
      http: createFlyHttp({ ...parts, onCall: parts.onFlyCall }),
    }),
    vault: vaultOverWire(parts),
    databases: databasesOverWire(parts),
    settings: SETTINGS,
    clock,
    log: parts.logger,
    metrics,
  });
  loop.start();
  return loop;
}

function vaultOverWire({ process, wire, vault, onRemoval }: LoopParts): Vault {
  const call = <T>(operation: string, perform: () => T): Promise<T> =>
    wire.call(process, { site: `vault.${operation}` }, perform);
  const change = <T>(operation: string, perform: () => T): Promise<T> =>
    wire.call(process, { site: `vault.${operation}`, transaction: true }, perform);
  return {
    describe: (uid) => call('describe', () => vault.describe(uid)),
    generate: (uid) => change('generate', () => vault.generate(uid)),
    rotate: (uid, requestedAt) => change('rotate', () => vault.rotate(uid, requestedAt)),
    set: (uid, values) => change('set', () => vault.set(uid, values)),
    reveal: (uid) => call('reveal', () => vault.reveal(uid)),
    recordApplied: (uid, applied) => call('recordApplied', () => vault.recordApplied(uid, applied)),
    forget: (uid) =>
      call('forget', () => {
        onRemoval('vault.forget', uid);
        vault.forget(uid);
      }),
  };
}

function databasesOverWire({ process, wire, databases, onRemoval }: LoopParts): TenantDatabases {
  const alone = <T>(operation: string, lock: string, perform: (share: number) => T): Promise<T> =>
    wire.call(process, { site: `databases.${operation}`, lock }, perform);
  return {
    describe: (uid, { afterOthers = false } = {}) =>
      alone('describe', afterOthers ? uid : '', () => databases.describe(uid)),
    create: (uid, credentials) => alone('create', uid, (share) => databases.create(uid, credentials, share)),
    setPassword: (uid, credentials) =>
      alone('setPassword', uid, (share) => databases.setPassword(uid, credentials, share)),
    drop: (uid) =>
      alone('drop', uid, (share) => {
        onRemoval('databases.drop', uid);
        databases.drop(uid, share);
      }),
    url: (uid, password) => databases.url(uid, password),
  };
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

function text(kernel: Kernel, length: number): string {
  return Array.from({ length }, () => LETTERS[Math.floor(kernel.random() * LETTERS.length)]).join('');
}

function uuid(kernel: Kernel): string {
  const hex = (digits: number): string =>
    Array.from({ length: digits }, () => Math.floor(kernel.random() * 16).toString(16)).join('');
  return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`;
}
