/**
 * Runs the proof and says what came of it; the last line of each part holds its figures.
 *
 *   npm run prove                                  100,000 histories, each drawn from its seed
 *   npm run prove -- --seeds 1000 --seed 7         a thousand of them, from seed 7 on
 *   npm run prove -- --seeds 20 --tenants 50       fifty tenants in each, instead of one to three
 *   npm run prove -- --jobs 1                      in so many processes; as many as there are cores, unless told
 *   npm run prove -- --history '{…}'               lives one history again, and tells everything that happens
 *   npm run prove -- faults                        every call of one life meets every fate
 *   npm run prove -- twice --seeds 1000            every history twice: the traces must be equal
 *   npm run prove -- paths --seeds 1000            by other ways, too: they must come to the same
 *   npm run prove -- scope                         every state of a small world: --edits 2 --faults 2, --memory
 *   npm run prove -- mutants                       defects that must be found: --only <words of a name>
 *   npm run prove -- hunt --seeds 400              looks for one violation and stops
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Violation } from '../invariants/invariant.ts';
import { liveOnAllCores } from './cores.ts';
import { enumerate, type OnLived } from './enumerate.ts';
import { FOUND } from './found.ts';
import { grandTour } from './generate.ts';
import { describeFault, describeHistory, type History } from './history.ts';
import { MUTANTS } from './mutants.ts';
import { hunt } from './mutation.ts';
import { runHistory } from './run.ts';
import { explore } from './scope.ts';
import { eachSeed, type Slice, type Tally } from './tally.ts';
import { TRAPS } from './traps.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    tenants: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    stride: { type: 'string', default: '1' },
    edits: { type: 'string', default: '2' },
    faults: { type: 'string', default: '2' },
    memory: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    history: { type: 'string' },
  },
});
const FIRST = Number(values.seed);
const COUNT = Number(values.seeds);
const TENANTS = values.tenants === undefined ? undefined : Number(values.tenants);

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<boolean> {
  if (values.history !== undefined) return replay(JSON.parse(values.history) as History);
  const part = positionals[0] ?? 'histories';
  switch (part) {
    case 'histories':
      return proveHistories();
    case 'faults':
      return proveFaults();
    case 'twice':
      return proveTwice();
    case 'paths':
      return provePaths();
    case 'scope':
      return proveScope();
    case 'mutants':
      return proveMutants();
    case 'hunt':
      return findOne();
    default:
      throw new Error(
        `cannot prove "${part}": it is none of histories, faults, twice, paths, scope, mutants, hunt`,
      );
  }
}

/** Says with every tenth how far something long is. */
function sayTenths(prefix = ''): OnLived {
  let told = 0;
  return (lived, all, failed) => {
    const tenth = Math.floor((lived * 10) / all);
    if (tenth > told && tenth < 10) say(`${prefix}${lived} of ${all} lived, ${failed} with violations`);
    told = tenth;
  };
}

/** Lives them all on all cores, telling of every failure when it is found, and now and then how far it is. */
async function liveAll(how: Slice['how']): Promise<Tally & { readonly seconds: number }> {
  const startedAt = performance.now();
  const onLived = sayTenths();
  const tally = await liveOnAllCores({
    ...{ first: FIRST, count: COUNT, tenants: TENANTS, how, jobs: Number(values.jobs) },
    onSlice(slice, all) {
      for (const line of slice.told) say(line);
      onLived(all.histories, COUNT, all.failed.length);
    },
  });
  return { ...tally, seconds: (performance.now() - startedAt) / 1_000 };
}

async function proveHistories(): Promise<boolean> {
  const { failed, checks, turns, seconds, cpuMs, ...tally } = await liveAll('once');
  const healed = tally.healedMs.map((ms) => (ms < 0 ? Infinity : ms)).sort((a, b) => a - b);
  const percentile = (share: number): string =>
    ((healed[Math.floor(share * (healed.length - 1))] ?? 0) / 1_000).toFixed(1);
  say(
    `at rest after ${percentile(0.5)} s in the median, ${percentile(0.99)} s at p99, ${percentile(1)} s at most`,
  );
  say(
    `${COUNT} histories, ${failed.length} with violations${failed.length > 0 ? ` (seeds ${failed.join(', ')})` : ''}, ` +
      `${checks} checks, ${turns} turns, ${(COUNT / seconds).toFixed(1)} histories a second ` +
      `(${(COUNT / (cpuMs / 1_000)).toFixed(1)} for each second of a core), ` +
      `${Math.round(tally.virtualMs / 1_000 / seconds)} times real time`,
  );
  return failed.length === 0;
}

async function proveFaults(): Promise<boolean> {
  const stride = Number(values.stride);
  const found = await enumerate({
    ...{ history: grandTour(FIRST), readOccurrences: 2, stride },
    onLived: sayTenths(),
  });
  for (const { history, violations } of found.failed) tellOf(history, violations);
  say(
    `${found.sites} calls, ${found.histories} faults of which ${found.crashes} are crashes, all lived; ` +
      `${found.failed.length} with violations`,
  );
  return found.failed.length === 0;
}

async function proveTwice(): Promise<boolean> {
  const { unequal, failed } = await liveAll('twice');
  for (const seed of unequal) say(`seed ${seed} has two traces`);
  say(`${COUNT} histories lived twice, ${unequal.length} with unequal traces`);
  return unequal.length + failed.length === 0;
}

async function provePaths(): Promise<boolean> {
  const { failed } = await liveAll('by other ways');
  say(`${COUNT} histories lived by other ways, too, ${failed.length} with violations`);
  return failed.length === 0;
}

async function proveScope(): Promise<boolean> {
  const scope = { edits: Number(values.edits), faults: Number(values.faults), memory: values.memory };
  const found = await explore({
    ...scope,
    onLevel: (events) => sayTenths(`with ${events} edits and faults: `),
  });
  for (const { history, violations } of found.failed) tellOf(history, violations);
  say(
    `one tenant, ${scope.edits} edits and ${scope.faults} faults at most: ${found.states} states, all visited by ` +
      `${found.histories} histories; ${found.failed.length} with violations`,
  );
  return found.failed.length === 0;
}

async function proveMutants(): Promise<boolean> {
  const root = process.cwd();
  const survivors: string[] = [];
  const options = {
    root,
    compiled: join(root, '.cache/prove'),
    scratch: join(root, '.cache/mutants'),
    hunt: ['hunt', '--seeds', COUNT === 100_000 ? '200' : String(COUNT)],
  };
  const mutants = MUTANTS.filter(({ name }) => name.includes(values.only));
  for (const mutant of mutants) {
    const { by } = await hunt(mutant, options);
    if (by === undefined) survivors.push(mutant.name);
    say(`| ${mutant.name} | ${by ?? 'NOT FOUND'} |`);
  }
  say(`${mutants.length - survivors.length} of ${mutants.length} mutants found`);
  return survivors.length === 0;
}

/** First what was found before and the traps, then the seeds, then every fate of every write. False when a violation was found. */
async function findOne(): Promise<boolean> {
  const found = (await knownThatFails()) ?? (await seedThatFails()) ?? (await fateThatFails());
  say(found ?? `nothing in ${COUNT} histories, in those known and in the fates of all writes`);
  return found === undefined;
}

async function seedThatFails(): Promise<string | undefined> {
  let found: string | undefined;
  let lived = 0;
  await eachSeed({ first: FIRST, count: COUNT }, async ({ seed }, { violations: [first] }) => {
    lived += 1;
    if (first !== undefined) found = `${first.invariant} after ${lived} histories (seed ${seed})`;
    return first === undefined;
  });
  return found;
}

async function knownThatFails(): Promise<string | undefined> {
  for (const { name, history } of [...FOUND, ...TRAPS]) {
    const [first] = (await runHistory(history)).violations;
    if (first !== undefined) return `${first.invariant} by the history "${name}"`;
  }
  return undefined;
}

async function fateThatFails(): Promise<string | undefined> {
  const history = { ...grandTour(1), latency: 0 };
  const { failed } = await enumerate({ history, readOccurrences: 0, stopAtFirst: true });
  const [first] = failed;
  return (
    first &&
    `${first.violations[0]?.invariant ?? ''} by ${first.history.faults.map(describeFault).join(', ')}`
  );
}

function tellOf(history: History, violations: readonly Violation[]): void {
  for (const line of describeHistory(history)) say(line);
  for (const { invariant, message } of violations) say(`  ${invariant}: ${message}`);
  say(`  --history '${JSON.stringify(history)}'`);
}

async function replay(history: History): Promise<boolean> {
  const { violations, lines } = await runHistory(history, { keepTrace: true });
  say(lines.join('\n'));
  for (const { invariant, message } of violations) say(`${invariant}: ${message}`);
  return violations.length === 0;
}

process.exitCode = (await main()) ? 0 : 1;
