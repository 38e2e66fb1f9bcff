/**
 * The work queue as one would explain it: a list that is searched from end to end, without heaps, timers or
 * merging in place. Slow and obviously right; the property test holds the real one to it.
 */
import { FAIR_TURN } from '../../src/controller/schedule.ts';

interface ModelWish {
  readonly key: string;
  readonly priority: number;
  readonly readyAt: number;
  readonly held: boolean;
  /** Position in the order of becoming ready; undefined before that. */
  readonly readyOrder?: number;
  readonly madeOrder: number;
}

export function createQueueModel() {
  let wishes: ModelWish[] = [];
  let running: string[] = [];
  let now = 0;
  let count = 0;
  let turns = 0;

  const find = (key: string) => wishes.find((wish) => wish.key === key);
  const ready = () => wishes.filter((wish) => wish.readyOrder !== undefined);
  const set = (wish: ModelWish) => {
    wishes = [...wishes.filter((other) => other.key !== wish.key), wish];
  };

  /** Everything whose time has come and whose key is free becomes ready, in the order of time. */
  function promote(): void {
    const due = wishes
      .filter((wish) => wish.readyOrder === undefined && wish.readyAt <= now && !running.includes(wish.key))
      .sort((a, b) => a.readyAt - b.readyAt || a.madeOrder - b.madeOrder);
    for (const wish of due) set({ ...wish, readyOrder: count++ });
  }

  return {
    add(key: string, priority: number, afterMs: number): void {
      const known = find(key);
      const sooner = !known || (!known.held && now + afterMs < known.readyAt);
      set({
        key,
        priority: Math.max(priority, known?.priority ?? -Infinity),
        readyAt: sooner ? now + afterMs : known.readyAt,
        held: known?.held ?? false,
        madeOrder: count++,
        ...(known?.readyOrder !== undefined && { readyOrder: known.readyOrder }),
      });
      promote();
    },
    hold(key: string, priority: number, afterMs: number): void {
      set({
        key,
        priority: Math.max(priority, find(key)?.priority ?? -Infinity),
        readyAt: now + afterMs,
        held: true,
        madeOrder: count++,
        ...(afterMs === 0 && find(key)?.readyOrder !== undefined && { readyOrder: find(key)!.readyOrder! }),
      });
      promote();
    },
    release(key: string): void {
      const known = find(key);
      if (known) set({ ...known, held: false });
    },
    take(): string | undefined {
      const waiting = ready();
      if (waiting.length === 0) return undefined;
      turns += 1;
      const byAge = [...waiting].sort((a, b) => a.readyOrder! - b.readyOrder!);
      const byPriority = [...byAge].sort((a, b) => b.priority - a.priority);
      const { key } = turns % FAIR_TURN === 0 ? byAge[0]! : byPriority[0]!;
      wishes = wishes.filter((wish) => wish.key !== key);
      running.push(key);
      return key;
    },
    done(key: string): void {
      running = running.filter((other) => other !== key);
      promote();
    },
    advance(byMs: number): void {
      // Millisecond by millisecond: what becomes due first is ready first.
      for (let step = 0; step < byMs; step += 1) {
        now += 1;
        promote();
      }
    },
    depth: () => ready().length,
    size: () => wishes.length,
    running: () => [...running],
  };
}
