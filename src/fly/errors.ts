/**
 * What does a failed call to Fly mean? Every failure leaves src/fly as a FlyError of one of three kinds; this
 * file holds the shape, `classify.ts` the one table that fills it in.
 */

/**
 * - `transient`: try again later with back-off (time-outs, 5xx, 429, no capacity).
 * - `waiting`: somebody else must finish first (a lease, an update under way, a volume still bound); not a failure.
 * - `terminal`: the request or the account must change before it can succeed.
 */
export type FlyErrorKind = 'transient' | 'waiting' | 'terminal';

/** CamelCase reasons that Landlord tells apart. Anything else of a kind carries the kind's general reason. */
export type FlyReason =
  | 'FlyUnreachable'
  | 'FlyTimeout'
  | 'FlyServerError'
  | 'FlyUnintelligible'
  | 'RateLimited'
  | 'CircuitOpen'
  | 'RegionWithoutCapacity'
  | 'HostWithoutCapacity'
  | 'QuotaExceeded'
  | 'LeaseHeld'
  | 'MachineBusy'
  | 'MachineVersionChanged'
  | 'VolumeBound'
  | 'AlreadyExists'
  | 'NameTaken'
  | 'NotFound'
  | 'ImageNotFound'
  | 'Unauthorized'
  | 'Forbidden'
  | 'BadRequest'
  | 'Aborted'
  | 'NotPermitted';

export interface FlyErrorDetails {
  readonly kind: FlyErrorKind;
  readonly reason: FlyReason;
  /** Fly's name of the operation, such as `Machines_create`. */
  readonly operation: string;
  /** True when Fly may have done the work although no success came back: look before doing it again. */
  readonly ambiguous: boolean;
  /** HTTP status, absent when there was no answer. */
  readonly status?: number;
  /** Fly's `fly-request-id` header, for its support. */
  readonly requestId?: string;
  /** What the answer asked for with a numeric Retry-After. */
  readonly retryAfterMs?: number;
  /** Id of the machine that a 409 "already_exists" names. */
  readonly existingId?: string;
  readonly cause?: unknown;
}

/** The only error that leaves src/fly. Its message is one line and the same every time for the same cause. */
export class FlyError extends Error {
  override readonly name = 'FlyError';
  readonly details: FlyErrorDetails;

  constructor(message: string, details: FlyErrorDetails) {
    super(message, { cause: details.cause });
    this.details = details;
  }

  get kind(): FlyErrorKind {
    return this.details.kind;
  }

  get reason(): FlyReason {
    return this.details.reason;
  }

  get ambiguous(): boolean {
    return this.details.ambiguous;
  }
}

/** True when Fly said that the thing does not exist; for a delete that is success. */
export function isNotFound(error: unknown): boolean {
  return error instanceof FlyError && error.reason === 'NotFound';
}
