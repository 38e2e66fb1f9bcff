/** Faults that the simulation has found (`found.ts`) do not come back, and nothing falls into the traps (`traps.ts`). */
import { describe, expect, it } from 'vitest';
import { FOUND } from './found.ts';
import { runHistory } from './run.ts';
import { NEVER_FREE, TRAPS } from './traps.ts';

describe('what was found by simulation', () => {
  it.each(FOUND)('stays mended: $name', async ({ history }) => {
    expect((await runHistory(history)).violations).toEqual([]);
  });
});

describe('a trap', () => {
  it.each(TRAPS)('is passed: $name', async ({ history }) => {
    expect((await runHistory(history)).violations).toEqual([]);
  });
});

describe('a refusal that does not end', () => {
  it('is met by asking ever more rarely: a hundred of them take more than an hour', async () => {
    const { violations, figures, calls } = await runHistory(NEVER_FREE);
    expect(violations).toEqual([]);
    expect(calls.get('fly.Volume_delete')).toBe(101);
    expect(figures.virtualMs).toBeGreaterThan(3_600_000);
  });
});
