/**
 * What stands while a history is lived? The world, those who act in it, and the watchers of what may never happen,
 * wired together before the first turn.
 */
import { appName } from '../../src/tenant/names.ts';
import { createVerdicts, type Verdicts } from '../invariants/invariant.ts';
import { createSafety } from '../invariants/safety.ts';
import { SETTINGS } from './daemon.ts';
import type { FlyCall } from './fly-http.ts';
import type { History } from './history.ts';
import { createKernel, type Kernel } from './kernel.ts';
import { createPeople, type People } from './people.ts';
import { createScene, type Scene } from './scene.ts';
import { createTrace, type Trace } from './trace.ts';
import type { Fault } from './wire.ts';

export interface Stage {
  readonly history: History;
  readonly kernel: Kernel;
  readonly scene: Scene;
  readonly people: People;
  readonly verdicts: Verdicts;
  readonly trace: Trace;
  /** Set by every commit and every change on Fly. */
  readonly stir: { changed: boolean; commits: number; writes: number; readonly made: Record<string, number> };
}

/** Looks on while a history is lived. */
export interface Onlooker {
  /** A call begins, before it meets its fate. Must not throw: the daemon would catch it. */
  began(stage: Stage, call: Pick<Fault, 'site' | 'occurrence'>): void;
  /** What it throws ends the history. */
  afterTurn(): void;
}

/** So far behind are the simulated Fly's lists at its usual latency (`src/simulator/latency.ts`). */
const LIST_LAG_MS = 2_000;

/** Builds everything, with the watchers of what may never happen in place. */
export function raiseCurtain(
  history: History,
  { keep, onlooker }: { readonly keep: boolean; readonly onlooker?: Onlooker | undefined },
): Stage {
  const { seed, faults } = history;
  const verdicts = createVerdicts();
  const stir: Stage['stir'] = { changed: true, commits: 0, writes: 0, made: {} };
  const touched = new Set<string>();
  const kernel = createKernel({ seed, onTurn: look });
  const trace = createTrace({ now: () => kernel.now(), keep });
  const safety = createSafety({
    verdicts,
    settings: SETTINGS,
    now: () => kernel.now(),
    secrets: () => scene.vault.secrets,
    leftElsewhere: (uid) => leftElsewhere(scene, uid),
    mayRepeat: () => mayRepeat(scene, history),
    lagMs: () => LIST_LAG_MS * history.latency + oldestPassMs(scene, kernel.now()),
    mayLag: history.acts.some((act) => act.do === 'stall'),
  });

  /** After every turn: what did it change on Fly? */
  function look(): void {
    onlooker?.afterTurn();
    if (touched.size === 0) return;
    const names = [...touched];
    touched.clear();
    for (const name of names) {
      stir.changed = true;
      safety.appChanged(name, scene.view(name));
    }
  }

  const scene = createScene({
    kernel,
    trace,
    seed,
    faults,
    latency: { factor: history.latency, ranges: { volumeUnbind: [0, 8_000] } },
    // It would change Fly in the middle of the quiet.
    autostop: history.quietMs === 0,
    replicas: history.replicas ?? 1,
    onCall: onlooker && ((call) => onlooker.began(stage, call)),
    onCommit(change) {
      stir.changed = true;
      stir.commits += 1;
      const { name, generation } = change.tenant.metadata;
      trace.add(`${change.type} ${name} ${generation} ${change.tenant.status?.phase ?? ''}`);
      safety.committed(change);
    },
    onFlyCall(call) {
      trace.add(`${call.operation} -> ${call.status ?? 'nothing'}`);
      verdicts.check(
        'S13',
        call.status !== 429 || isExcusable(scene, history),
        () => `${call.operation} was refused`,
      );
      if (!call.isWrite) return;
      stir.writes += 1;
      if (call.applied) stir.made[call.operation] = (stir.made[call.operation] ?? 0) + 1;
      if (call.applied) safety.wrote(writeOf(call));
    },
    onFlyWrite: (write) => safety.began(write),
    onApp: (name) => void touched.add(name),
    onRemoval: (operation, uid) => safety.wrote({ operation, app: appName(uid), target: uid }),
  });
  const people = createPeople({ kernel, scene, verdicts });
  const stage: Stage = { history, kernel, scene, people, verdicts, trace, stir };
  return stage;
}

/** For how long the oldest pass has been under way, which may know of nothing newer. */
function oldestPassMs({ daemons }: Scene, now: number): number {
  return Math.max(0, ...daemons.map((daemon) => now - daemon.busySinceMs()));
}

/**
 * A call that comes half a minute late is waited for by whoever made it, and by nobody else: a daemon that has died
 * knows only when it was begun. And a clock that is set forward says that the wait is over; so does that of another
 * daemon, of what was written by one whose clock was set back.
 */
export function mayRepeat({ wire, births }: Scene, { acts, replicas = 1 }: History): boolean {
  const late = wire.hits.some(({ fate }) => fate === 'effect-late');
  const misled = acts.some((act) => act.do === 'set-clock' && (act.byMs > 0 || births > 1));
  return misled || (late && births > replicas);
}

/** Whoever has died, been held up or lost calls has also lost count of them. */
function isExcusable({ wire, births }: Scene, { acts, replicas }: History): boolean {
  return (
    wire.hits.length > 0 ||
    births > (replicas ?? 1) ||
    acts.some((act) => act.do === 'stall' || act.do === 'set-clock')
  );
}

function writeOf({ operation, path }: FlyCall): { operation: string; app: string; target: string } {
  const [, , , app = '', , target = app] = path.split('/').map(decodeURIComponent);
  return { operation, app, target: target === 'acme' ? (path.split('/').at(-1) ?? '') : target };
}

/** What of a tenant is left outside of Fly, in words. */
export function leftElsewhere({ vault, databases }: Scene, uid: string): string[] {
  const { roleExists, databaseExists } = databases.describe(uid);
  return [
    ...(vault.describe(uid) === undefined ? [] : ['its secrets']),
    ...(roleExists ? ['its role'] : []),
    ...(databaseExists ? ['its database'] : []),
  ];
}
