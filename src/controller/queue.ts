/**
 * Which key is reconciled next? To add a key is to wish for a pass no later than some time. Wishes for one key are
 * merged (the earliest time and the highest priority win), one pass serves all that were made before it began, and
 * a key that is wished for during its pass runs again afterwards, never twice at once. Nothing is kept of a key
 * that is neither wished for nor being reconciled.
 */
import type { Clock } from '../clock.ts';
import { checkDelay } from './outcome.ts';
import { createSchedule, type Wish } from './schedule.ts';

/** Higher goes first; `schedule.ts` says how long anybody may be overtaken. */
export const PRIORITY = {
  /** A person changed something and watches. */
  edit: 100,
  /** Another attempt after a failure. */
  retry: 50,
  /** The next step of something that is on its way. */
  step: 25,
  /** A look whether anything drifted. */
  drift: 0,
  /** The first look after a start, at everything at once. */
  startup: -100,
} as const;

export interface AddOptions {
  /** One of {@link PRIORITY}, or a number between; `drift` when absent. */
  readonly priority?: number;
  /** Not before this much time has passed; 0 when absent. */
  readonly afterMs?: number;
}

export interface HandOut {
  readonly key: string;
  /** From the time for which the pass was wanted until a worker took the key. */
  readonly waitedMs: number;
}

export interface WorkQueue {
  /** Wants a pass. Throws RangeError for a delay that is not a finite number. */
  add(key: string, options?: AddOptions): void;
  /** Wants a pass after exactly `afterMs`: wishes made before and after this one do not bring it forward. */
  hold(key: string, options: Required<AddOptions>): void;
  /** Ends a hold: the next `add` counts again. */
  release(key: string): void;
  /** The next key, being reconciled from now until `done`; undefined when none is ready. */
  take(): HandOut | undefined;
  /** The pass that `take` began has ended. */
  done(key: string): void;
  /** Keys that are ready and wait for a worker. */
  readonly depth: number;
  /** Keys that are wished for, now or later; with those being reconciled, all that is in memory. */
  readonly size: number;
  /** How long the key that has been ready longest has waited; 0 when none is ready. */
  oldestWaitMs(): number;
  /** Forgets every wish and accepts no more. */
  close(): void;
}

/** `onReady` is called whenever a key may have become ready, also from within `add`, `hold` and `done`. */
export function createWorkQueue(options: { clock: Clock; onReady: () => void }): WorkQueue {
  const schedule = createSchedule(options);
  const wishes = new Map<string, Wish>();
  const running = new Set<string>();
  let closed = false;

  /** A wish for a key that is being reconciled waits outside the schedule for the end of the pass. */
  function put(wish: Wish): void {
    if (!running.has(wish.key)) schedule.put(wish);
  }

  return {
    add(key, { priority = PRIORITY.drift, afterMs = 0 } = {}) {
      if (closed) return;
      const readyAt = schedule.time() + Math.max(checkDelay(afterMs), 0);
      const wish = wishFor(wishes, key);
      const isSooner = readyAt < wish.readyAt && !wish.held;
      if (!isSooner && priority <= wish.priority) return;
      if (isSooner) wish.readyAt = readyAt;
      wish.priority = Math.max(priority, wish.priority);
      put(wish);
    },
    hold(key, { priority, afterMs }) {
      if (closed) return;
      const readyAt = schedule.time() + Math.max(checkDelay(afterMs), 0);
      const wish = wishFor(wishes, key);
      wish.readyAt = readyAt;
      wish.held = true;
      wish.priority = Math.max(priority, wish.priority);
      put(wish);
    },
    release(key) {
      const wish = wishes.get(key);
      if (wish) wish.held = false;
    },
    take() {
      const wish = schedule.take();
      if (!wish) return undefined;
      wishes.delete(wish.key);
      running.add(wish.key);
      return { key: wish.key, waitedMs: schedule.time() - wish.readyAt };
    },
    done(key) {
      running.delete(key);
      const wish = wishes.get(key);
      if (wish) schedule.put(wish);
    },
    get depth() {
      return schedule.depth;
    },
    get size() {
      return wishes.size;
    },
    oldestWaitMs() {
      const oldest = schedule.oldest();
      return oldest ? schedule.time() - oldest.readyAt : 0;
    },
    close() {
      closed = true;
      wishes.clear();
      schedule.clear();
    },
  };
}

/** The key's wish; a new one wishes for nothing yet. */
function wishFor(wishes: Map<string, Wish>, key: string): Wish {
  const known = wishes.get(key);
  if (known) return known;
  const wish: Wish = { key, priority: -Infinity, readyAt: Infinity, held: false, order: 0 };
  wishes.set(key, wish);
  return wish;
}
