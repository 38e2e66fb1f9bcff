/**
 * Do the daemons recover by themselves from anything at any moment? 50 tenants live their lives while 30 things go
 * wrong; then the simulator must hold exactly what the specs say. Exits 1 when it does not. `npm run chaos -- --help`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Command, Option } from 'commander';
import { STORES, STRIKES, type ChaosStore, type Strike } from '../test/support/chaos-house.ts';
import { runPoints } from '../test/support/chaos-points.ts';
import { runChaos } from '../test/support/chaos.ts';
import { wholeNumber } from '../test/support/options.ts';

interface Options {
  readonly store: ChaosStore;
  readonly tenants: number;
  readonly incidents: number;
  readonly seed: number;
  readonly points?: Strike;
}

const program = new Command('chaos')
  .description('do the daemons recover by themselves from anything at any moment?')
  .addOption(
    new Option('--store <store>', 'what they stand on; one daemon with embedded, else two')
      .choices(STORES)
      .default('embedded'),
  )
  .option('--tenants <n>', 'tenants that live meanwhile', wholeNumber(1), 50)
  .option('--incidents <n>', 'how much goes wrong', wholeNumber(1), 30)
  .option('--seed <n>', 'decides what goes wrong, and when', wholeNumber(0), 1)
  .addOption(
    new Option(
      '--points <strike>',
      'instead: one life, and the daemon is struck before and after each of its writes to Fly',
    ).choices(STRIKES),
  )
  .parse();
const { store, ...options } = program.opts<Options>();
// While one of two stands still the other lives on, past the points that are still to be struck.
if (options.points === 'pause' && store !== 'embedded')
  program.error('error: --points pause takes one daemon: leave --store out');
const log = (line: string): void => void process.stderr.write(`${line}\n`);

const stateDir = await mkdtemp(join(tmpdir(), 'landlord-chaos-'));
const begun = performance.now();
try {
  const violations = await (options.points === undefined ? atRandom() : atPoints(options.points));
  process.exitCode = violations.length === 0 ? 0 : 1;
} finally {
  await rm(stateDir, { recursive: true, force: true });
}

async function atRandom(): Promise<readonly string[]> {
  const result = await runChaos({
    ...{ tenants: options.tenants, incidents: options.incidents, seed: options.seed },
    ...{ store, stateDir, log },
  });
  tell({ seed: options.seed, ...result });
  const incidents = Object.entries(result.incidents)
    .map(([name, count]) => `${count} times ${name}`)
    .join(', ');
  process.stdout.write(
    `${incidents}, ${result.remaining} tenants left, ${result.deleted} deleted, ` +
      `${result.acceptedRestarts} restarts, ${result.violations.length} violations, ${seconds()} s\n`,
  );
  return result.violations;
}

async function atPoints(strike: Strike): Promise<readonly string[]> {
  const result = await runPoints({ strike, store, stateDir, log });
  tell({ strike, ...result });
  process.stdout.write(
    `${Object.keys(result.points).length} points, a ${strike} at each, ${result.violations.length} violations, ${seconds()} s\n`,
  );
  return result.violations;
}

function tell(result: Readonly<Record<string, unknown>> & { readonly violations: readonly string[] }): void {
  process.stdout.write(`${JSON.stringify({ bench: 'chaos', store, seconds: seconds(), ...result })}\n`);
  for (const violation of result.violations) process.stdout.write(`  ${violation}\n`);
}

function seconds(): number {
  return Math.round((performance.now() - begun) / 1_000);
}
