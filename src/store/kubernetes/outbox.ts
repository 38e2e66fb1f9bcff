/**
 * How is something written that nobody may have to wait for? It is put into a box and written a little later, in order
 * for each tenant, again and again while the other side is away. The box has a bottom: what does not fit any more, or
 * can never be written, is dropped, logged and counted.
 */
import type { Logger } from 'pino';
import { sleep, type Clock } from '../../clock.ts';
import { within } from '../../database/within.ts';

export interface Outbox<T> {
  /** Never waits, never throws. Entries of one key are written in the order in which they were put. */
  put(key: string, entry: T): void;
  /** Writes what is left until the deadline, then drops it. */
  close(deadlineMs: number): Promise<void>;
}

export interface OutboxOptions<T> {
  /** In logs: what is written where. */
  readonly name: string;
  readonly write: (entry: T, signal: AbortSignal) => Promise<void>;
  /** Whether trying again can help. */
  readonly isPassing: (error: unknown) => boolean;
  readonly onDropped: (why: 'full' | 'refused' | 'stopped', count: number) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Writes that are under way at once, each of other tenants. */
const LANES = 8;
/** A few minutes of a busy loop. */
const MOST_ENTRIES = 10_000;
const RETRY_BASE_MS = 250;
const RETRY_CAP_MS = 30_000;

export function createOutbox<T>(options: OutboxOptions<T>): Outbox<T> {
  const { name, log, clock } = options;
  const lanes = Array.from({ length: LANES }, (): T[] => []);
  const running = new Set<Promise<void>>();
  const stopped = new AbortController();
  let held = 0;

  function drop(why: 'full' | 'refused' | 'stopped', count: number, cause?: unknown): void {
    options.onDropped(why, count);
    const message = cause instanceof Error ? cause.message : undefined;
    log.warn({ why, count, cause: message }, `${name}: ${count} dropped`);
  }

  /** Writes a lane until it is empty. */
  async function run(lane: T[]): Promise<void> {
    for (let attempt = 0, entry = lane[0]; entry !== undefined; entry = lane[0]) {
      const failure = await options.write(entry, stopped.signal).then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
      if (stopped.signal.aborted) return;
      if (failure !== undefined && options.isPassing(failure.error)) {
        attempt += 1;
        const limitMs = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** Math.min(attempt, 16));
        await sleep(clock, limitMs * (0.5 + 0.5 * clock.random()), stopped.signal);
        continue;
      }
      attempt = 0;
      lane.shift();
      held -= 1;
      if (failure !== undefined) drop('refused', 1, failure.error);
    }
  }

  function start(lane: T[]): void {
    const run1 = run(lane).finally(() => running.delete(run1));
    running.add(run1);
  }

  return {
    put(key, entry) {
      if (stopped.signal.aborted || held >= MOST_ENTRIES) {
        drop(stopped.signal.aborted ? 'stopped' : 'full', 1);
        return;
      }
      const lane = lanes[laneOf(key)] ?? [];
      lane.push(entry);
      held += 1;
      if (lane.length === 1) start(lane);
    },
    async close(deadlineMs) {
      await within(Promise.all(running), { clock, limitMs: deadlineMs });
      stopped.abort();
      await Promise.all(running);
      if (held > 0) drop('stopped', held);
      held = 0;
    },
  };
}

/** Any spread will do, as long as a key always has the same lane. */
function laneOf(key: string): number {
  let sum = 0;
  for (const letter of key) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 65_521;
  return sum % LANES;
}
