/**
 * What is the shortest history that still fails? Parts are taken out of one that fails for as long as what is left
 * fails in the same way: first many at once, then one by one.
 */
import type { InvariantId } from '../invariants/invariant.ts';
import type { History } from './history.ts';
import { runHistory } from './run.ts';

/** No history is worth more attempts; what is left then is short enough to read. */
const MOST_ATTEMPTS = 400;

/** Breaks `invariant` as `history` does, with as little as possible. */
export async function shrink(history: History, invariant: InvariantId): Promise<History> {
  let shortest = history;
  let attempts = 0;

  async function fails(candidate: History): Promise<boolean> {
    attempts += 1;
    const { violations } = await runHistory(candidate);
    return violations.some((violation) => violation.invariant === invariant);
  }

  async function tryWith(candidate: History): Promise<boolean> {
    if (attempts >= MOST_ATTEMPTS || !(await fails(candidate))) return false;
    shortest = candidate;
    return true;
  }

  async function without(key: 'acts' | 'faults'): Promise<void> {
    for (let size = Math.ceil(shortest[key].length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < shortest[key].length;) {
        const rest = [...shortest[key].slice(0, from), ...shortest[key].slice(from + size)];
        if (!(await tryWith({ ...shortest, [key]: rest }))) from += size;
      }
    }
  }

  await tryWith({ ...shortest, replicas: 1 });
  await tryWith({ ...shortest, latency: 0 });
  const { listLagMs: _, ...usual } = shortest;
  await tryWith(usual);
  await tryWith({ ...shortest, quietMs: 0 });
  for (let before = -1; before !== lengthOf(shortest) && attempts < MOST_ATTEMPTS;) {
    before = lengthOf(shortest);
    await without('faults');
    await without('acts');
  }
  return shortest;
}

function lengthOf({ acts, faults }: History): number {
  return acts.length + faults.length;
}
