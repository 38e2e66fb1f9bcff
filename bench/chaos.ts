/**
 * Do the daemons recover by themselves from anything at any moment? 50 tenants live their lives while 30 things go
 * wrong; then the simulator must hold exactly what the specs say. Exits 1 when it does not.
 *
 *   npm run chaos -- [--store embedded|postgres|kubernetes] [--tenants 50] [--incidents 30] [--seed 1]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { STORES } from '../test/support/chaos-house.ts';
import { runChaos } from '../test/support/chaos.ts';

const { values } = parseArgs({
  options: {
    tenants: { type: 'string', default: '50' },
    incidents: { type: 'string', default: '30' },
    store: { type: 'string', default: 'embedded' },
    seed: { type: 'string', default: '1' },
  },
});

const stateDir = await mkdtemp(join(tmpdir(), 'landlord-chaos-'));
const begun = performance.now();
try {
  const result = await runChaos({
    tenants: Number(values.tenants),
    incidents: Number(values.incidents),
    store: z.enum(STORES).parse(values.store),
    seed: Number(values.seed),
    stateDir,
    log: (line) => process.stderr.write(`${line}\n`),
  });
  const seconds = Math.round((performance.now() - begun) / 1_000);
  process.stdout.write(
    `${JSON.stringify({ bench: 'chaos', store: values.store, seed: Number(values.seed), seconds, ...result })}\n`,
  );
  const incidents = Object.entries(result.incidents)
    .map(([name, count]) => `${count} times ${name}`)
    .join(', ');
  for (const violation of result.violations) process.stdout.write(`  ${violation}\n`);
  process.stdout.write(
    `${incidents}, ${result.remaining} tenants left, ${result.deleted} deleted, ` +
      `${result.acceptedRestarts} restarts, ${result.violations.length} violations, ${seconds} s\n`,
  );
  process.exitCode = result.violations.length === 0 ? 0 : 1;
} finally {
  await rm(stateDir, { recursive: true, force: true });
}
