/**
 * How do wake-ups become passes, and outcomes wake-ups? The loop of any controller: keys from the work queue, at
 * most `concurrency` passes in flight, never two for one key, and one switch from what came of a pass to when the
 * key is looked at again. It knows nothing of what is reconciled.
 */
import type { Logger } from 'pino';
import { sleep, type Clock } from '../clock.ts';
import {
  createBackoff,
  DEFAULT_BACKOFF,
  type Attempt,
  type Backoff,
  type BackoffOptions,
} from './backoff.ts';
import type { ControllerMeter, RuntimeMetrics } from './metrics.ts';
import { failureDelayMs, WaitingError, type Failure, type Outcome } from './outcome.ts';
import { startPass, type Pass, type Reconcile } from './pass.ts';
import { createWorkQueue, PRIORITY, type AddOptions, type HandOut, type WorkQueue } from './queue.ts';

export interface ControllerOptions {
  /** In logs, metrics and pass ids. */
  readonly name: string;
  readonly reconcile: Reconcile;
  readonly clock: Clock;
  readonly log: Logger;
  /** Passes in flight at once; 64 when absent: they wait for the network, not for the processor. */
  readonly concurrency?: number;
  readonly metrics?: RuntimeMetrics;
  readonly backoff?: BackoffOptions;
  /**
   * Whether the key is ours to look at; every key when absent. One that is not is dropped, whoever wished for it and
   * when: whoever has it now looks at it, and whoever gets it back enqueues it.
   */
  readonly admits?: (key: string) => boolean;
  /** After this long a pass's signal aborts; two minutes when absent. */
  readonly passTimeoutMs?: number;
}

export interface EnqueueOptions extends AddOptions {
  /**
   * A person changed what the key stands for: forget its failures, and run even if it is backing off. Any other
   * wake-up does not shorten a back-off: to report a failure is itself a change that wakes the key.
   */
  readonly resetBackoff?: boolean;
}

/** What a stop or a release had to interrupt; both are empty when every pass came to its own end. */
export interface StopReport {
  /** Keys whose pass was still running at the deadline, so that its signal was aborted. */
  readonly cut: readonly string[];
  /** Those of them whose pass has not heeded the signal and goes on. */
  readonly stuck: readonly string[];
}

export interface Controller {
  /** Wants a pass. Kept for later before `start`, ignored after `stop`. Throws RangeError for a delay of NaN. */
  enqueue(key: string, options?: EnqueueOptions): void;
  start(): void;
  /**
   * Begins no more passes, lets those in flight end until the deadline, then aborts their signals and resolves, at
   * the latest {@link CUT_GRACE_MS} after the deadline. A controller that was stopped stays so.
   */
  stop(options: { readonly deadlineMs: number }): Promise<StopReport>;
  /** The same for the passes of those keys alone, which are not admitted any more. A deadline of 0 cuts at once. */
  release(keys: (key: string) => boolean, options: { readonly deadlineMs: number }): Promise<StopReport>;
  /** Keys that are ready and wait for a worker. */
  depth(): number;
  /** True while a pass for the key is in flight. */
  isRunning(key: string): boolean;
}

/** How long passes may take to notice that they were cut off. */
export const CUT_GRACE_MS = 2_000;

const DEFAULT_CONCURRENCY = 64;
const DEFAULT_PASS_TIMEOUT_MS = 120_000;

interface Running {
  readonly key: string;
  readonly pass: Pass;
  readonly attempt: Attempt;
  readonly log: Logger;
  /** The key was reset while its pass ran: what fails now failed at something that nobody wants any more. */
  superseded: boolean;
}

export function createController(options: ControllerOptions): Controller {
  return new Loop(options);
}

class Loop implements Controller {
  readonly #options: ControllerOptions;
  readonly #running = new Map<string, Running>();
  readonly #backoff: Backoff;
  readonly #queue: WorkQueue;
  readonly #meter: ControllerMeter | undefined;
  readonly #nextPassId: () => string;
  #started = false;
  #pumping = false;
  #stopping: Promise<StopReport> | undefined;

  constructor(options: ControllerOptions) {
    const { name, clock, backoff = DEFAULT_BACKOFF } = options;
    this.#options = options;
    this.#backoff = createBackoff({ clock, backoff });
    this.#queue = createWorkQueue({ clock, onReady: () => this.#pumpSoon() });
    this.#nextPassId = passIds(name, clock);
    this.#meter = options.metrics?.controller(name, {
      depth: () => this.depth(),
      oldestWaitMs: () => this.#queue.oldestWaitMs(),
      active: () => this.#running.size,
    });
  }

  enqueue(key: string, options: EnqueueOptions = {}): void {
    if (!this.#admits(key)) return;
    const { resetBackoff = false, ...wish } = options;
    if (resetBackoff) {
      this.#backoff.forget(key);
      this.#queue.release(key);
      const running = this.#running.get(key);
      if (running) running.superseded = true;
    }
    this.#queue.add(key, wish);
  }

  start(): void {
    this.#started = true;
    this.#pumpSoon();
  }

  stop({ deadlineMs }: { readonly deadlineMs: number }): Promise<StopReport> {
    this.#stopping ??= this.#drain(deadlineMs);
    return this.#stopping;
  }

  release(
    keys: (key: string) => boolean,
    { deadlineMs }: { readonly deadlineMs: number },
  ): Promise<StopReport> {
    return this.#end({ keys, deadlineMs, why: 'another replica goes on' });
  }

  depth(): number {
    return this.#queue.depth;
  }

  isRunning(key: string): boolean {
    return this.#running.has(key);
  }

  /** Passes begin in a turn of their own: whoever wakes a key never runs its pass, and a burst is ordered first. */
  #pumpSoon(): void {
    if (this.#pumping || !this.#started) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { concurrency = DEFAULT_CONCURRENCY } = this.#options;
    while (this.#running.size < concurrency) {
      const next = this.#queue.take();
      if (!next) return;
      if (this.#admits(next.key)) void this.#runPass(next);
      else this.#queue.done(next.key);
    }
  }

  #admits(key: string): boolean {
    return this.#options.admits?.(key) ?? true;
  }

  /** Never rejects: whatever a pass does is an outcome. */
  async #runPass({ key, waitedMs }: HandOut): Promise<void> {
    const { name, reconcile, clock, passTimeoutMs: timeoutMs = DEFAULT_PASS_TIMEOUT_MS } = this.#options;
    const startedAt = clock.monotonic();
    const attempt = this.#backoff.draw(key);
    const passId = this.#nextPassId();
    const log = this.#options.log.child({ controller: name, key, passId });
    const pass = startPass({ key, reconcile, clock, timeoutMs, context: { ...attempt, passId, log } });
    const running: Running = { key, pass, attempt, log, superseded: false };
    this.#running.set(key, running);
    this.#meter?.started({ key, waitedMs, attempt: attempt.attempt });
    const outcome = await pass.ended;
    this.#requeue(running, outcome);
    this.#running.delete(key);
    this.#queue.done(key);
    this.#meter?.ended({ key, outcome: outcome.kind, tookMs: clock.monotonic() - startedAt });
    this.#pumpSoon();
  }

  /** The one place that decides when a key is looked at again. */
  #requeue({ key, attempt, log, superseded }: Running, outcome: Outcome): void {
    switch (outcome.kind) {
      case 'done': {
        const { requeueAfterMs: afterMs } = outcome.result;
        this.#backoff.forget(key);
        log.debug({ requeueAfterMs: afterMs }, 'reconciled');
        if (afterMs === undefined) return;
        this.#queue.add(key, { afterMs, priority: afterMs > 0 ? PRIORITY.drift : PRIORITY.step });
        return;
      }
      case 'waiting': {
        // Failures are not forgotten: whoever fails after every wait must not begin at the shortest delay each time.
        const { reason, message, retryAfterMs: afterMs } = outcome.error;
        log.info({ reason, retryAfterMs: afterMs }, message);
        this.#queue.add(key, { afterMs, priority: PRIORITY.step });
        return;
      }
      case 'terminal': {
        const { reason, message, recheckAfterMs: afterMs } = outcome.error;
        this.#backoff.forget(key);
        log.warn({ reason, recheckAfterMs: afterMs }, message);
        if (afterMs !== undefined) this.#queue.add(key, { afterMs, priority: PRIORITY.drift });
        return;
      }
      case 'transient':
      case 'bug': {
        const afterMs = failureDelayMs(outcome, attempt.retryDelayMs);
        logFailure({ log, outcome, attempt: attempt.attempt, retryAfterMs: afterMs });
        if (superseded) {
          this.#queue.add(key, { afterMs, priority: PRIORITY.retry });
          return;
        }
        this.#backoff.fail(key);
        this.#queue.hold(key, { afterMs, priority: PRIORITY.retry });
        return;
      }
      default:
        outcome satisfies never;
    }
  }

  async #drain(deadlineMs: number): Promise<StopReport> {
    this.#queue.close();
    return this.#end({ keys: () => true, deadlineMs, why: 'the controller stops' });
  }

  /** Lets passes come to their end until the deadline, then cuts them off. */
  async #end(options: {
    readonly keys: (key: string) => boolean;
    readonly deadlineMs: number;
    readonly why: string;
  }): Promise<StopReport> {
    const { keys, deadlineMs, why } = options;
    const ending = [...this.#running.values()].filter(({ key }) => keys(key));
    const left = (): Running[] => ending.filter((running) => this.#running.get(running.key) === running);
    if (deadlineMs > 0) await this.#endedWithin(left(), deadlineMs);
    const cut = left();
    for (const { key, pass } of cut)
      pass.cut(new WaitingError('Stopping', `cannot go on with "${key}": ${why}`, { retryAfterMs: 0 }));
    await this.#endedWithin(cut, CUT_GRACE_MS);
    return { cut: cut.map(({ key }) => key), stuck: left().map(({ key }) => key) };
  }

  /** Resolves when the passes have ended and their outcomes are dealt with, or after `timeoutMs`. */
  async #endedWithin(passes: readonly Running[], timeoutMs: number): Promise<void> {
    if (passes.length === 0) return;
    const ended = new AbortController();
    void Promise.all(passes.map(({ pass }) => pass.ended)).then(() => ended.abort());
    await sleep(this.#options.clock, timeoutMs, ended.signal);
  }
}

function logFailure(options: { log: Logger; outcome: Failure; attempt: number; retryAfterMs: number }): void {
  const { log, outcome, attempt, retryAfterMs } = options;
  if (outcome.kind === 'transient') {
    log.warn({ reason: outcome.error.reason, attempt, retryAfterMs }, outcome.error.message);
    return;
  }
  const err =
    outcome.error instanceof Error ? outcome.error : new Error(`a ${typeof outcome.error} was thrown`);
  log.error(
    { err, reason: 'Bug', attempt, retryAfterMs },
    'cannot reconcile: an unexpected error, this is a bug',
  );
}

/** Counted, after a prefix that tells the runs of the daemon apart. */
function passIds(name: string, clock: Clock): () => string {
  const run = Math.floor(clock.random() * 36 ** 6)
    .toString(36)
    .padStart(6, '0');
  let count = 0;
  return () => `${name}-${run}-${(count += 1)}`;
}
