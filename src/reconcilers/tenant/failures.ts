/**
 * What does a failed step mean for the tenant? Errors of Fly, of our databases and of our own become one of the
 * three kinds here and nowhere else, with the words that end up in `status.failure`.
 */
import { TransientError, WaitingError } from '../../controller/outcome.ts';
import { DatabaseError } from '../../database/errors.ts';
import { FlyError } from '../../fly/errors.ts';
import { StoreError } from '../../store/store.ts';
import type { Failure, Tenant } from '../../tenant/schema.ts';
import type { StepKind } from './steps.ts';

/** What was tried: a step of the plan, or looking at the world. */
export interface Tried {
  readonly kind: StepKind | 'observe';
  readonly target: string;
  readonly intent?: string;
}

/** One step that did not succeed. */
export interface StepFailure {
  readonly step: Tried;
  readonly kind: 'transient' | 'waiting' | 'terminal' | 'bug';
  readonly reason: string;
  readonly message: string;
  /** The effect may have taken place: what was asked for must be looked for before it is asked for again. */
  readonly ambiguous: boolean;
  /** Not sooner than this, whatever the back-off says. */
  readonly minDelayMs?: number;
  readonly cause: unknown;
}

/** The whole account is concerned, not the tenant: every tenant would be stalled, and an operator must act. */
const ACCOUNT_REASONS: ReadonlySet<string> = new Set(['Unauthorized', 'Forbidden', 'QuotaExceeded']);
const ACCOUNT_RETRY_MS = 60_000;
/** The registry knew the image, the host does not see it yet (fly-api section 5.9). */
const IMAGE_RETRY_MS = 10_000;
const WAITING_RETRY_MS = 2_000;
/** The replica lost the tenant's shard, and what it still wanted was not sent; the tenant is another one's to look at. */
export const NOT_PERMITTED = 'NotPermitted';

/**
 * What the error says. To look is right whatever the spec is, so whoever refuses a look is asked again: there is nothing
 * that the tenant's owner could mend.
 */
export function classifyFailure(step: Tried, error: unknown): StepFailure {
  const failure = sorted(step, error);
  const refusedLook = step.kind === 'observe' && failure.kind === 'terminal';
  return refusedLook ? { ...failure, kind: 'transient' } : failure;
}

function sorted(step: Tried, error: unknown): StepFailure {
  if (error instanceof FlyError) return flyFailure(step, error);
  const base = { step, ambiguous: false, cause: error };
  if (error instanceof WaitingError)
    return {
      ...base,
      kind: 'waiting',
      reason: error.reason,
      message: error.message,
      minDelayMs: error.retryAfterMs,
    };
  if (error instanceof TransientError)
    return { ...base, kind: 'transient', reason: error.reason, message: error.message };
  if (error instanceof DatabaseError) return databaseFailure(step, error);
  if (error instanceof StoreError) return storeFailure(step, error);
  return {
    ...base,
    kind: 'bug',
    reason: 'InternalError',
    message: `cannot ${words(step.kind)} "${step.target}": an internal error, see the daemon's log`,
  };
}

/** A server that is away comes back; a role that is not ours, or a right that is missing, needs a person. */
function databaseFailure(step: Tried, error: DatabaseError): StepFailure {
  const away = error.kind === 'unavailable' || error.kind === 'busy';
  const unsent = error.kind === 'unpermitted';
  return {
    step,
    kind: away || unsent ? 'transient' : 'terminal',
    reason: unsent ? NOT_PERMITTED : `Database${away ? 'Unavailable' : 'Refused'}`,
    message: `cannot ${words(step.kind)} "${step.target}": ${error.message}`,
    ambiguous: away,
    cause: error,
  };
}

/**
 * Where tenants are kept is away, or does not let us in. Neither is the tenant's fault, nor could it be told: whatever
 * is wrong, no status can be written. So it is never terminal, and a missing right is asked for again slowly.
 */
function storeFailure(step: Tried, error: StoreError): StepFailure {
  const { kind, message, ambiguous } = error;
  const refused = kind === 'refused';
  const minDelayMs = refused ? ACCOUNT_RETRY_MS : error.retryAfterMs;
  return {
    step,
    kind: 'transient',
    reason: refused ? 'StoreRefused' : 'StoreUnavailable',
    message,
    ambiguous,
    ...(minDelayMs !== undefined && { minDelayMs }),
    cause: error,
  };
}

function flyFailure(step: Tried, error: FlyError): StepFailure {
  const { reason, details, message } = error;
  const base = { step, reason, message, ambiguous: error.ambiguous, cause: error };
  if (ACCOUNT_REASONS.has(reason)) return { ...base, kind: 'transient', minDelayMs: ACCOUNT_RETRY_MS };
  if (reason === 'ImageNotFound') return { ...base, kind: 'transient', minDelayMs: IMAGE_RETRY_MS };
  // Fly may show a volume for ever that no machine can be made with: that is not asked again every two seconds.
  const halfDead = reason === 'NotFound' && step.kind === 'createMachine';
  // The plan was made against what is no longer so: nothing failed, look again.
  if (
    reason === 'AlreadyExists' ||
    reason === 'MachineVersionChanged' ||
    (reason === 'NotFound' && !halfDead)
  )
    return { ...base, kind: 'waiting', minDelayMs: WAITING_RETRY_MS };
  const delay = details.retryAfterMs ?? (error.kind === 'waiting' ? WAITING_RETRY_MS : undefined);
  return { ...base, kind: error.kind, ...(delay !== undefined && { minDelayMs: delay }) };
}

/** A step that failed for good. */
export type Refusal = Pick<Failure, 'step' | 'reason' | 'message'>;

/** What failed for good and has not changed since: neither the spec (a retry is a change of it) nor the secrets. */
export function standingRefusals({ metadata, status }: Tenant, secretsRevision: number): readonly Refusal[] {
  const failure = status?.failure;
  const stands =
    failure?.terminal === true &&
    failure.generation === metadata.generation &&
    (failure.secretsRevision ?? 0) === secretsRevision;
  return stands ? [failure, ...(failure.others ?? [])] : [];
}

/** Nobody is waited for by asking more rarely than this. */
const LONGEST_WAIT_MS = 60_000;

/**
 * When to ask again whoever has to finish first: who is not done within seconds may never be, and is asked ever more
 * rarely. `waitedMs`: since the tenant was last as it should be.
 */
export function waitMs(shortestMs: number, waitedMs: number): number {
  return Math.max(shortestMs, Math.min(waitedMs / 10, LONGEST_WAIT_MS));
}

/** `createVolume` reads "create volume". */
export function words(kind: string): string {
  return kind.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

const SEVERITY = { waiting: 0, transient: 1, bug: 2, terminal: 3 } as const;

/** The failure that decides what happens to the whole pass: the gravest, and of equals the first. */
export function gravest(failures: readonly StepFailure[]): StepFailure | undefined {
  return failures.reduce<StepFailure | undefined>(
    (worst, failure) =>
      worst === undefined || SEVERITY[failure.kind] > SEVERITY[worst.kind] ? failure : worst,
    undefined,
  );
}
