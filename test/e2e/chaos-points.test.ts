import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runPoints } from '../support/chaos-points.ts';

/** A fraction of Fly's own time: the same order of things in less of it. */
const SIMULATOR = { SIMULATOR_LATENCY: '0.2' };

it('a daemon that is killed after every write of a life, before its answer, leaves Fly as an undisturbed one does', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'landlord-points-'));
  try {
    const result = await runPoints({
      ...{ store: 'embedded', strike: 'kill', stateDir, simulatorEnv: SIMULATOR },
      // The deaths before it are `npm run chaos -- --points kill`, and all of both in test/reconcilers/crash.test.ts.
      moments: ['after'],
      log: () => undefined,
    });
    expect(result.violations).toEqual([]);
    expect(Object.keys(result.points).length).toBeGreaterThan(15);
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}, 600_000);
