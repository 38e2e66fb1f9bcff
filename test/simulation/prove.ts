/** Runs the proof and says what came of it; the last line of each part holds its figures. `--help` lists the parts. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import type { Violation } from '../invariants/invariant.ts';
import { wholeNumber } from '../support/options.ts';
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

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Says with every tenth how far something long is. */
function sayTenths(prefix = ''): OnLived {
  let told = 0;
  return (lived, all, failed) => {
    const tenth = Math.floor((lived * 10) / all);
    if (tenth > told && tenth < 10) say(`${prefix}${lived} of ${all} lived, ${failed} with violations`);
    told = tenth;
  };
}

/** A row of seeds, and in how many processes it is lived. */
interface Row {
  readonly seeds: number;
  readonly seed: number;
  readonly jobs: number;
  readonly tenants?: number;
}

/** Lives them all on all cores, telling of every failure when it is found, and now and then how far it is. */
async function liveAll(
  { seeds, seed, jobs, tenants }: Row,
  how: Slice['how'],
): Promise<Tally & { readonly seconds: number }> {
  const startedAt = performance.now();
  const onLived = sayTenths();
  const tally = await liveOnAllCores({
    ...{ first: seed, count: seeds, tenants, how, jobs },
    onSlice(slice, all) {
      for (const line of slice.told) say(line);
      onLived(all.histories, seeds, all.failed.length);
    },
  });
  return { ...tally, seconds: (performance.now() - startedAt) / 1_000 };
}

async function proveHistories(row: Row & { readonly history?: History }): Promise<boolean> {
  if (row.history !== undefined) return replay(row.history);
  const { failed, checks, turns, seconds, cpuMs, ...tally } = await liveAll(row, 'once');
  const healed = tally.healedMs.map((ms) => (ms < 0 ? Infinity : ms)).sort((a, b) => a - b);
  const percentile = (share: number): string =>
    ((healed[Math.floor(share * (healed.length - 1))] ?? 0) / 1_000).toFixed(1);
  say(
    `at rest after ${percentile(0.5)} s in the median, ${percentile(0.99)} s at p99, ${percentile(1)} s at most`,
  );
  say(
    `${row.seeds} histories, ${failed.length} with violations${failed.length > 0 ? ` (seeds ${failed.join(', ')})` : ''}, ` +
      `${checks} checks, ${turns} turns, ${(row.seeds / seconds).toFixed(1)} histories a second ` +
      `(${(row.seeds / (cpuMs / 1_000)).toFixed(1)} for each second of a core), ` +
      `${Math.round(tally.virtualMs / 1_000 / seconds)} times real time`,
  );
  return failed.length === 0;
}

async function proveFaults({ seed, stride }: { seed: number; stride: number }): Promise<boolean> {
  const found = await enumerate({
    ...{ history: grandTour(seed), readOccurrences: 2, stride },
    onLived: sayTenths(),
  });
  for (const { history, violations } of found.failed) tellOf(history, violations);
  say(
    `${found.sites} calls, ${found.histories} faults of which ${found.crashes} are crashes, all lived; ` +
      `${found.failed.length} with violations`,
  );
  return found.failed.length === 0;
}

async function proveTwice(row: Row): Promise<boolean> {
  const { unequal, failed } = await liveAll(row, 'twice');
  for (const seed of unequal) say(`seed ${seed} has two traces`);
  say(`${row.seeds} histories lived twice, ${unequal.length} with unequal traces`);
  return unequal.length + failed.length === 0;
}

async function provePaths(row: Row): Promise<boolean> {
  const { failed } = await liveAll(row, 'by other ways');
  say(`${row.seeds} histories lived by other ways, too, ${failed.length} with violations`);
  return failed.length === 0;
}

async function proveScope(scope: { edits: number; faults: number; memory: boolean }): Promise<boolean> {
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

async function proveMutants({ seeds, only }: { seeds: number; only: string }): Promise<boolean> {
  const root = process.cwd();
  const survivors: string[] = [];
  const options = {
    root,
    compiled: join(root, '.cache/prove'),
    scratch: join(root, '.cache/mutants'),
    hunt: ['hunt', '--seeds', String(seeds)],
  };
  const mutants = MUTANTS.filter(({ name }) => name.includes(only));
  for (const mutant of mutants) {
    const { by } = await hunt(mutant, options);
    if (by === undefined) survivors.push(mutant.name);
    say(`| ${mutant.name} | ${by ?? 'NOT FOUND'} |`);
  }
  say(`${mutants.length - survivors.length} of ${mutants.length} mutants found`);
  return survivors.length === 0;
}

/** First what was found before and the traps, then the seeds, then every fate of every write. False when a violation was found. */
async function findOne({ seeds, seed }: Pick<Row, 'seeds' | 'seed'>): Promise<boolean> {
  const found = (await knownThatFails()) ?? (await seedThatFails(seed, seeds)) ?? (await fateThatFails());
  say(found ?? `nothing in ${seeds} histories, in those known and in the fates of all writes`);
  return found === undefined;
}

async function seedThatFails(seed: number, seeds: number): Promise<string | undefined> {
  let found: string | undefined;
  let lived = 0;
  await eachSeed({ first: seed, count: seeds }, async (history, { violations: [first] }) => {
    lived += 1;
    if (first !== undefined) found = `${first.invariant} after ${lived} histories (seed ${history.seed})`;
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

const program = new Command('prove')
  .description('does Landlord keep its promises whatever happens? docs/proof.md tells what each part shows')
  .addHelpText(
    'after',
    '\nWithout a command it is histories. Exit codes: 0 kept, 1 broken, 2 the command is wrong.',
  )
  .showHelpAfterError(
    '`npm run prove -- --help` lists the parts; --help after the name of a part its options.',
  )
  .exitOverride((error) => {
    throw error;
  });

/** A part of the proof, which says with its exit code whether it found nothing wrong. */
function part(name: string, description: string): Command {
  return program.command(name, { isDefault: name === 'histories' }).description(description);
}

function over(command: Command, seeds: number): Command {
  return command
    .option('--seeds <n>', 'how many histories', wholeNumber(1), seeds)
    .option('--seed <n>', 'the seed of the first', wholeNumber(0), 1);
}

function onAllCores(command: Command, seeds: number): Command {
  return over(command, seeds)
    .option('--tenants <n>', 'how many tenants in each (default: drawn, 1 to 3)', wholeNumber(1))
    .option('--jobs <n>', 'how many processes', wholeNumber(1), availableParallelism());
}

/** As `tellOf` has written it. */
function asHistory(text: string): History {
  try {
    return JSON.parse(text) as History;
  } catch {
    throw new InvalidArgumentError('It is to be what follows --history where a history that failed is told.');
  }
}

async function judge(verdict: Promise<boolean>): Promise<void> {
  process.exitCode = (await verdict) ? 0 : 1;
}

onAllCores(part('histories', 'histories that are drawn, each from its seed'), 100_000)
  .option('--history <json>', 'live this one instead, and tell everything that happens in it', asHistory)
  .action((row: Parameters<typeof proveHistories>[0]) => judge(proveHistories(row)));
part('faults', 'every call of one life meets every fate')
  .option('--seed <n>', 'the seed of that life', wholeNumber(0), 1)
  .option('--stride <n>', 'only every n-th fault', wholeNumber(1), 1)
  .action((how: Parameters<typeof proveFaults>[0]) => judge(proveFaults(how)));
onAllCores(part('twice', 'every history twice: the traces must be equal'), 1_000).action((row: Row) =>
  judge(proveTwice(row)),
);
onAllCores(part('paths', 'by other ways, too: what comes of the tenants must be equal'), 1_000).action(
  (row: Row) => judge(provePaths(row)),
);
part('scope', 'every state of a small world')
  .option('--edits <n>', 'at most so many edits', wholeNumber(0), 2)
  .option('--faults <n>', 'at most so many faults', wholeNumber(0), 2)
  .option('--memory', 'what the running pass has called since it looked tells states apart, too', false)
  .action((scope: Parameters<typeof proveScope>[0]) => judge(proveScope(scope)));
part('mutants', 'defects that must be found, one at a time in a copy of the compiled product')
  .option('--seeds <n>', 'how many drawn histories to look for each in', wholeNumber(1), 200)
  .option('--only <words>', 'those alone in whose names these words stand', '')
  .action((how: Parameters<typeof proveMutants>[0]) => judge(proveMutants(how)));
over(part('hunt', 'looks for one violation and stops'), 400).action((row: Pick<Row, 'seeds' | 'seed'>) =>
  judge(findOne(row)),
);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Commander has said what is wrong already; asking for help is nothing wrong.
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
