/**
 * E3 and E4: how long does anybody wait for a pass? What a person wants of a tenant that is at rest is begun at once,
 * however many others are looked at meanwhile; and whoever comes last comes to a turn, however much others want. Whoever
 * never comes to one is not at rest in the end, which is E1.
 */
import { FAIR_TURN } from '../../src/controller/schedule.ts';
import { CONCURRENCY } from '../../src/loop.ts';
import { tenantKey } from '../../src/reconcilers/tenant/reconcile.ts';
import type { Verdicts } from '../invariants/invariant.ts';
import { isReady } from '../invariants/status.ts';
import type { Act, History } from './history.ts';
import type { Kernel, Process } from './kernel.ts';
import type { Change } from './model/tenants.ts';
import type { Scene } from './scene.ts';

/** An edit is heard of within milliseconds; and the slower Fly is (`History.latency`), the later is a worker free. */
const HEARD_WITHIN_MS = { usually: 1_000, forEachTimeSlower: 300 };
/** A daemon that died is back and knows everyone; a watch that was cut or hears no bells has noticed. */
const BACK_WITHIN_MS = 10_000;
/** What goes wrong is over by then, with what came of it. */
const UPSET_MS = 120_000;
/** What others want is done by then. */
const BUSY_MS = 60_000;

const DELAYS: ReadonlySet<Act['do']> = new Set(['kill', 'cut-watches', 'deaf-watches', 'compact-store']);
/** A daemon does nothing while it stands still, and all workers may wait for a Fly that is away. */
const DISTURBANCES: ReadonlySet<Act['do']> = new Set(['stall', 'outage']);

export interface Attention {
  /** The store has committed what a daemon wrote, or a person. */
  committed(change: Change, by: 'daemon' | 'person'): void;
  /** A worker takes up a pass that was due so long ago. */
  began(pass: { readonly process: Process; readonly key: string; readonly waitedMs: number }): void;
  ended(pass: { readonly process: Process; readonly key: string }): void;
}

/** What is known of the passes of one process. Times in milliseconds since the epoch. */
interface Passes {
  /** When each began. */
  readonly began: number[];
  readonly running: Set<string>;
  /** When the last one of each key ended. */
  readonly ended: Map<string, number>;
}

export function createAttention(options: {
  readonly history: History;
  readonly verdicts: Verdicts;
  readonly kernel: Kernel;
  /** Asked for when something happens in it. */
  readonly scene: () => Scene;
}): Attention {
  const { history, verdicts, kernel, scene } = options;
  const { replicas = 1, workers = CONCURRENCY, acts, latency } = history;
  // Where several serve, a tenant that is handed over waits for that: see E6.
  const isCalm = replicas === 1 && !acts.some((act) => DISTURBANCES.has(act.do));
  const usuallyMs = acts.some((act) => DELAYS.has(act.do)) ? BACK_WITHIN_MS : HEARD_WITHIN_MS.usually;
  const patienceMs = usuallyMs + HEARD_WITHIN_MS.forEachTimeSlower * latency;
  /** Since when somebody waits to be heard, in milliseconds since the epoch, by the key of the tenant. */
  const unheard = new Map<string, number>();
  /** When somebody last wanted something, by the key of the tenant. */
  const wantedMs = new Map<string, number>();
  const passes = new Map<Process, Passes>();

  function passesOf(process: Process): Passes {
    const known = passes.get(process) ?? { began: [], running: new Set(), ended: new Map() };
    passes.set(process, known);
    return known;
  }

  const isUpset = (): boolean => scene().wire.hits.some(({ atMs }) => atMs >= kernel.now() - UPSET_MS);
  const isServed = (key: string): boolean =>
    [...passes].some(([process, { running }]) => process.alive && running.has(key));
  /** Whether so many wanted something before that every worker may be at it. */
  const isBusy = (): boolean =>
    [...wantedMs.values()].filter((ms) => ms >= kernel.now() - BUSY_MS).length > workers;

  function expectToBeHeard(key: string): void {
    const sinceMs = kernel.now();
    unheard.set(key, sinceMs);
    function look(): void {
      if (unheard.get(key) !== sinceMs) return;
      if (isUpset()) scene().wire.outside.later(patienceMs, look);
      else
        verdicts.check(
          'E3',
          false,
          () => `nobody looks at tenant ${key}, which was at rest when it was edited`,
        );
    }
    scene().wire.outside.later(patienceMs, look);
  }

  return {
    committed({ before, tenant }, by) {
      const { generation, deletionTimestamp } = tenant.metadata;
      if (by === 'daemon' || before === undefined) return;
      if (generation === before.metadata.generation && deletionTimestamp === undefined) return;
      const key = tenantKey(tenant.metadata);
      wantedMs.set(key, kernel.now());
      if (isCalm && isReady(before) && !isServed(key) && !isBusy() && !unheard.has(key)) expectToBeHeard(key);
    },
    began({ process, key, waitedMs }) {
      const { began, running, ended } = passesOf(process);
      if (unheard.delete(key)) verdicts.check('E3', true, () => '');
      // A key that is wanted during its own pass waits for that pass, and for nobody else.
      const dueMs = Math.max(kernel.now() - waitedMs, ended.get(key) ?? 0);
      const others = began.length - began.findLastIndex((ms) => ms < dueMs) - 1;
      began.push(kernel.now());
      running.add(key);
      verdicts.check(
        'E4',
        others < FAIR_TURN * Math.max(scene().uids.length, 1),
        () => `${others} turns of others came before one that was due`,
      );
    },
    ended({ process, key }) {
      const { running, ended } = passesOf(process);
      running.delete(key);
      ended.set(key, kernel.now());
    },
  };
}
