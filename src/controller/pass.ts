/**
 * What happens during one pass? The reconciler runs with a signal that aborts when the pass takes too long or is
 * cut off; whatever it does, also throwing at once, ends as an Outcome.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Attempt } from './backoff.ts';
import {
  outcomeOfError,
  outcomeOfResult,
  TransientError,
  type Outcome,
  type ReconcileResult,
  type WaitingError,
} from './outcome.ts';

/** What a reconciler is told about the pass that it carries out. Nothing here says why the key was woken. */
export interface ReconcileContext extends Attempt {
  /** Aborts when the pass has run for too long, or when the controller stops. */
  readonly signal: AbortSignal;
  /** Carries the key and `passId` in every line. */
  readonly log: Logger;
  /** Names this pass in logs and in everything that it causes; unique within the process. */
  readonly passId: string;
}

/** Brings one key nearer to what is desired. Rejects with the errors of `outcome.ts`. */
export type Reconcile = (key: string, context: ReconcileContext) => Promise<ReconcileResult>;

export interface Pass {
  /** Never rejects. A reconciler that ignores its signal keeps this open, and its key locked. */
  readonly ended: Promise<Outcome>;
  cut(reason: WaitingError): void;
}

export interface PassOptions {
  readonly key: string;
  readonly reconcile: Reconcile;
  readonly context: Omit<ReconcileContext, 'signal'>;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

export function startPass(options: PassOptions): Pass {
  const { key, clock, timeoutMs } = options;
  const cutting = new AbortController();
  const cancelTimeout = clock.setTimer(timeoutMs, () => {
    const error = new TransientError(
      'PassTimeout',
      `cannot reconcile "${key}": it took longer than ${timeoutMs} ms`,
    );
    // Said now as well as when the pass ends: one that ignores its signal never does.
    options.context.log.warn({ reason: error.reason }, error.message);
    cutting.abort(error);
  });
  const context = { ...options.context, signal: cutting.signal };
  return {
    ended: run(options.reconcile, key, context).finally(cancelTimeout),
    cut: (reason) => cutting.abort(reason),
  };
}

async function run(reconcile: Reconcile, key: string, context: ReconcileContext): Promise<Outcome> {
  try {
    // In a turn of its own, so that the controller knows of the pass before the reconciler can call it back.
    return outcomeOfResult(await Promise.resolve().then(() => reconcile(key, context)));
  } catch (error) {
    return outcomeOfError(error, context.signal);
  }
}
