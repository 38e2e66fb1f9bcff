/**
 * Does the daemon recover by itself from being killed at any moment? 50 tenants live their lives while it is
 * killed 30 times; then the simulator must hold exactly what the specs say. Exits 1 when it does not.
 *
 *   npm run chaos -- [--tenants 50] [--kills 30] [--seed 1]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { runChaos } from '../test/support/chaos.ts';

const { values } = parseArgs({
  options: {
    tenants: { type: 'string', default: '50' },
    kills: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
  },
});

const stateDir = await mkdtemp(join(tmpdir(), 'landlord-chaos-'));
const begun = performance.now();
try {
  const result = await runChaos({
    tenants: Number(values.tenants),
    kills: Number(values.kills),
    seed: Number(values.seed),
    stateDir,
    log: (line) => process.stderr.write(`${line}\n`),
  });
  const seconds = Math.round((performance.now() - begun) / 1_000);
  process.stdout.write(
    `${JSON.stringify({ bench: 'chaos', seed: Number(values.seed), seconds, ...result })}\n`,
  );
  for (const violation of result.violations) process.stdout.write(`  ${violation}\n`);
  process.stdout.write(
    `${result.kills} kills, ${result.remaining} tenants left, ${result.deleted} deleted, ` +
      `${result.acceptedRestarts} restarts, ${result.violations.length} violations, ${seconds} s\n`,
  );
  process.exitCode = result.violations.length === 0 ? 0 : 1;
} finally {
  await rm(stateDir, { recursive: true, force: true });
}
