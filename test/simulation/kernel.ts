/**
 * How does a whole world run in one process, without waiting, and the same way every time? Everything that happens is
 * an event of virtual time. One event happens in a turn; all that it sets off among promises runs to its end before
 * the next turn begins, so that it does not matter through how many awaits a result travels.
 */
import type { Clock } from '../../src/clock.ts';
import { createHeap, type HeapNode } from '../../src/controller/heap.ts';
import { nextRandom } from '../../src/simulator/random.ts';

/** 2026-01-01T00:00:00Z, when every history begins. */
export const EPOCH_MS = Date.parse('2026-01-01T00:00:00Z');

/** One program that runs in the world. What it does is never cut short by anything but its death. */
export interface Process {
  readonly name: string;
  /** Virtual time as this process reads it, and its timers: none of them fires once it is dead. */
  readonly clock: Clock;
  readonly alive: boolean;
  /** From now on nothing that the process began goes on, and nothing reaches it. */
  kill(): void;
  /** Nothing of the process runs for so long, as after SIGSTOP; what was due meanwhile comes late. */
  stall(forMs: number): void;
  /** Until when it last stood still, in milliseconds since the epoch; 0: it never did. */
  readonly awakeSinceMs: number;
  /** Its wall clock is set by so much; its timers do not care. */
  stepClock(byMs: number): void;
  /** Runs in a turn of its own, `delayMs` from now, if the process lives and runs then. Answers with what calls it off. */
  later(delayMs: number, run: () => void): () => void;
}

export interface Kernel {
  /** Milliseconds since the epoch. */
  now(): number;
  /** The next number in [0, 1) of the one source of chance of everything but the simulated Fly. */
  random(): number;
  /** Whole milliseconds, drawn evenly. */
  draw(range: readonly [leastMs: number, mostMs: number]): number;
  spawn(name: string): Process;
  /**
   * Turn after turn, until `done` says so (asked between turns), or nothing is left to happen, or the next thing
   * would happen after `limitMs` (since the epoch), to which time then moves. Rejects with what `onTurn` throws.
   */
  run(options: { readonly limitMs: number; readonly done?: () => boolean }): Promise<void>;
  /** How many turns there have been. */
  readonly turns: number;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly owner: Program;
  readonly run: () => void;
  /** Where the heap keeps it. */
  node?: HeapNode<Event>;
}

interface Program {
  alive: boolean;
  /** Until then nothing of it runs. */
  stalledUntilMs: number;
}

/** More turns than this at one instant are a loop in which no time passes. */
const MOST_TURNS_AT_ONCE = 100_000;

/** `onTurn` is called after every turn, when everything that it set off has come to rest. */
export function createKernel(options: { readonly seed: number; readonly onTurn?: () => void }): Kernel {
  const chance = { random: options.seed | 0 };
  const events = createHeap<Event>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order));
  let nowMs = EPOCH_MS;
  let orders = 0;
  let turns = 0;
  let atOnce = 0;

  function schedule(owner: Program, atMs: number, run: () => void): Event {
    const event: Event = { atMs, order: orders++, owner, run };
    event.node = events.add(event);
    return event;
  }

  function callOff({ node }: Event): void {
    if (node !== undefined) events.remove(node);
  }

  function spawn(name: string): Process {
    const program: Program = { alive: true, stalledUntilMs: 0 };
    let skewMs = 0;
    function later(delayMs: number, run: () => void): () => void {
      if (!program.alive) return () => undefined;
      const event = schedule(program, nowMs + Math.max(Math.ceil(delayMs), 0), run);
      return () => callOff(event);
    }
    return {
      name,
      clock: {
        now: () => nowMs + skewMs,
        monotonic: () => nowMs,
        random: () => nextRandom(chance),
        setTimer: later,
      },
      get alive() {
        return program.alive;
      },
      get awakeSinceMs() {
        return program.stalledUntilMs;
      },
      kill: () => void (program.alive = false),
      stall: (forMs) => void (program.stalledUntilMs = nowMs + forMs),
      stepClock: (byMs) => void (skewMs += byMs),
      later,
    };
  }

  /** Carries out the next event that may happen by `limitMs`; false when there is none. */
  function turn(limitMs: number): boolean {
    for (let event = events.first(); event && event.atMs <= limitMs; event = events.first()) {
      callOff(event);
      const { owner } = event;
      if (!owner.alive) continue;
      if (owner.stalledUntilMs > event.atMs) {
        schedule(owner, owner.stalledUntilMs, event.run);
        continue;
      }
      atOnce = event.atMs > nowMs ? 0 : atOnce + 1;
      if (atOnce > MOST_TURNS_AT_ONCE) throw new Error('time stands still: something wakes itself at once');
      nowMs = Math.max(nowMs, event.atMs);
      turns += 1;
      event.run();
      return true;
    }
    nowMs = Math.max(nowMs, Math.min(limitMs, Number.MAX_SAFE_INTEGER));
    return false;
  }

  return {
    now: () => nowMs,
    random: () => nextRandom(chance),
    draw: ([leastMs, mostMs]) => Math.round(leastMs + nextRandom(chance) * (mostMs - leastMs)),
    spawn,
    get turns() {
      return turns;
    },
    run: ({ limitMs, done = () => false }) =>
      new Promise((resolve, reject) => {
        function next(): void {
          try {
            options.onTurn?.();
            if (done() || !turn(limitMs)) resolve();
            else afterPromises(next);
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        }
        afterPromises(next);
      }),
  };
}

/**
 * Calls back when every promise that can settle now has settled. Node runs the next tick only when no microtask is
 * left, which is a turn of the event loop without the loop: nothing real can come in between.
 */
function afterPromises(callback: () => void): void {
  queueMicrotask(() => process.nextTick(callback));
}
