/**
 * How long is a lease good for? The terms of client-go's leader election, which every operator of Kubernetes knows,
 * and the two rules of measuring by which they are kept.
 */
import type { Clock } from '../../clock.ts';

export interface LeaseTiming {
  /** A replica whose lease has not changed for so long may be taken for dead. */
  readonly durationMs: number;
  /**
   * A replica that has not renewed for so long stops acting. The gap to `durationMs` is the time in which a call that
   * was sent in the last moment comes to its end.
   */
  readonly renewDeadlineMs: number;
  /** Between two renewals, and between two looks at what the others do. */
  readonly retryMs: number;
  /** An answer that takes longer is not waited for. */
  readonly callTimeoutMs: number;
}

export const LEASE_TIMING: LeaseTiming = {
  durationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryMs: 2_000,
  callTimeoutMs: 5_000,
};

/**
 * Measures how old a permit of ours is. Both clocks are asked and the longer time counts: the monotonic one stands
 * still while a whole machine sleeps, the other one jumps when it is corrected. Too long costs a pause, too short
 * would let two replicas act at once. (How long another replica has been silent is the opposite case: there only the
 * monotonic clock counts.)
 */
export function startStopwatch(clock: Clock): () => number {
  const monotonic = clock.monotonic();
  const wall = clock.now();
  return () => Math.max(clock.monotonic() - monotonic, clock.now() - wall);
}
