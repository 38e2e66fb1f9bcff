import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runPoints } from '../support/chaos-points.ts';

/** A fraction of Fly's own time: the same order of things in less of it. */
const SIMULATOR = { SIMULATOR_LATENCY: '0.2' };

it('a daemon that is killed before and after every write of a life leaves Fly as an undisturbed one does', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'landlord-points-'));
  try {
    const result = await runPoints({
      ...{ store: 'embedded', strike: 'kill', stateDir, simulatorEnv: SIMULATOR },
      log: () => undefined,
    });
    expect(result.violations).toEqual([]);
    expect(Object.keys(result.points).length).toBeGreaterThan(30);
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}, 600_000);
