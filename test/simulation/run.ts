/**
 * How is a history lived? First everybody does in it what they do; when they have stopped, Fly must become what the
 * specs want, whatever faults may still strike; then nothing may be written any more; at last every tenant is deleted,
 * and nothing may be left.
 */
import { appOf } from '../../src/reconcilers/tenant/input.ts';
import { appName } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { differences, liveMachines, misreports, type AppView } from '../invariants/holdings.ts';
import { createVerdicts, type Verdicts, type Violation } from '../invariants/invariant.ts';
import { createSafety } from '../invariants/safety.ts';
import { checkTold, contradictions, isReady, isStalled } from '../invariants/status.ts';
import type { FlyCall } from './fly-http.ts';
import type { History } from './history.ts';
import { createKernel, EPOCH_MS, type Kernel } from './kernel.ts';
import { createPeople, type People } from './people.ts';
import { createScene, SETTINGS, type Scene } from './scene.ts';
import { createTrace, type Trace } from './trace.ts';
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
  readonly figures: Figures;
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

/** One slow sweep finds whatever the feed cannot tell; then a few attempts at the longest back-off. */
const PATIENCE_MS = 900_000;
/** Whatever was under way when everybody had gone is over by then. */
const LATE_MS = { usually: 5_000, overdue: 60_000 };
/** So often a person helps a tenant that is stalled, before giving up on it. */
const MOST_HELPS = 6;
/** A certificate is issued, health checks pass: what is still told after all is as it should be. */
const SETTLING_MS = 120_000;

interface Stage {
  readonly history: History;
  readonly kernel: Kernel;
  readonly scene: Scene;
  readonly people: People;
  readonly verdicts: Verdicts;
  readonly trace: Trace;
  /** Set by every commit and every change on Fly. */
  readonly stir: { changed: boolean; commits: number; writes: number; readonly made: Record<string, number> };
}

/** Lives the history from its beginning to its end. Rejects only for a fault of the rig itself. */
export async function runHistory(
  history: History,
  options: { readonly keepTrace?: boolean } = {},
): Promise<Verdict> {
  const stage = raiseCurtain(history, options.keepTrace === true);
  const { kernel, scene, verdicts, trace } = stage;
  await (history.patient ? actPatiently(stage) : actByTheClock(stage));
  const healedMs = await untilRest(stage);
  if (healedMs !== undefined && history.quietMs > 0) await beQuiet(stage);
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
    figures: {
      virtualMs: kernel.now() - EPOCH_MS,
      turns: kernel.turns,
      passes: Object.values(scene.passes).reduce((sum, count) => sum + count, 0),
      checks: verdicts.checks,
      healedMs,
    },
  };
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

/** Builds everything, with the watchers of what may never happen in place. */
function raiseCurtain(history: History, keep: boolean): Stage {
  const { seed, faults } = history;
  const verdicts = createVerdicts();
  const stir: Stage['stir'] = { changed: true, commits: 0, writes: 0, made: {} };
  const touched = new Set<string>();
  const kernel = createKernel({ seed, onTurn: look });
  const trace = createTrace({ now: kernel.now, keep });
  const safety = createSafety({
    verdicts,
    settings: SETTINGS,
    now: kernel.now,
    secrets: () => scene.vault.secrets,
    leftElsewhere: (uid) => leftElsewhere(scene, uid),
  });

  /** After every turn: what did it change on Fly? */
  function look(): void {
    if (touched.size === 0) return;
    const names = [...touched];
    touched.clear();
    for (const name of names) {
      stir.changed = true;
      safety.appChanged(name, viewOf(scene, name));
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
    replicas: 1,
    onCommit(change) {
      stir.changed = true;
      stir.commits += 1;
      const { name, generation } = change.tenant.metadata;
      trace.add(`${change.type} ${name} ${generation} ${change.tenant.status?.phase ?? ''}`);
      safety.committed(change);
    },
    onFlyCall(call) {
      trace.add(`${call.operation} -> ${call.status ?? 'nothing'}`);
      if (!call.isWrite) return;
      stir.writes += 1;
      if (call.applied) stir.made[call.operation] = (stir.made[call.operation] ?? 0) + 1;
      if (call.applied) safety.wrote(writeOf(call));
    },
    onApp: (name) => void touched.add(name),
    onRemoval: (operation, uid) => safety.wrote({ operation, app: appName(uid), target: uid }),
  });
  return { history, kernel, scene, people: createPeople({ kernel, scene, verdicts }), verdicts, trace, stir };
}

function viewOf(scene: Scene, name: string): AppView | undefined {
  const { apps } = scene.interfere<{ apps: Record<string, AppView> }>('GET', `/world?app=${name}`);
  return apps[name];
}

function writeOf({ operation, path }: FlyCall): { operation: string; app: string; target: string } {
  const [, , , app = '', , target = app] = path.split('/').map(decodeURIComponent);
  return { operation, app, target: target === 'acme' ? (path.split('/').at(-1) ?? '') : target };
}

/** Runs until every tenant is as its spec wants it, helping those that a person must help. */
async function untilRest(stage: Stage): Promise<number | undefined> {
  const { kernel, stir, verdicts } = stage;
  const startedMs = kernel.now();
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
    await kernel.run({ limitMs: startedMs + PATIENCE_MS, done });
    const left = restless();
    if (left.length === 0) return kernel.now() - startedMs;
    const stalled = left.filter(needsHelp);
    if (stalled.length === 0 || helps === MOST_HELPS) {
      const deleted = left.every(({ metadata }) => metadata.deletionTimestamp !== undefined);
      verdicts.check(deleted ? 'E5' : 'E1', false, () => left.map((one) => complaint(stage, one)).join('; '));
      return undefined;
    }
    helps += 1;
    for (const tenant of stalled) help(stage, tenant);
    // Whoever was helped has to notice it first.
    await kernel.run({ limitMs: kernel.now() + 1_000 });
  }
}

/** Nobody can help with a deletion: it is tried again by itself. */
function needsHelp(tenant: Tenant): boolean {
  return isStalled(tenant) && tenant.metadata.deletionTimestamp === undefined;
}

function rests(stage: Stage, tenant: Tenant): boolean {
  if (tenant.metadata.deletionTimestamp !== undefined || !isReady(tenant)) return false;
  return shortcomings(stage, tenant).length === 0;
}

/** What is not as it should be, on Fly and in the databases. */
function shortcomings({ scene }: Stage, tenant: Tenant): string[] {
  const { uid } = tenant.metadata;
  const app = viewOf(scene, appOf(tenant));
  const revealed = scene.vault.reveal(uid);
  const password = revealed?.databasePassword ?? '';
  const wanted = { ...revealed?.values, DATABASE_URL: scene.databases.url(uid, password) };
  const set = new Map(
    scene.world.state.apps[appOf(tenant)]?.secrets.face.secrets.map(({ name, value }) => [name, value]),
  );
  const unset = Object.entries(wanted).filter(([name, value]) => set.get(name) !== value);
  const awake = tenant.spec.state === 'Suspended' && liveMachines(app).some(({ state }) => state === 'started');
  return [
    ...differences(tenant, app, SETTINGS),
    ...unset.map(([name]) => `secret ${name} on Fly is not the one in the vault`),
    ...(scene.databases.passwordOf(uid) === password ? [] : ['its role has another password than the vault']),
    ...(awake ? ['it is to be suspended and its machine runs'] : []),
  ];
}

function complaint(stage: Stage, tenant: Tenant): string {
  const { name, deletionTimestamp } = tenant.metadata;
  const ready = tenant.status?.conditions?.find(({ type }) => type === 'Ready');
  const differs = shortcomings(stage, tenant);
  const wish = deletionTimestamp === undefined ? 'is not as its spec wants it' : 'is not gone';
  return [`tenant ${name} ${wish}`, ready?.message ?? 'it has no status', ...differs].join(': ');
}

/** What only a person can mend. Anything else that stalls a tenant is a violation of E2. */
function help({ scene, people, verdicts }: Stage, tenant: Tenant): void {
  const { name } = tenant.metadata;
  const stalled = tenant.status?.conditions?.find(({ type }) => type === 'Stalled');
  const reason = stalled?.reason ?? '';
  const index = Number(name.slice(1));
  if (reason === 'VolumeLost') {
    const lost = /cannot find volume "([^"]+)"/.exec(stalled?.message ?? '')?.[1] ?? '';
    people.act({ atMs: 0, do: 'edit', tenant: index, spec: { acknowledgedVolumeLoss: lost } });
    return;
  }
  const refused = scene.wire.hits.some(({ fate }) => STALLING.has(fate));
  const missing = reason === 'ImageNotFound';
  verdicts.check('E2', refused || missing, () => `tenant ${name} is stalled: ${stalled?.message ?? ''}`);
  people.act({ atMs: 0, do: 'retry', tenant: index });
}

/** Answers that say that the request itself is wrong. */
const STALLING: ReadonlySet<string> = new Set(['400', '422']);

/** E7: where nothing is left to do, nothing is written, neither to Fly nor to the store. */
async function beQuiet({ history, kernel, scene, stir, verdicts }: Stage): Promise<void> {
  scene.wire.heal();
  await kernel.run({ limitMs: kernel.now() + SETTLING_MS * Math.max(1, history.latency) });
  const { commits, writes } = stir;
  await kernel.run({ limitMs: kernel.now() + history.quietMs });
  const made = [stir.commits - commits, stir.writes - writes] as const;
  verdicts.check('E7', made[0] === 0, () => `${made[0]} commits although nothing changed`);
  verdicts.check('E7', made[1] === 0, () => `${made[1]} writes to Fly although nothing changed`);
  for (const tenant of scene.tenants.list().items) {
    const app = viewOf(scene, appOf(tenant));
    const wrong = [...contradictions(tenant), ...misreports(tenant, app), ...asleep(history, tenant, app)];
    verdicts.check('E1', wrong.length === 0, () => `${tenant.metadata.name}: ${wrong.join(', ')}`);
  }
}

/** Nobody has put the machine to sleep: so it runs, and with the newest secrets. */
function asleep({ acts }: History, { spec }: Tenant, app: AppView | undefined): string[] {
  const disturbed = acts.some((act) => ['idle-machine', 'crash-machine', 'migrate-machine', 'change-secret'].includes(act.do));
  if (disturbed || spec.state === 'Suspended') return [];
  return liveMachines(app).flatMap(({ id, state, secrets_version: version }) => [
    ...(state === 'started' ? [] : [`machine ${id} is ${state}`]),
    ...(version === app?.secrets.version ? [] : [`machine ${id} runs with old secrets`]),
  ]);
}

/** E5: everything is deleted, and nothing is left of it, also of what was still under way. */
async function sayFarewell(stage: Stage): Promise<void> {
  const { kernel, scene, people, stir, verdicts } = stage;
  const tenants = scene.tenants.list().items;
  for (const { metadata } of tenants)
    people.act({ atMs: 0, do: 'delete', tenant: Number(metadata.name.slice(1)) });
  stir.changed = true;
  await kernel.run({
    limitMs: kernel.now() + PATIENCE_MS,
    done() {
      if (!stir.changed) return false;
      stir.changed = false;
      return scene.tenants.list().items.length === 0;
    },
  });
  const left = scene.tenants.list().items;
  verdicts.check('E5', left.length === 0, () => left.map((tenant) => complaint(stage, tenant)).join('; '));
  const overdue = scene.wire.hits.some(({ fate }) => fate === 'effect-late');
  await kernel.run({ limitMs: kernel.now() + (overdue ? LATE_MS.overdue : LATE_MS.usually) });
  checkNothingLeft(stage);
}

function checkNothingLeft({ scene, verdicts }: Stage): void {
  const kept = new Set([SETTINGS.sharedRegistryApp, ...scene.orphans]);
  const apps = Object.keys(scene.world.state.apps).filter((name) => !kept.has(name));
  verdicts.check('E5', apps.length === 0, () => `left on Fly: ${apps.join(', ')}`);
  for (const uid of scene.uids) {
    if (scene.orphans.has(appName(uid))) continue;
    const left = leftElsewhere(scene, uid);
    verdicts.check('E5', left.length === 0, () => `left of a tenant that is gone: ${left.join(', ')}`);
  }
}

function leftElsewhere({ vault, databases }: Scene, uid: string): string[] {
  const { roleExists, databaseExists } = databases.describe(uid);
  return [
    ...(vault.describe(uid) === undefined ? [] : ['its secrets']),
    ...(roleExists ? ['its role'] : []),
    ...(databaseExists ? ['its database'] : []),
  ];
}

function bugs({ log }: Scene): string {
  return log.find((line) => line.includes('"reason":"Bug"'))?.slice(0, 500) ?? 'a bug that was not logged';
}
