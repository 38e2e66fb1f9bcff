/**
 * Which time is it in this test? A clock that moves only when the test says so; timers that come due fire in their
 * order while it moves.
 */
import type { Clock } from '../../src/clock.ts';

export interface ManualClock extends Clock {
  /** Moves on and fires what comes due on the way. */
  advance(byMs: number): void;
  /** Timers that have not fired and were not cancelled. */
  readonly pending: number;
}

export function createManualClock(startMs = Date.parse('2026-01-01T00:00:00.000Z')): ManualClock {
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  let now = startMs;
  return {
    now: () => now,
    random: () => 0.5,
    setTimer(delayMs, callback) {
      const timer = { at: now + Math.max(delayMs, 0), callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    get pending() {
      return timers.size;
    },
    advance(byMs) {
      const until = now + byMs;
      for (;;) {
        const [next] = [...timers].filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.callback();
      }
      now = until;
    },
  };
}
