/**
 * Which FlyError is a failed call? Every failure of `transport.ts` becomes one here: its message, kind and reason,
 * and whether the work may have been done all the same.
 */
import { isWrite, type Call } from './call.ts';
import { classify, existingIdIn, mayHaveHappened } from './classify.ts';
import { FlyError, type FlyErrorDetails, type FlyReason } from './errors.ts';
import type { HttpAnswer, HttpFailure, HttpFailureReason } from './http.ts';
import { oneLine, readRefusal, type Refusal } from './refusal.ts';

/** What every failure of one call has in common. */
export interface Context {
  readonly call: Call<unknown>;
  /** Host and port, for messages. */
  readonly host: string;
}

const BY_FAILURE: Readonly<Record<HttpFailureReason, FlyReason>> = {
  aborted: 'Aborted',
  forbidden: 'NotPermitted',
  timedOut: 'FlyTimeout',
  disconnected: 'FlyUnreachable',
  tooLarge: 'FlyUnintelligible',
};

/** The caller's signal was aborted before anything was sent. */
export function stopped(context: Context): FlyError {
  return make(context, 'the caller stopped waiting', {
    kind: 'transient',
    reason: 'Aborted',
    ambiguous: false,
  });
}

/** The exchange brought no answer. */
export function failed(context: Context, failure: HttpFailure): FlyError {
  return make(context, `${context.host}: ${failure.message}`, {
    kind: 'transient',
    reason: BY_FAILURE[failure.reason],
    ambiguous: failure.sent && isWrite(context.call),
    cause: failure,
  });
}

/** The circuit of the host is open. */
export function circuitOpen(context: Context): FlyError {
  return make(context, `${context.host} failed too often and is given time to recover`, {
    kind: 'transient',
    reason: 'CircuitOpen',
    ambiguous: false,
  });
}

/** Too many callers wait for the same rate limit. */
export function queueFull(context: Context, retryAfterMs: number): FlyError {
  return make(context, 'too many calls of its kind wait for the rate limit of Fly', {
    kind: 'transient',
    reason: 'RateLimited',
    ambiguous: false,
    retryAfterMs,
  });
}

/** A name that would address something else. */
export function unaddressable(context: Context): FlyError {
  return make(context, 'a part of its address is empty', {
    kind: 'terminal',
    reason: 'BadRequest',
    ambiguous: false,
  });
}

/** A success that cannot be understood: of a write we do not know what it did. */
export function unintelligible(context: Context, answer: HttpAnswer, why: string): FlyError {
  return make(context, `the answer of Fly is not understood: ${why}`, {
    kind: 'transient',
    reason: 'FlyUnintelligible',
    ambiguous: isWrite(context.call),
    ...received(answer),
  });
}

/** An answer that is not a success. */
export function refused(context: Context, answer: HttpAnswer): FlyError {
  return fromRefusal(context, answer, readRefusal(answer.status, answer.body));
}

/** A success by its status that says in words that the thing's state does not allow it: a 412 in truth. */
export function refusedWithin(context: Context, answer: HttpAnswer, text: string): FlyError {
  return fromRefusal(context, answer, { status: 412, text: oneLine(text), genuine: true });
}

function fromRefusal(context: Context, answer: HttpAnswer, refusal: Refusal): FlyError {
  const { call } = context;
  const existingId = existingIdIn(refusal.text);
  const retryAfterMs = retryAfter(answer);
  const words = call.confidential === true ? '' : refusal.text;
  const cause = words === '' ? `Fly answered ${answer.status}` : `Fly answered ${answer.status}: ${words}`;
  return make(context, cause, {
    ...classify(call.operation, refusal),
    ambiguous: isWrite(call) && mayHaveHappened(refusal.status),
    ...received(answer),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(existingId !== undefined && { existingId }),
  });
}

function make({ call }: Context, cause: string, details: Omit<FlyErrorDetails, 'operation'>): FlyError {
  const [verb, thing, name] = call.subject;
  return new FlyError(`cannot ${verb} ${thing} "${name}": ${cause}`, {
    ...details,
    operation: call.operation,
  });
}

function received(answer: HttpAnswer): { status: number; requestId?: string } {
  const requestId = answer.header('fly-request-id');
  return { status: answer.status, ...(requestId !== undefined && { requestId }) };
}

/** Only the numeric form: Fly documents none, and a date would need its clock. */
function retryAfter(answer: HttpAnswer): number | undefined {
  const value = answer.header('retry-after') ?? '';
  return /^\d{1,6}(?:\.\d+)?$/.test(value) ? Math.ceil(Number(value) * 1_000) : undefined;
}
