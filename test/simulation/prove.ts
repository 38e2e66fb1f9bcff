/**
 * Runs histories and says what came of them: `npm run prove -- --seeds 1000 --seed 1`. A seed that fails is told with
 * the shortest history that still fails, which `--history` lives again; `--trace` tells everything that happened. The
 * last line holds the figures.
 */
import { parseArgs } from 'node:util';
import { INVARIANTS } from '../invariants/invariant.ts';
import { drawHistory, grandTour, type Sites } from './generate.ts';
import { describeHistory, type History } from './history.ts';
import { runHistory, type Verdict } from './run.ts';
import { shrink } from './shrink.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    history: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<void> {
  if (values.history !== undefined) {
    await replay(JSON.parse(values.history) as History);
    return;
  }
  const first = Number(values.seed);
  const count = Number(values.seeds);
  const sites = (await runHistory(grandTour(1))).calls;
  const failed: number[] = [];
  let virtualMs = 0;
  let checks = 0;
  const startedAt = performance.now();
  for (let seed = first; seed < first + count; seed += 1) {
    const verdict = await runOne(seed, sites);
    virtualMs += verdict.figures.virtualMs;
    checks += verdict.figures.checks;
    if (verdict.violations.length > 0) {
      failed.push(seed);
      await tell(drawHistory(seed, sites), verdict);
    }
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  say(
    `${count} histories, ${failed.length} with violations${failed.length > 0 ? ` (seeds ${failed.join(', ')})` : ''}, ` +
      `${checks} checks, ${(count / seconds).toFixed(0)} histories a second, ` +
      `${Math.round(virtualMs / 1_000 / seconds)} times real time`,
  );
  process.exitCode = failed.length === 0 ? 0 : 1;
}

async function runOne(seed: number, sites: Sites): Promise<Verdict> {
  const verdict = await runHistory(drawHistory(seed, sites), { keepTrace: values.trace });
  if (values.trace) say(verdict.lines.join('\n'));
  // The event loop turns once, so that a promise that nobody caught is heard of.
  await new Promise((resolve) => setImmediate(resolve));
  return verdict;
}

async function replay(history: History): Promise<void> {
  const { violations, lines } = await runHistory(history, { keepTrace: true });
  say(lines.join('\n'));
  for (const { invariant, message } of violations) say(`${invariant}: ${message}`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}

async function tell(history: History, { violations }: Verdict): Promise<void> {
  say(`seed ${history.seed} fails:`);
  for (const { invariant, message } of violations)
    say(`  ${invariant} (${INVARIANTS[invariant]}): ${message}`);
  const [first] = violations;
  if (first === undefined) return;
  say(`  the shortest history that still breaks ${first.invariant}:`);
  const shortest = await shrink(history, first.invariant);
  for (const line of describeHistory(shortest)) say(`    ${line}`);
  say(`    --history '${JSON.stringify(shortest)}'`);
}

await main();
