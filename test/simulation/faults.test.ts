/** Every write of a short life, hit once at every moment at which it can be, and in every way in which it can fail. */
import { describe, expect, it } from 'vitest';
import { enumerate } from './enumerate.ts';
import { isCrash, TIMINGS } from './fate.ts';
import { shortLife } from './generate.ts';
import { describeHistory, type History } from './history.ts';
import { shrink } from './shrink.ts';

describe('a daemon', () => {
  it('that dies before, in and after any call of a life leaves one that ends as if it had not', async () => {
    const { failed, crashes, sites } = await enumerate({
      history: shortLife(1),
      readOccurrences: 2,
      only: isCrash,
    });
    expect(failed.map(({ history, violations }) => [describeHistory(history), violations])).toEqual([]);
    expect(crashes).toBe(3 * sites);
    expect(sites).toBeGreaterThanOrEqual(60);
  }, 180_000);

  it('gets over every write that is lost, unheard, late, refused or answered with nonsense', async () => {
    const { failed, histories } = await enumerate({
      history: shortLife(1),
      readOccurrences: 0,
      only: (fate) => !isCrash(fate),
    });
    expect(failed.map(({ history, violations }) => [describeHistory(history), violations])).toEqual([]);
    expect(histories).toBeGreaterThanOrEqual((TIMINGS.length - 3) * 30);
  }, 180_000);
});

describe('a history that fails', () => {
  it('is shrunk to what it takes to fail', async () => {
    const { patient: _, ...life } = shortLife(1);
    const noisy: History = {
      ...life,
      acts: [...life.acts, { atMs: 0, do: 'outage', kind: 'status', forMs: 10_000_000 }],
      faults: [
        { site: 'fly.Apps_show', occurrence: 1, fate: '500' },
        { site: 'vault.generate', occurrence: 1, fate: 'busy' },
      ],
    };
    const shortest = await shrink(noisy, 'E1');
    expect(shortest.faults).toEqual([]);
    expect(shortest.acts.map((act) => act.do)).toEqual(['create', 'outage']);
  }, 60_000);
});
