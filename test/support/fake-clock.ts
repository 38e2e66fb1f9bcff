/**
 * A Clock that stands still until a test moves it. Timers fire in the order of their times, each at exactly its
 * own time, so that a test says what happens when without ever sleeping.
 */
import type { Clock } from '../../src/clock.ts';

export interface FakeClock extends Clock {
  /** Moves time on; after each instant at which timers fire, everything that they set off runs to its end. */
  advance(byMs: number): Promise<void>;
  /** Like `advance` without waiting for promises: for tests of code that has none. */
  advanceSync(byMs: number): void;
  /** Lets time pass without firing anything, as while the process stands still. */
  stall(byMs: number): void;
  /** Sets the time without firing anything, as when a machine's clock is corrected. */
  step(byMs: number): void;
  /** Lets everything run that waits for nothing but promises. */
  settle(): Promise<void>;
  /** Timers that are set and have not fired: 0 when nothing was left behind. */
  readonly timers: number;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** `random` answers every draw; 0.5 when absent. Steps of the clock move no timer, as with a real one. */
export function createFakeClock(options: { now?: number; random?: () => number } = {}): FakeClock {
  let elapsed = 0;
  let wall = options.now ?? Date.parse('2026-01-01T00:00:00Z');
  let orders = 0;
  const timers = new Set<Timer>();

  function move(to: number): void {
    wall += to - elapsed;
    elapsed = to;
  }

  function nextDue(until: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of timers) {
      if (timer.at > until) continue;
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    }
    return next;
  }

  function fire(timer: Timer): void {
    move(Math.max(timer.at, elapsed));
    timers.delete(timer);
    timer.callback();
  }

  return {
    now: () => wall,
    monotonic: () => elapsed,
    random: options.random ?? (() => 0.5),
    setTimer(delayMs, callback) {
      const timer = { at: elapsed + Math.max(delayMs, 0), order: orders++, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    async advance(byMs) {
      const until = elapsed + byMs;
      await this.settle();
      for (let timer = nextDue(until); timer; timer = nextDue(until)) {
        fire(timer);
        await this.settle();
      }
      move(until);
    },
    advanceSync(byMs) {
      const until = elapsed + byMs;
      for (let timer = nextDue(until); timer; timer = nextDue(until)) fire(timer);
      move(until);
    },
    stall: (byMs) => move(elapsed + byMs),
    step(byMs) {
      wall += byMs;
    },
    // A turn of the event loop comes only after every promise that is ready, and every one that these made ready.
    settle: () => new Promise((resolve) => setImmediate(resolve)),
    get timers() {
      return timers.size;
    },
  };
}
