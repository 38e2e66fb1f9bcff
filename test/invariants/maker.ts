/**
 * Who made a call, and what could they know when they did? One who cannot know what another has begun may rightly begin
 * it again: when that is so is said here, and nowhere else.
 */

export interface Maker {
  /** Name of the process. */
  readonly process: string;
  /** When the call left it, in milliseconds since the epoch, as all times here. */
  readonly beganMs: number;
  /** Since when the pass has been under way: it knows of nothing newer than it has looked for since. */
  readonly sinceMs: number;
  /** By how much its wall clock was ahead of the world's. */
  readonly skewMs: number;
  /** Until when it last stood still; 0: it never did. */
  readonly awakeSinceMs: number;
}

/** A call that took effect. */
export interface Made extends Maker {
  readonly atMs: number;
  /** Its maker had given up by then. */
  readonly late: boolean;
}

/** A clock that is ahead by less than this leaves enough of every grace: lists lag for six seconds at most, of twenty. */
const HARMLESS_SKEW_MS = 2_000;

/**
 * Whether the later one of two makers could not know of the call: it comes late, and is waited for by whoever made it,
 * and by nobody else, since all that others know is when it was begun; or the later one reads on a clock further ahead
 * than that by which the call was written down that it is over.
 */
export function isUnknowable(call: Made, later: Maker): boolean {
  const misled = later.skewMs - call.skewMs > HARMLESS_SKEW_MS;
  return misled || (call.late && call.process !== later.process);
}

/** Whether of two calls that make the same thing the second was rightly made; `lagMs`: how far lists are behind. */
export function mayRepeat(one: Made, other: Made, lagMs: number): boolean {
  const [first, second] = one.beganMs <= other.beganMs ? [one, other] : [other, one];
  // What had shown before the later one looked was there to be seen.
  return first.atMs + lagMs >= second.sinceMs && isUnknowable(first, second);
}

/** In this time every bucket of calls is full again. */
const FORGOTTEN_MS = 5_000;

/** Whether whoever counts calls could not count these: they were made by others, came late, or on a clock that jumped. */
export function isMiscounted(calls: readonly Made[], last: Made): boolean {
  return calls.some(
    (call) =>
      call.atMs >= last.atMs - FORGOTTEN_MS &&
      (call.late || call.process !== last.process || call.skewMs !== last.skewMs),
  );
}
