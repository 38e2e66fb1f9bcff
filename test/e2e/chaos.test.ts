import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runChaos } from '../support/chaos.ts';

it('people lose nothing, and nothing is left over, when the daemon is killed at random moments', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'landlord-chaos-'));
  try {
    const result = await runChaos({
      tenants: 10,
      kills: 6,
      seed: 11,
      stateDir,
      // Half of Fly's own time: the same order of things in less of it.
      simulatorEnv: { SIMULATOR_LATENCY: '0.5' },
      log: () => undefined,
    });
    expect(result).toMatchObject({ kills: 6, remaining: 8, deleted: 2, acceptedRestarts: 4, violations: [] });
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}, 300_000);
