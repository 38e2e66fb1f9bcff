/** Every write of a short life, hit once at every moment at which it can be, and in every way in which it can fail. */
import { describe, expect, it } from 'vitest';
import { enumerate } from './enumerate.ts';
import { isCrash, TIMINGS } from './fate.ts';
import { shortLife } from './generate.ts';
import { describeHistory, type History } from './history.ts';
import { runHistory } from './run.ts';
import { explore } from './scope.ts';
import { shrink } from './shrink.ts';

/** On a Fly that does everything at once: what goes wrong goes wrong at the same calls. */
const LIFE: History = { ...shortLife(1), latency: 0 };

describe('a daemon', () => {
  it('that dies before, in and after any call of a life leaves one that ends as if it had not', async () => {
    const { failed, crashes, sites } = await enumerate({
      history: LIFE,
      readOccurrences: 2,
      only: isCrash,
    });
    expect(failed.map(({ history, violations }) => [describeHistory(history), violations])).toEqual([]);
    expect(crashes).toBe(3 * sites);
    expect(sites).toBeGreaterThanOrEqual(50);
  }, 180_000);

  it('gets over every write that is lost, unheard, late, refused or answered with nonsense', async () => {
    const { failed, histories } = await enumerate({
      history: LIFE,
      readOccurrences: 0,
      only: (fate) => !isCrash(fate),
    });
    expect(failed.map(({ history, violations }) => [describeHistory(history), violations])).toEqual([]);
    expect(histories).toBeGreaterThanOrEqual((TIMINGS.length - 3) * 30);
  }, 180_000);

  it('reaches every state of a small world, with one edit and one fault at any call, and keeps every promise', async () => {
    const { failed, states, histories } = await explore({ edits: 1, faults: 1, memory: false });
    expect(failed.map(({ history, violations }) => [describeHistory(history), violations])).toEqual([]);
    expect(states).toBeGreaterThanOrEqual(1_000);
    expect(histories).toBeGreaterThanOrEqual(500);
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
    const { violations } = await runHistory(noisy);
    const shortest = await shrink(noisy, violations[0]?.invariant ?? 'BUG');
    expect(shortest.faults).toEqual([]);
    expect(shortest.acts.map((act) => act.do)).toEqual(['create', 'outage']);
  }, 60_000);
});
