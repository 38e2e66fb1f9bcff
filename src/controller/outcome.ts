/**
 * What came of one pass? A closed set: done, or one of three errors that say what must happen next. Whatever else
 * is thrown is a bug. The controller turns each into a requeue; nobody retries anywhere else.
 */

/** A pass that went well. */
export interface ReconcileResult {
  /**
   * When to look again, exactly. 0: there is more to do at once. Absent: only when something wakes the key.
   * Wake-ups that were wanted before the pass began are spent: only this and newer ones count.
   */
  readonly requeueAfterMs?: number;
}

/** Something outside failed and may well succeed later (time-outs, 5xx, 429, no capacity): retried with back-off. */
export class TransientError extends Error {
  override readonly name = 'TransientError';
  /** CamelCase, stable. */
  readonly reason: string;
  /** The retry waits at least this long, for example because of a Retry-After. */
  readonly minDelayMs: number;

  constructor(reason: string, message: string, options: { cause?: unknown; minDelayMs?: number } = {}) {
    super(message, causeOf(options));
    this.reason = reason;
    this.minDelayMs = checkDelay(options.minDelayMs ?? 0);
  }
}

/** Somebody else must finish first. Not a failure: looked at again after `retryAfterMs`, sooner when woken. */
export class WaitingError extends Error {
  override readonly name = 'WaitingError';
  /** CamelCase, stable; says who or what is waited for. */
  readonly reason: string;
  readonly retryAfterMs: number;

  constructor(reason: string, message: string, options: { cause?: unknown; retryAfterMs: number }) {
    super(message, causeOf(options));
    this.reason = reason;
    this.retryAfterMs = checkDelay(options.retryAfterMs);
  }
}

/**
 * A person must change something first. Not tried again until something wakes the key, or with `recheckAfterMs` at
 * a slow look: what a person mends outside of the spec wakes nobody.
 */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
  /** CamelCase, stable. */
  readonly reason: string;
  /** Absent: no look of its own. */
  readonly recheckAfterMs: number | undefined;

  constructor(reason: string, message: string, options: { cause?: unknown; recheckAfterMs?: number } = {}) {
    super(message, causeOf(options));
    this.reason = reason;
    this.recheckAfterMs =
      options.recheckAfterMs === undefined ? undefined : checkDelay(options.recheckAfterMs);
  }
}

/** Every way in which a pass can end, also the values of the metric's `outcome` label. */
export const OUTCOME_KINDS = ['done', 'waiting', 'transient', 'terminal', 'bug'] as const;

export type Outcome =
  | { readonly kind: 'done'; readonly result: ReconcileResult }
  | { readonly kind: 'waiting'; readonly error: WaitingError }
  | { readonly kind: 'transient'; readonly error: TransientError }
  | { readonly kind: 'terminal'; readonly error: TerminalError }
  | { readonly kind: 'bug'; readonly error: unknown };

/** The outcomes after which the key is tried again with back-off. */
export type Failure = Extract<Outcome, { kind: 'transient' | 'bug' }>;

/** Trying again hardly ever mends a bug, but now and then it was a race. */
const BUG_DELAY_MS = 30_000;

/**
 * How long the controller waits after a failure, exactly. `drawnMs` is what was drawn for the pass before it began
 * (`context.retryDelayMs`), so whoever reports the failure can say when the next attempt is.
 */
export function failureDelayMs(failure: Failure, drawnMs: number): number {
  return failure.kind === 'transient'
    ? Math.max(drawnMs, failure.error.minDelayMs)
    : BUG_DELAY_MS + Math.min(drawnMs, BUG_DELAY_MS);
}

/** The outcome of a pass that returned. */
export function outcomeOfResult(result: ReconcileResult): Outcome {
  checkDelay(result.requeueAfterMs ?? 0);
  return { kind: 'done', result };
}

/**
 * Which outcome a thrown value stands for. Once the pass's signal has aborted, whatever is thrown (an AbortError
 * of some library, most often) is only the echo of that: the signal's own reason says more.
 */
export function outcomeOfError(thrown: unknown, signal: AbortSignal): Outcome {
  return (
    classify(thrown) ??
    (signal.aborted ? classify(signal.reason) : undefined) ?? { kind: 'bug', error: thrown }
  );
}

function classify(error: unknown): Outcome | undefined {
  if (error instanceof WaitingError) return { kind: 'waiting', error };
  if (error instanceof TransientError) return { kind: 'transient', error };
  if (error instanceof TerminalError) return { kind: 'terminal', error };
  return undefined;
}

/** `{ cause: undefined }` would print an empty cause in every stack. */
function causeOf(options: { cause?: unknown }): ErrorOptions {
  return options.cause === undefined ? {} : { cause: options.cause };
}

/**
 * The delay itself, unless it is no finite number: NaN (from a date that was none, most often) would spin and
 * Infinity would lose the key. Throws RangeError.
 */
export function checkDelay(ms: number): number {
  if (!Number.isFinite(ms))
    throw new RangeError(`cannot look again after "${ms}" ms: it is not a finite number`);
  return ms;
}
