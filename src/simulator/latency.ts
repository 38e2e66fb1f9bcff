/**
 * How long does anything take? The one table of the simulated Fly's latencies, in milliseconds, drawn
 * evenly between the two bounds. The figures are those of reference measurements of Fly where there are any
 * (sections 5.8, 5.10 and 16 of our fact sheet), and otherwise what its users report.
 */
import { nextRandom, type Seeded } from './random.ts';

/**
 * - `call`: until a call takes effect and is answered.
 * - `transition`: until something that is under way has arrived.
 * - `lag`: until a change can be seen by those who read elsewhere.
 */
export type LatencyKind = 'call' | 'transition' | 'lag';

interface Latency {
  readonly kind: LatencyKind;
  readonly minMs: number;
  readonly maxMs: number;
}

function call(minMs: number, maxMs: number): Latency {
  return { kind: 'call', minMs, maxMs };
}

function transition(minMs: number, maxMs: number): Latency {
  return { kind: 'transition', minMs, maxMs };
}

function lag(minMs: number, maxMs: number): Latency {
  return { kind: 'lag', minMs, maxMs };
}

export const latencies = {
  read: call(20, 60),
  organisationList: call(60, 200),
  appCreate: call(300, 700),
  appDelete: call(200, 500),
  machineCreate: call(400, 900),
  machineUpdate: call(300, 800),
  machineAction: call(80, 250),
  machineMetadata: call(50, 150),
  leaseWrite: call(40, 120),
  volumeCreate: call(200, 600),
  volumeWrite: call(150, 400),
  addressWrite: call(200, 400),
  certificateWrite: call(200, 500),
  secretsWrite: call(150, 350),
  tokenCreate: call(150, 400),
  registryRead: call(60, 150),
  registryWrite: call(100, 300),
  telemetry: call(60, 180),

  /** `created` before `starting`: a host is found and the image unpacked. */
  prepare: transition(300, 800),
  /** A machine created with skip_launch refuses to start for so long: its image is being prepared. */
  prepareUnlaunched: transition(3_000, 9_000),
  /** `starting` before `started`. */
  boot: transition(900, 1_700),
  /** `starting` before `started` out of a memory snapshot. */
  resume: transition(150, 400),
  /** `stopping` before `stopped`, when the process obeys the signal. */
  stop: transition(200, 1_500),
  /** A machine that already reads `stopped` refuses to start for so long. */
  stopSettle: transition(0, 8_000),
  suspend: transition(300, 1_200),
  /** `replacing`, besides the boot that may follow. */
  replace: transition(800, 2_500),
  destroy: transition(300, 1_500),
  /** A platform migration, from stop until the machine is on its new host. */
  migrate: transition(5_000, 20_000),
  /** `started` before the health checks have their first result, and again before they pass. */
  checkResult: transition(300, 1_000),
  /** A volume stays bound to a machine that was destroyed. */
  volumeUnbind: transition(0, 60_000),
  volumeExtend: transition(500, 2_000),
  /** `scheduling_destroy` before `pending_destroy`. */
  volumeDestroy: transition(500, 3_000),
  /** 202 before the app is gone and its name free again. */
  appDestroy: transition(500, 2_000),
  certificateIssue: transition(20_000, 60_000),

  /** GET after a create answers 404 for so long. */
  getAfterCreate: lag(0, 500),
  /** Lists show what was true so long ago. */
  list: lag(0, 2_000),
  /** A manifest that was just pushed is unknown to the hosts for so long. */
  manifest: lag(0, 3_000),
} as const satisfies Record<string, Latency>;

/** A row of the table. */
export type LatencyName = keyof typeof latencies;

/** How the table is bent. A number stands for `{ factor: number }`. */
export interface LatencyOptions {
  /** Multiplies every latency; 0 means that everything happens at once and is seen at once. Default 1. */
  readonly factor?: number;
  /** Multiplies the latencies of one kind, on top of `factor`. */
  readonly kinds?: Partial<Record<LatencyKind, number>>;
  /** Replaces the bounds of a row, in milliseconds before any factor. */
  readonly ranges?: Partial<Record<LatencyName, readonly [minMs: number, maxMs: number]>>;
}

/** Bounds of every row, factors applied. */
export type LatencyTable = Readonly<Record<LatencyName, readonly [minMs: number, maxMs: number]>>;

/** The table with the options applied. Throws RangeError for a factor or bound that is negative or not finite. */
export function latencyTable(options: LatencyOptions | number = {}): LatencyTable {
  const { factor = 1, kinds = {}, ranges = {} } = typeof options === 'number' ? { factor: options } : options;
  const row = (name: LatencyName): readonly [number, number] => {
    const { kind, minMs, maxMs } = latencies[name];
    const [low, high] = ranges[name] ?? [minMs, maxMs];
    const scale = factor * (kinds[kind] ?? 1);
    const bounds = [low * scale, high * scale] as const;
    if (!(bounds[0] >= 0 && bounds[1] >= bounds[0] && Number.isFinite(bounds[1]))) {
      throw new RangeError(`cannot use latency "${name}": ${bounds[0]} to ${bounds[1]} ms is no range`);
    }
    return bounds;
  };
  const names = Object.keys(latencies) as LatencyName[];
  return Object.fromEntries(names.map((name) => [name, row(name)])) as LatencyTable;
}

/** Draws one latency, in whole milliseconds. */
export function drawLatencyMs(table: LatencyTable, seeded: Seeded, name: LatencyName): number {
  const [minMs, maxMs] = table[name];
  // Nothing is drawn where nothing can differ, so that a table without latency costs no chance either.
  return maxMs === 0 ? 0 : Math.round(minMs + nextRandom(seeded) * (maxMs - minMs));
}
