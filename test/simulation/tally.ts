/** What came of many histories? Lives those of a row of seeds, one after the other, and adds up their figures. */
import { INVARIANTS, type Violation } from '../invariants/invariant.ts';
import { drawHistory, grandTour, type Sites } from './generate.ts';
import { describeHistory, type History } from './history.ts';
import { compareWithAsked, compareWithMore } from './paths.ts';
import { runHistory, type Verdict } from './run.ts';
import { shrink } from './shrink.ts';

/** A row of seeds. */
export interface Slice {
  readonly first: number;
  readonly count: number;
  /** How many tenants each history has; drawn, one to three, when absent. */
  readonly tenants?: number | undefined;
  /**
   * Whether every history is lived a second time, to compare the traces; or by other ways, to compare what comes of it
   * (`paths.ts`).
   */
  readonly how: 'once' | 'twice' | 'by other ways';
}

export interface Tally {
  readonly histories: number;
  readonly virtualMs: number;
  readonly checks: number;
  readonly turns: number;
  readonly cpuMs: number;
  /** For each history, from the last act until everything was as it should be; -1: never. */
  readonly healedMs: readonly number[];
  /** Seeds of those that broke an invariant. */
  readonly failed: readonly number[];
  /** Seeds of those whose second life had another trace. */
  readonly unequal: readonly number[];
  /** The failures, told in words. */
  readonly told: readonly string[];
}

export const NOTHING: Tally = {
  ...{ histories: 0, virtualMs: 0, checks: 0, turns: 0, cpuMs: 0 },
  ...{ healedMs: [], failed: [], unequal: [], told: [] },
};

export function sum(a: Tally, b: Tally): Tally {
  return {
    histories: a.histories + b.histories,
    virtualMs: a.virtualMs + b.virtualMs,
    checks: a.checks + b.checks,
    turns: a.turns + b.turns,
    cpuMs: a.cpuMs + b.cpuMs,
    healedMs: [...a.healedMs, ...b.healedMs],
    failed: [...a.failed, ...b.failed],
    unequal: [...a.unequal, ...b.unequal],
    told: [...a.told, ...b.told],
  };
}

/** The table of call sites that faults are drawn from. */
export async function sitesOfATour(): Promise<Sites> {
  return (await runHistory(grandTour(1))).calls;
}

/** Lives the histories of the seeds. `visit` answers whether to go on. */
export async function eachSeed(
  { first, count, tenants }: Omit<Slice, 'how'>,
  visit: (history: History, verdict: Verdict) => Promise<boolean>,
): Promise<void> {
  const sites = await sitesOfATour();
  for (let seed = first; seed < first + count; seed += 1) {
    const history = drawHistory(seed, sites, tenants);
    const goOn = await visit(history, await runHistory(history));
    // The event loop turns once, so that a promise that nobody caught is heard of.
    await new Promise((resolve) => setImmediate(resolve));
    if (!goOn) break;
  }
}

export async function live(slice: Slice): Promise<Tally> {
  let tally = NOTHING;
  const before = process.cpuUsage();
  await eachSeed(slice, async (history, verdict) => {
    const { figures, hash } = verdict;
    const again = slice.how === 'twice' ? await runHistory(history) : undefined;
    const otherwise = slice.how === 'by other ways' ? await compareWays(history) : [];
    const violations = [...verdict.violations, ...otherwise];
    tally = sum(tally, {
      ...figures,
      histories: 1,
      cpuMs: 0,
      healedMs: [figures.healedMs ?? -1],
      failed: violations.length > 0 ? [history.seed] : [],
      unequal: again !== undefined && again.hash !== hash ? [history.seed] : [],
      told: [...(await tell(history, verdict)), ...otherwise.map((one) => tellOf(history, one))],
    });
    return true;
  });
  const { user, system } = process.cpuUsage(before);
  return { ...tally, cpuMs: (user + system) / 1_000 };
}

async function compareWays(history: History): Promise<readonly Violation[]> {
  const [asked, more] = [await compareWithAsked(history), await compareWithMore(history)];
  return [...asked.violations, ...more.violations];
}

function tellOf({ seed }: History, { invariant, message }: Violation): string {
  const what = `seed ${seed} by another way: ${invariant} (${INVARIANTS[invariant]}): ${message}`;
  return `${what}\n    paths --seeds 1 --seed ${seed}`;
}

async function tell(history: History, { violations }: Verdict): Promise<string[]> {
  const lines = violations.map(
    ({ invariant, message }) => `  ${invariant} (${INVARIANTS[invariant]}): ${message}`,
  );
  const [first] = violations;
  if (first === undefined) return [];
  const shortest = await shrink(history, first.invariant);
  return [
    `seed ${history.seed} fails:`,
    ...lines,
    `  the shortest history that still breaks ${first.invariant}:`,
    ...describeHistory(shortest).map((line) => `    ${line}`),
    `    --history '${JSON.stringify(shortest)}'`,
  ];
}
