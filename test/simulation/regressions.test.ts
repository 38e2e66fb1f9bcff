/** Faults of the product that the simulation has found (`found.ts`) do not come back. */
import { describe, expect, it } from 'vitest';
import { FOUND } from './found.ts';
import { runHistory } from './run.ts';

describe('what was found by simulation', () => {
  it.each(FOUND)('stays mended: $name', async ({ history }) => {
    expect((await runHistory(history)).violations).toEqual([]);
  });
});
