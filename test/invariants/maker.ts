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

/** A clock that is ahead by less than this leaves enough of every grace. */
const HARMLESS_SKEW_MS = 2_000;
/** So long after a call was begun its effect is still waited for: what Landlord promises (45 s), less a harmless skew. */
const AWAITED_MS = 43_000;

/** Whether the effect of a call came, and could be seen, only when nobody had to wait for it any more. */
function isOverdue(call: Made, lagMs: number): boolean {
  return call.atMs + lagMs - call.beganMs > AWAITED_MS;
}

/** Whether the later one reads on a clock further ahead than that by which the call was written down that it is over. */
export function isMisled(call: Made, later: Maker): boolean {
  return later.skewMs - call.skewMs > HARMLESS_SKEW_MS;
}

/** Whether of two calls that make the same thing the second was rightly made; `lagMs`: how far lists are behind. */
export function mayRepeat(one: Made, other: Made, lagMs: number): boolean {
  const [first, second] = one.beganMs <= other.beganMs ? [one, other] : [other, one];
  // What had shown before the later one looked was there to be seen.
  return first.atMs + lagMs >= second.sinceMs && (isMisled(first, second) || isOverdue(first, lagMs));
}

/** After so long without a call every bucket is full again. */
const FULL_AFTER_MS = 5_000;

/** What is known of calls that Fly counts together. */
export interface Count {
  readonly last: Made;
  /** Since the bucket was last full, its user has lost count: others called too, or a call came late, or a clock jumped. */
  readonly lost: boolean;
}

/** One more has arrived. */
export function count(before: Count | undefined, last: Made): Count {
  if (before === undefined || last.atMs - before.last.atMs > FULL_AFTER_MS) return { last, lost: last.late };
  const other = before.last.process !== last.process || before.last.skewMs !== last.skewMs;
  return { last, lost: before.lost || last.late || other };
}
