/**
 * Who plays in a history? One simulated Fly, one store, one vault, one server of databases, and the daemons that live
 * among them: the product's own loop over the product's own client of Fly, started anew whenever one has died.
 */
import { pino } from 'pino';
import type { RuntimeMetrics } from '../../src/controller/metrics.ts';
import { control } from '../../src/simulator/control.ts';
import { createExchange, type Exchange } from '../../src/simulator/exchange.ts';
import type { LatencyOptions } from '../../src/simulator/latency.ts';
import { createWorld, type World } from '../../src/simulator/world.ts';
import { appName } from '../../src/tenant/names.ts';
import type { AppView } from '../invariants/holdings.ts';
import type { Maker } from '../invariants/maker.ts';
import { SETTINGS, startLoop, type DaemonParts, type Started } from './daemon.ts';
import type { FlyCall } from './fly-http.ts';
import type { Kernel, Process } from './kernel.ts';
import { createModelDatabases, type ModelDatabases } from './model/databases.ts';
import { createModelLeases } from './model/leases.ts';
import { createModelVault, type ModelVault } from './model/secrets.ts';
import { createModelTenants, type Change, type ModelTenants } from './model/tenants.ts';
import { createWatches } from './model/watches.ts';
import type { Trace } from './trace.ts';
import { createWire, type Fault, type Wire } from './wire.ts';

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
  /** How many there have been. */
  readonly births: number;
  /** Lines that daemons have logged, of all levels. */
  readonly log: readonly string[];
  /** Of every tenant that there ever was. */
  readonly uids: readonly string[];
  /** Apps of tenants that were deleted with the policy Orphan. */
  readonly orphans: ReadonlySet<string>;
  /** Passes that have ended, by what came of them. */
  readonly passes: Readonly<Record<string, number>>;
  /** Tells the control surface of the simulated Fly what to do, as a person who interferes would. */
  interfere(method: string, path: string, body?: unknown): void;
  /** An app as the control surface shows it; undefined: there is none. */
  view(app: string): AppView | undefined;
  /** Bells are lost and watches break from now on, or no longer. */
  disturbWatches(disturbance: 'deaf' | 'none'): void;
  /** Cuts every watch of the store. */
  cutWatches(): void;
  /** To be told when somebody has changed an app without asking Fly. */
  appTouched(name: string): void;
}

export interface Daemon extends Started {
  readonly process: Process;
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
  readonly workers: DaemonParts['workers'];
  /** `maker`: absent for what people do. */
  readonly onCommit: (change: Change, maker: Maker | undefined) => void;
  /** Any call of a daemon begins. */
  readonly onCall?: ((call: Pick<Fault, 'site' | 'occurrence'>) => void) | undefined;
  readonly onFlyCall: (call: FlyCall) => void;
  readonly onFlyArrival: DaemonParts['onFlyArrival'];
  /** A daemon sends a write to Fly. `epoch`: of the holding under which it is made, when there are several. */
  readonly onFlyWrite: DaemonParts['onFlyWrite'];
  /** A write to Fly is answered. */
  readonly onFlyAnswer: DaemonParts['onFlyAnswer'];
  /** The app, or something in it, has changed. */
  readonly onApp: (name: string) => void;
  /** Something of the tenant was taken out of a database: `vault.forget`, `databases.drop`. */
  readonly onRemoval: DaemonParts['onRemoval'];
  /** A worker takes up a pass that was due so long ago. */
  readonly onPass: (pass: {
    readonly process: Process;
    readonly key: string;
    readonly waitedMs: number;
  }) => void;
  readonly onPassEnd: (pass: { readonly process: Process; readonly key: string }) => void;
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
  let author: Maker | undefined;

  const { faults, onCall } = options;
  const wire = createWire({ kernel, trace, faults, onCrash: bury, onCall });
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
  const leases = options.replicas > 1 ? createModelLeases() : undefined;
  const tenants = createModelTenants({
    now: () => kernel.now(),
    newUid: () => uuid(kernel),
    onCommit(change) {
      const { metadata, spec } = change.tenant;
      if (change.type === 'ADDED') uids.push(metadata.uid);
      if (change.type === 'DELETED' && spec.deletionPolicy === 'Orphan') orphans.add(appName(metadata.uid));
      options.onCommit(change, author);
      watches.committed();
    },
  });
  const logger = pino(
    { level: 'debug', base: null, timestamp: false },
    { write: (line) => void log.push(line) },
  );

  function inTheNameOf<T>(maker: Maker, perform: () => T): T {
    author = maker;
    try {
      return perform();
    } finally {
      author = undefined;
    }
  }

  function bear(): void {
    births += 1;
    const process = kernel.spawn(`daemon-${births}`);
    trace.add(`${process.name} starts`);
    const running = { count: 0, sinceMs: Infinity };
    const maker = (): Maker => ({
      process: process.name,
      beganMs: kernel.now(),
      sinceMs: Math.min(running.sinceMs, kernel.now()),
      skewMs: process.clock.now() - kernel.now(),
      awakeSinceMs: process.awakeSinceMs,
    });
    const metrics: RuntimeMetrics = {
      controller: () => ({
        started({ key, waitedMs }) {
          options.onPass({ process, key, waitedMs });
          if (running.count === 0) running.sinceMs = kernel.now();
          running.count += 1;
        },
        ended({ key, outcome }) {
          options.onPassEnd({ process, key });
          passes[outcome] = (passes[outcome] ?? 0) + 1;
          running.count -= 1;
          if (running.count === 0) running.sinceMs = Infinity;
        },
      }),
      informer: () => ({ restarted: () => undefined }),
    };
    const started = startLoop({
      ...options,
      process,
      maker,
      inTheNameOf,
      wire,
      exchange,
      tenants,
      vault,
      databases,
      watches,
      leases,
      metrics,
      logger,
    });
    // Its first call may have been its end.
    if (process.alive) daemons.push({ process, ...started });
  }

  function bury(process: Process): void {
    const at = daemons.findIndex((daemon) => daemon.process === process);
    if (at >= 0) daemons.splice(at, 1);
    wire.outside.later(kernel.draw(RESTART_MS), bear);
  }

  function ask(method: string, path: string, body?: unknown): unknown {
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
    return answer.json;
  }

  function interfere(method: string, path: string, body?: unknown): void {
    ask(method, path, body);
    exchange.touched();
  }

  function view(app: string): AppView | undefined {
    // An edge: this is what the control surface answers with.
    const { apps } = ask('GET', `/world?app=${app}`) as { apps: Record<string, AppView> };
    return apps[app];
  }

  interfere('POST', '/apps', { name: SETTINGS.sharedRegistryApp });
  for (let count = 0; count < options.replicas; count += 1) bear();
  return {
    ...{
      world,
      exchange,
      tenants,
      vault,
      databases,
      wire,
      daemons,
      log,
      uids,
      orphans,
      passes,
      interfere,
      view,
    },
    disturbWatches: (disturbance) => watches.disturb(disturbance),
    get births() {
      return births;
    },
    cutWatches: () => watches.cut(),
    appTouched: options.onApp,
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
