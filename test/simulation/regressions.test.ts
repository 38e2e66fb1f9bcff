/** Faults that the simulation has found (`found.ts`) do not come back, and nothing falls into the traps (`traps.ts`). */
import { describe, expect, it } from 'vitest';
import { FOUND } from './found.ts';
import { runHistory } from './run.ts';
import { TRAPS } from './traps.ts';

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
