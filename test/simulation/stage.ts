/**
 * What stands while a history is lived? The world, those who act in it, and the watchers of what may never happen,
 * wired together before the first turn.
 */
import { appName } from '../../src/tenant/names.ts';
import type { Write } from '../invariants/destruction.ts';
import { createVerdicts, type Verdicts } from '../invariants/invariant.ts';
import { count, type Count } from '../invariants/maker.ts';
import { createSafety, type Safety } from '../invariants/safety.ts';
import { createAttention } from './attention.ts';
import { SETTINGS } from './daemon.ts';
import type { Arrival, FlyCall } from './fly-http.ts';
import type { History } from './history.ts';
import { createKernel, type Kernel } from './kernel.ts';
import { createPeople, type People } from './people.ts';
import { createRefusals } from './refusals.ts';
import { createVainBoots } from './vain-boots.ts';
import { createScene, type Scene } from './scene.ts';
import { createTrace, type Trace } from './trace.ts';
import type { Fault } from './wire.ts';

export interface Stage {
  readonly history: History;
  readonly kernel: Kernel;
  readonly scene: Scene;
  readonly people: People;
  readonly verdicts: Verdicts;
  readonly safety: Safety;
  readonly trace: Trace;
  /** When each tenant was last helped by a person, in milliseconds since the epoch, by its name. */
  readonly helpedMs: Map<string, number>;
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
  const { seed, faults, latency, listLagMs } = history;
  const verdicts = createVerdicts();
  const stir: Stage['stir'] = { changed: true, commits: 0, writes: 0, made: {} };
  const touched = new Set<string>();
  const arrived = new Map<string, Count>();
  const kernel = createKernel({ seed, onTurn: look });
  const trace = createTrace({ now: () => kernel.now(), keep });
  const safety = createSafety({
    verdicts,
    settings: SETTINGS,
    now: () => kernel.now(),
    secrets: () => scene.vault.secrets,
    leftElsewhere: (uid) => leftElsewhere(scene, uid),
    listLagMs: (listLagMs ?? LIST_LAG_MS) * latency,
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

  /** S13: a call of one who has not lost count is not refused for their number. */
  function onFlyArrival({ operation, path, made }: Arrival): (status: number | undefined) => void {
    const id = `${operation} ${path.split('/')[3] ?? ''}`;
    const counted = count(arrived.get(id), made);
    arrived.set(id, counted);
    return (status) => {
      if (status === 429) verdicts.check('S13', counted.lost, () => `${operation} was refused`);
    };
  }

  const attention = createAttention({ history, verdicts, kernel, scene: () => scene });
  const scene = createScene({
    kernel,
    trace,
    seed,
    faults,
    latency: {
      factor: latency,
      ranges: {
        volumeUnbind: [0, 8_000],
        ...(listLagMs !== undefined && { list: [listLagMs, listLagMs] }),
      },
    },
    // It would change Fly in the middle of the quiet.
    autostop: history.quietMs === 0,
    replicas: history.replicas ?? 1,
    workers: history.workers,
    onCall: onlooker && ((call) => onlooker.began(stage, call)),
    onCommit(change, maker) {
      stir.changed = true;
      stir.commits += 1;
      const { name, generation } = change.tenant.metadata;
      trace.add(`${change.type} ${name} ${generation} ${change.tenant.status?.phase ?? ''}`);
      safety.committed(change, maker);
      attention.committed(change, maker === undefined ? 'person' : 'daemon');
    },
    onFlyArrival,
    onFlyCall(call) {
      trace.add(`${call.operation} -> ${call.status ?? 'nothing'}`);
      if (!call.isWrite) return;
      stir.writes += 1;
      if (call.applied) stir.made[call.operation] = (stir.made[call.operation] ?? 0) + 1;
      if (call.applied) safety.wrote(writeOf(call));
      if (call.applied) vainBoots?.(call);
    },
    onFlyWrite: (write) => safety.began(write),
    onFlyAnswer: (answered) => refusals?.(answered),
    onApp: (name) => void touched.add(name),
    onRemoval(operation, uid, maker) {
      const made = { ...maker, atMs: kernel.now(), late: false };
      safety.wrote({ operation, app: appName(uid), target: uid, made });
    },
    onPass: (pass) => attention.began(pass),
    onPassEnd: (pass) => attention.ended(pass),
  });
  const people = createPeople({ kernel, scene, verdicts });
  const alone = (history.replicas ?? 1) === 1;
  const refusals = alone ? createRefusals({ verdicts, scene, people }) : undefined;
  const inTime = !history.acts.some((act) => act.do === 'set-clock');
  const vainBoots = alone && inTime ? createVainBoots({ verdicts, scene, people }) : undefined;
  const helpedMs = new Map<string, number>();
  const stage: Stage = { history, kernel, scene, people, verdicts, safety, trace, helpedMs, stir };
  return stage;
}

function writeOf({ operation, app, path, body = '', made }: FlyCall): Write {
  const [, , , inPath = '', , inApp = inPath] = path.split('/').map(decodeURIComponent);
  const write = { operation, app: app ?? inPath, made };
  // An edge: what the product's own client has sent.
  if (operation === 'App_IPAssignments_create')
    return { ...write, target: (JSON.parse(body) as { type: string }).type };
  return { ...write, target: inApp === 'acme' ? (path.split('/').at(-1) ?? '') : inApp };
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
