/**
 * Do the daemons recover by themselves from anything at any moment? 50 tenants live their lives while 30 things go
 * wrong; then the simulator must hold exactly what the specs say. Exits 1 when it does not.
 *
 *   npm run chaos -- [--store embedded|postgres|kubernetes] [--tenants 50] [--incidents 30] [--seed 1]
 *   npm run chaos -- --points kill|pause [--store …]    one life, struck before and after every write to Fly
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { STORES, STRIKES, type Strike } from '../test/support/chaos-house.ts';
import { runPoints } from '../test/support/chaos-points.ts';
import { runChaos } from '../test/support/chaos.ts';

const { values } = parseArgs({
  options: {
    tenants: { type: 'string', default: '50' },
    incidents: { type: 'string', default: '30' },
    store: { type: 'string', default: 'embedded' },
    seed: { type: 'string', default: '1' },
    points: { type: 'string' },
  },
});
const store = z.enum(STORES).parse(values.store);
const log = (line: string): void => void process.stderr.write(`${line}\n`);

const stateDir = await mkdtemp(join(tmpdir(), 'landlord-chaos-'));
const begun = performance.now();
try {
  const violations = await (values.points === undefined
    ? atRandom()
    : atPoints(z.enum(STRIKES).parse(values.points)));
  process.exitCode = violations.length === 0 ? 0 : 1;
} finally {
  await rm(stateDir, { recursive: true, force: true });
}

async function atRandom(): Promise<readonly string[]> {
  const result = await runChaos({
    tenants: Number(values.tenants),
    incidents: Number(values.incidents),
    seed: Number(values.seed),
    ...{ store, stateDir, log },
  });
  tell({ seed: Number(values.seed), ...result });
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
