/**
 * Whose turn is it? Wishes wait here for a time to come, then for a worker, and are taken in order: highest
 * priority first, then whichever became ready first; but every {@link FAIR_TURN}th turn is the wish's that has
 * been ready longest. So a wish that became ready behind `n` others is taken within FAIR_TURN * (n + 1) turns
 * whatever is put in later, and urgent wishes give up an eighth of the turns for it. (Priorities that grow with
 * time would bound the wait as well; but in a long backlog everything has grown old, and a person's edit would
 * wait behind all of it.)
 */
import type { Clock } from '../clock.ts';
import { createHeap, type HeapNode } from './heap.ts';

/** One turn of this many goes to the wish that has been ready longest, whatever its priority. */
export const FAIR_TURN = 8;

/** That a key be reconciled. Whoever changes its priority or time puts it in again afterwards. */
export interface Wish {
  readonly key: string;
  /** Higher goes first. */
  priority: number;
  /** In the time of the schedule. */
  readyAt: number;
  /** True: only its own time counts, no other wish for the key brings it forward. */
  held: boolean;
  /** Breaks ties; the schedule counts it anew when the wish becomes ready. */
  order: number;
  /** Where the schedule keeps the wish; absent while it does not. */
  place?: DelayedPlace | ReadyPlace | undefined;
}

interface DelayedPlace {
  readonly kind: 'delayed';
  readonly node: HeapNode<Wish>;
}

interface ReadyPlace {
  readonly kind: 'ready';
  readonly byPriority: HeapNode<Wish>;
  readonly byAge: HeapNode<Wish>;
}

export interface Schedule {
  /** In milliseconds of the monotonic clock: whoever sets the machine's clock makes nobody wait longer or less. */
  time(): number;
  /** Puts the wish where its time and priority now say. */
  put(wish: Wish): void;
  /** Takes out the wish whose turn it is; undefined when none is ready. */
  take(): Wish | undefined;
  /** Wishes that are ready. */
  readonly depth: number;
  /** The wish that has been ready longest. */
  oldest(): Wish | undefined;
  clear(): void;
}

/** `onReady` is called after a wish has become ready, also from within `put`. */
export function createSchedule({ clock, onReady }: { clock: Clock; onReady: () => void }): Schedule {
  const time = (): number => clock.monotonic();
  const delayed = createHeap<Wish>(
    (a, b) => a.readyAt < b.readyAt || (a.readyAt === b.readyAt && a.order < b.order),
  );
  const ready = createReady();
  const alarm = createAlarm({ clock, time, ring });
  let orders = 0;

  function remove(wish: Wish): void {
    const place = wish.place;
    wish.place = undefined;
    if (place?.kind === 'delayed') delayed.remove(place.node);
    if (place?.kind === 'ready') ready.remove(place);
  }

  /** A wish that was ready already keeps its age. */
  function makeReady(wish: Wish): void {
    if (wish.place?.kind !== 'ready') wish.order = orders++;
    remove(wish);
    wish.place = ready.add(wish);
  }

  /** Moves every wish whose time has come to the ready ones, in the order of their times. */
  function promote(): void {
    const now = time();
    for (let wish = delayed.first(); wish && wish.readyAt <= now; wish = delayed.first()) makeReady(wish);
  }

  function ring(): void {
    promote();
    alarm.setFor(delayed.first()?.readyAt);
    if (ready.size > 0) onReady();
  }

  return {
    time,
    put(wish) {
      if (wish.readyAt <= time()) {
        makeReady(wish);
        onReady();
        return;
      }
      remove(wish);
      wish.order = orders++;
      wish.place = { kind: 'delayed', node: delayed.add(wish) };
      alarm.setFor(delayed.first()?.readyAt);
    },
    take() {
      // A timer may be late, and what is due must not depend on it.
      promote();
      const wish = ready.next();
      if (wish) remove(wish);
      return wish;
    },
    get depth() {
      return ready.size;
    },
    oldest: () => ready.oldest(),
    clear() {
      alarm.setFor(undefined);
      delayed.clear();
      ready.clear();
    },
  };
}

/** The wishes whose time has come, in both orders in which they are taken. */
function createReady(): {
  readonly size: number;
  add(wish: Wish): ReadyPlace;
  remove(place: ReadyPlace): void;
  /** The wish whose turn it is; every call that finds one is a turn. */
  next(): Wish | undefined;
  oldest(): Wish | undefined;
  clear(): void;
} {
  const byPriority = createHeap<Wish>(
    (a, b) => a.priority > b.priority || (a.priority === b.priority && a.order < b.order),
  );
  const byAge = createHeap<Wish>((a, b) => a.order < b.order);
  let turns = 0;
  return {
    get size() {
      return byAge.size;
    },
    add: (wish) => ({ kind: 'ready', byPriority: byPriority.add(wish), byAge: byAge.add(wish) }),
    remove(place) {
      byPriority.remove(place.byPriority);
      byAge.remove(place.byAge);
    },
    next() {
      if (byAge.size > 0) turns += 1;
      return turns % FAIR_TURN === 0 ? byAge.first() : byPriority.first();
    },
    oldest: () => byAge.first(),
    clear() {
      byPriority.clear();
      byAge.clear();
    },
  };
}

/** One timer for everything that is delayed, set for the earliest time. */
function createAlarm(options: { clock: Clock; time: () => number; ring: () => void }): {
  /** An alarm that is set for an earlier time stays: to ring in vain costs less than to set it anew each time. */
  setFor(at: number | undefined): void;
} {
  let setAt = Infinity;
  let cancel: (() => void) | undefined;

  function clear(): void {
    cancel?.();
    cancel = undefined;
    setAt = Infinity;
  }

  return {
    setFor(at) {
      if (at === undefined) {
        clear();
        return;
      }
      if (at >= setAt) return;
      clear();
      setAt = at;
      cancel = options.clock.setTimer(at - options.time(), () => {
        clear();
        options.ring();
      });
    },
  };
}
