/**
 * How is a history lived? First everybody does in it what they do; when they have stopped, Fly must become what the
 * specs want, whatever faults may still strike; then nothing may be written any more; at last every tenant is deleted,
 * and nothing may be left.
 */
import { setMaxListeners } from 'node:events';
import { appOf } from '../../src/reconcilers/tenant/input.ts';
import type { TenantPlanView } from '../../src/reconcilers/tenant/plan-view.ts';
import { isPaused } from '../../src/tenant/annotations.ts';
import type { Tenant, TenantSpec } from '../../src/tenant/schema.ts';
import { liveMachines, misreports } from '../invariants/holdings.ts';
import type { Violation } from '../invariants/invariant.ts';
import { checkTold, contradictions } from '../invariants/status.ts';
import { appearanceOf, type Appearance } from './appearance.ts';
import type { History } from './history.ts';
import { asleep, brokenBy, bugs, checkNothingLeft, complaint, help, needsHelp, rests } from './judge.ts';
import { EPOCH_MS } from './kernel.ts';
import { indexOf } from './people.ts';
import { raiseCurtain, type Onlooker, type Stage } from './stage.ts';
import { watchSuccession } from './succession.ts';
import type { Fault } from './wire.ts';

/** What came of a history. */
export interface Verdict {
  readonly violations: readonly Violation[];
  /** Equal for equal histories. */
  readonly hash: string;
  readonly lines: readonly string[];
  /** How often each call site was called. */
  readonly calls: ReadonlyMap<string, number>;
  /** Faults that met a call. */
  readonly hits: readonly Fault[];
  readonly made: Made;
  /** Tenants at rest after the quiet at the end, before all were deleted; none when there was no quiet. */
  readonly settled: readonly Settled[];
  readonly figures: Figures;
}

/** A tenant that has come to rest. */
export interface Settled {
  readonly index: number;
  readonly spec: TenantSpec;
  readonly hasMachine: boolean;
  readonly appearance: Appearance;
}

/** Writes that took effect, by operation. */
export type Made = Readonly<Record<string, number>>;

export interface Figures {
  readonly virtualMs: number;
  readonly turns: number;
  readonly passes: number;
  readonly checks: number;
  /** From the last act until everything was as it should be; undefined: never. */
  readonly healedMs: number | undefined;
}

/**
 * One slow sweep finds whatever the feed cannot tell; then a few attempts at the longest back-off. What is refused for
 * good is tried again with the next sweep, so often as it is refused.
 */
const PATIENCE_MS = { usually: 900_000, forEachRepeat: 330_000 };
/** Whatever was under way when everybody had gone is over by then. */
const UNDER_WAY_MS = 5_000;
/** So often people help those that are stalled, before giving up on them. */
const MOST_HELPS = 6;
/**
 * A certificate is issued, health checks pass: what is still told after all is as it should be. What comes late and
 * makes no noise is found by the sweep that follows it, and so is what a clock that jumped made a daemon miss.
 */
const SETTLING_MS = { usually: 120_000, afterNoiseless: 400_000 };

/** Lives the history from its beginning to its end. Rejects for a fault of the rig itself, and with what an onlooker throws. */
export async function runHistory(
  history: History,
  options: {
    readonly keepTrace?: boolean;
    /** Does something to the world before the first turn: for tests of the judges. */
    readonly tamper?: (stage: Stage) => void;
    readonly onlooker?: Onlooker;
  } = {},
): Promise<Verdict> {
  const stage = raiseCurtain(history, { keep: options.keepTrace === true, onlooker: options.onlooker });
  watchSuccession(stage);
  options.tamper?.(stage);
  const { kernel, scene, verdicts, trace } = stage;
  await (history.patient ? actPatiently(stage) : actByTheClock(stage));
  const healedMs = await untilRest(stage);
  const isQuiet = healedMs !== undefined && history.quietMs > 0;
  if (isQuiet) await beQuiet(stage);
  const settled = isQuiet ? stage.scene.tenants.list().items.map((tenant) => settle(stage, tenant)) : [];
  if (healedMs !== undefined) await sayFarewell(stage);
  for (const line of scene.log)
    checkTold(verdicts, { where: 'a log line', text: line, secrets: scene.vault.secrets });
  verdicts.check('BUG', (scene.passes['bug'] ?? 0) === 0, () => bugs(scene));
  return {
    violations: verdicts.violations,
    hash: trace.hash(),
    lines: trace.lines,
    calls: scene.wire.calls,
    hits: scene.wire.hits,
    made: stage.stir.made,
    settled,
    figures: {
      virtualMs: kernel.now() - EPOCH_MS,
      turns: kernel.turns,
      passes: Object.values(scene.passes).reduce((sum, count) => sum + count, 0),
      checks: verdicts.checks,
      healedMs,
    },
  };
}

function settle(stage: Stage, tenant: Tenant): Settled {
  const hasMachine = liveMachines(stage.scene.view(appOf(tenant))).length > 0;
  return { index: indexOf(tenant), spec: tenant.spec, hasMachine, appearance: appearanceOf(stage, tenant) };
}

/** Everybody does what they do at their own times. */
async function actByTheClock({ history, kernel, scene, people, trace }: Stage): Promise<void> {
  for (const act of history.acts)
    scene.wire.outside.later(act.atMs, () => {
      trace.add(`act ${act.do} ${'tenant' in act ? act.tenant : ''}`);
      people.act(act);
    });
  await kernel.run({ limitMs: EPOCH_MS + (history.acts.at(-1)?.atMs ?? 0) });
}

/** Everybody waits until what was done before has come to rest. */
async function actPatiently(stage: Stage): Promise<void> {
  for (const act of stage.history.acts) {
    if ((await untilRest(stage)) === undefined) return;
    stage.trace.add(`act ${act.do}`);
    stage.people.act(act);
  }
}

/** Runs until every tenant is as its spec wants it, helping those that a person must help. */
async function untilRest(stage: Stage): Promise<number | undefined> {
  const { kernel, stir, verdicts } = stage;
  const startedMs = kernel.now();
  unpause(stage);
  let helps = 0;
  const restless = (): readonly Tenant[] =>
    stage.scene.tenants.list().items.filter((one) => !rests(stage, one));
  for (;;) {
    stir.changed = true;
    const done = (): boolean => {
      if (!stir.changed) return false;
      stir.changed = false;
      const tenants = restless();
      return tenants.length === 0 || tenants.some(needsHelp);
    };
    await kernel.run({ limitMs: startedMs + patienceMs(stage), done });
    const left = restless();
    if (left.length === 0) return kernel.now() - startedMs;
    const stalled = left.filter(needsHelp);
    if (stalled.length === 0 || helps === MOST_HELPS) {
      for (const tenant of left)
        verdicts.check(brokenBy(stage, tenant), false, () => complaint(stage, tenant));
      return undefined;
    }
    helps += 1;
    for (const tenant of stalled) help(stage, tenant);
    // Whoever was helped has to notice it first.
    await kernel.run({ limitMs: kernel.now() + 1_000 });
  }
}

function patienceMs({ history: { faults } }: Stage): number {
  const repeats = faults.reduce((sum, { times = 1 }) => sum + times - 1, 0);
  return PATIENCE_MS.usually + repeats * PATIENCE_MS.forEachRepeat;
}

/** Whoever has paused a tenant lets it go on. */
function unpause({ scene, people }: Stage): void {
  for (const tenant of scene.tenants.list().items)
    if (isPaused(tenant)) people.act({ atMs: 0, do: 'unpause', tenant: indexOf(tenant) });
}

/** E7: where nothing is left to do, nothing is written, neither to Fly nor to the store. */
async function beQuiet(stage: Stage): Promise<void> {
  const { history, kernel, scene, stir, verdicts } = stage;
  scene.wire.heal();
  const slowness = Math.max(1, history.latency);
  const steps = history.acts.filter((act) => act.do === 'set-clock').map(({ atMs }) => EPOCH_MS + atMs);
  const noiselessMs = Math.max(scene.wire.overdueUntilMs, ...steps);
  await kernel.run({
    limitMs: Math.max(
      kernel.now() + SETTLING_MS.usually * slowness,
      noiselessMs + SETTLING_MS.afterNoiseless * slowness,
    ),
  });
  const { commits, writes } = stir;
  await kernel.run({ limitMs: kernel.now() + history.quietMs });
  const made = [stir.commits - commits, stir.writes - writes] as const;
  verdicts.check('E7', made[0] === 0, () => `${made[0]} commits although nothing changed`);
  verdicts.check('E7', made[1] === 0, () => `${made[1]} writes to Fly although nothing changed`);
  for (const tenant of scene.tenants.list().items) {
    const app = scene.view(appOf(tenant));
    const wrong = [...contradictions(tenant), ...misreports(tenant, app), ...asleep(stage, tenant, app)];
    verdicts.check('E1', wrong.length === 0, () => `${tenant.metadata.name}: ${wrong.join(', ')}`);
  }
  await askForPlans(stage);
}

/** S12: who asks a daemon what it would do is told what it does: nothing, where all is quiet. */
async function askForPlans({ kernel, scene, verdicts }: Stage): Promise<void> {
  const [daemon] = scene.daemons;
  if (daemon === undefined) return;
  const tenants = scene.tenants.list().items;
  const waiting = new AbortController();
  // So many calls listen to this one signal; Node would take that for a leak.
  setMaxListeners(0, waiting.signal);
  let plans: readonly TenantPlanView[] = [];
  void Promise.all(tenants.map((tenant) => daemon.preview(tenant, waiting.signal))).then(
    (answers) => (plans = answers),
  );
  const done = (): boolean => plans.length === tenants.length;
  await kernel.run({ limitMs: kernel.now() + SETTLING_MS.usually, done });
  verdicts.check('S12', done(), () => 'nobody answers who asks for a plan');
  const steps = plans.flatMap((plan) => plan.steps.map(({ kind, target }) => `${kind} ${target}`));
  verdicts.check('S12', steps.length === 0, () => `planned, and not done: ${steps.join(', ')}`);
}

/** E5: everything is deleted, and nothing is left of it, also of what was still under way. */
async function sayFarewell(stage: Stage): Promise<void> {
  const { kernel, scene, people, stir, verdicts } = stage;
  const tenants = scene.tenants.list().items;
  for (const tenant of tenants) people.act({ atMs: 0, do: 'delete', tenant: indexOf(tenant) });
  stir.changed = true;
  await kernel.run({
    limitMs: kernel.now() + patienceMs(stage),
    done() {
      if (!stir.changed) return false;
      stir.changed = false;
      return scene.tenants.list().items.length === 0;
    },
  });
  const left = scene.tenants.list().items;
  verdicts.check('E5', left.length === 0, () => left.map((tenant) => complaint(stage, tenant)).join('; '));
  await kernel.run({ limitMs: Math.max(kernel.now(), scene.wire.overdueUntilMs) + UNDER_WAY_MS });
  checkNothingLeft(stage);
}
