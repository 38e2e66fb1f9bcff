import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runChaos, type ChaosOptions } from '../support/chaos.ts';

/** Half of Fly's own time: the same order of things in less of it. */
const SIMULATOR = { SIMULATOR_LATENCY: '0.5' };

async function chaos(options: Pick<ChaosOptions, 'store' | 'tenants' | 'incidents' | 'seed'>) {
  const stateDir = await mkdtemp(join(tmpdir(), 'landlord-chaos-'));
  try {
    return await runChaos({ ...options, stateDir, simulatorEnv: SIMULATOR, log: () => undefined });
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}

describe('people lose nothing, and nothing is left over,', () => {
  it('when the one daemon is killed or stands still at random moments', async () => {
    const result = await chaos({ store: 'embedded', tenants: 10, incidents: 6, seed: 11 });
    expect(result).toMatchObject({ remaining: 8, deleted: 2, acceptedRestarts: 4, violations: [] });
    expect(result.incidents['kill']).toBeGreaterThan(0);
  }, 300_000);

  it('when it is one of two, and their database dies or the line to it breaks as well', async () => {
    const result = await chaos({ store: 'postgres', tenants: 10, incidents: 10, seed: 3 });
    expect(result).toMatchObject({ remaining: 8, deleted: 2, acceptedRestarts: 4, violations: [] });
    expect(Object.keys(result.incidents).sort()).toEqual(['cut', 'database', 'kill', 'pause']);
  }, 300_000);
});
