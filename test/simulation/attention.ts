/**
 * E3 and E4: how long does anybody wait for a pass? What a person wants of a tenant that is at rest is begun at once,
 * however many others are looked at meanwhile; and whoever comes last comes to a turn, however much others want.
 */
import { FAIR_TURN } from '../../src/controller/schedule.ts';
import type { TenantName } from '../../src/store/store.ts';
import type { Verdicts } from '../invariants/invariant.ts';
import { isReady } from '../invariants/status.ts';
import type { Act, History } from './history.ts';
import type { Kernel, Process } from './kernel.ts';
import type { Change } from './model/tenants.ts';
import type { Scene } from './scene.ts';

/** A daemon that has died is back and knows everyone; and the slower Fly is, the later is a worker free. */
const HEARD_WITHIN_MS = { usually: 10_000, forEachLatency: 300 };
/** What goes wrong is over by then, with what came of it. */
const UPSET_MS = 120_000;
/** What others want is done by then. */
const BUSY_MS = 60_000;
/** Of a daemon in production. */
const WORKERS = 64;

/** Whom these strike hears and does nothing for a while. */
const DISTURBANCES: ReadonlySet<Act['do']> = new Set(['stall', 'set-clock', 'outage']);

export interface Attention {
  /** The store has committed what a daemon wrote, or a person. */
  committed(change: Change, by: 'daemon' | 'person'): void;
  /** A pass begins, and reads the tenant. */
  began(tenant: TenantName): void;
  /** A worker of the process takes up a pass that was due so long ago. */
  served(process: Process, waitedMs: number): void;
}

export function createAttention(options: {
  readonly history: History;
  readonly verdicts: Verdicts;
  readonly kernel: Kernel;
  /** Asked for when something happens in it. */
  readonly scene: () => Scene;
}): Attention {
  const { history, verdicts, kernel, scene } = options;
  const { replicas = 1, workers = WORKERS, acts, latency } = history;
  // Where several serve, a tenant that is handed over waits for that: see E6.
  const isCalm = replicas === 1 && !acts.some((act) => DISTURBANCES.has(act.do));
  const patienceMs = HEARD_WITHIN_MS.usually + HEARD_WITHIN_MS.forEachLatency * latency;
  /** Since when somebody waits to be heard, by the tenant's name. */
  const unheard = new Map<string, number>();
  /** When somebody last wanted something, by the tenant's name. */
  const wantedMs = new Map<string, number>();
  /** When the workers of each process took up a pass. */
  const turns = new Map<Process, number[]>();

  const isUpset = (): boolean => scene().wire.hits.some(({ atMs }) => atMs >= kernel.now() - UPSET_MS);
  const isBusy = (): boolean =>
    [...wantedMs.values()].filter((ms) => ms >= kernel.now() - BUSY_MS).length > workers;

  function expectToBeHeard(name: string): void {
    const sinceMs = kernel.now();
    unheard.set(name, sinceMs);
    scene().wire.outside.later(patienceMs, () =>
      verdicts.check(
        'E3',
        unheard.get(name) !== sinceMs || isUpset() || isBusy(),
        () => `nobody looks at tenant ${name}, which was at rest when it was edited`,
      ),
    );
  }

  return {
    committed({ before, tenant }, by) {
      const { name, generation, deletionTimestamp } = tenant.metadata;
      if (by === 'daemon' || before === undefined) return;
      if (generation === before.metadata.generation && deletionTimestamp === undefined) return;
      wantedMs.set(name, kernel.now());
      if (isCalm && isReady(before) && !unheard.has(name)) expectToBeHeard(name);
    },
    began: ({ name }) => void unheard.delete(name),
    served(process, waitedMs) {
      const before = turns.get(process) ?? [];
      turns.set(process, [...before, kernel.now()]);
      // By its own clock, which somebody may have set.
      if (process.clock.now() !== kernel.now()) return;
      const dueMs = kernel.now() - waitedMs;
      const others = before.length - before.findLastIndex((ms) => ms < dueMs) - 1;
      verdicts.check(
        'E4',
        others <= FAIR_TURN * (scene().uids.length + 1),
        () => `${others} turns of others came before one that was due`,
      );
    },
  };
}
