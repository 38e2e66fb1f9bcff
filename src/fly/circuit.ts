/**
 * Is this host worth calling at the moment? A circuit for each host (cockatiel's breaker): after so many failures
 * in a row, with no answer that the host is well, calls are refused at once for a while; then one call
 * tries, and its outcome closes the circuit or opens it for longer.
 */
import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
  type IBackoff,
  type IBackoffFactory,
} from 'cockatiel';
import type { Clock } from '../clock.ts';
import { HttpFailure, type HttpAnswer } from './http.ts';

export type CircuitStateName = 'closed' | 'halfOpen' | 'open';

export interface Circuit {
  /**
   * Runs the exchange, or rejects with cockatiel's BrokenCircuitError without running it. `mayProbe: false` for an
   * exchange whose outcome comes too late to try a host with.
   */
  run(exchange: () => Promise<HttpAnswer>, options: { mayProbe: boolean }): Promise<HttpAnswer>;
  readonly state: CircuitStateName;
}

export interface CircuitOptions {
  readonly clock: Clock;
  /** So many failures in a row open the circuit. */
  readonly failures: number;
  readonly onState?: (state: CircuitStateName) => void;
}

/** How long the circuit stays open the first, second, … time in a row; the last one repeats. */
const OPEN_MS = [5_000, 10_000, 20_000, 30_000] as const;

export function createCircuit({ clock, failures, onState }: CircuitOptions): Circuit {
  const policy = circuitBreaker(
    // A probe whose caller went away, or may not act any more, proves nothing, and cockatiel takes an error that is not listed here for health.
    handleWhen(
      (error) => isHostFailure(error) || (policy.state === CircuitState.HalfOpen && isUnsent(error)),
    ).orWhenResult((result) => statusOf(result) >= 500),
    { breaker: new ConsecutiveBreaker(failures), halfOpenAfter: openFor(clock) },
  );
  policy.onStateChange((state) => onState?.(nameOf(state)));

  return {
    async run(exchange, { mayProbe }) {
      // Cockatiel would let a call wait, uncancellable, for the probe of another one.
      const refused =
        policy.state === CircuitState.HalfOpen || (!mayProbe && policy.state !== CircuitState.Closed);
      if (refused) throw new BrokenCircuitError();
      return await policy.execute(exchange);
    },
    get state() {
      return nameOf(policy.state);
    },
  };
}

/** Cockatiel measures by the system's time; a duration that is all or nothing makes it obey the injected clock. */
function openFor(clock: Clock): IBackoffFactory<unknown> {
  function attempt(index: number): IBackoff<unknown> {
    const until = clock.monotonic() + (OPEN_MS[index] ?? OPEN_MS[OPEN_MS.length - 1] ?? 0);
    return {
      get duration() {
        return clock.monotonic() < until ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
      },
      next: () => attempt(index + 1),
    };
  }
  return { next: () => attempt(0) };
}

function isHostFailure(error: unknown): boolean {
  return error instanceof HttpFailure && (error.reason === 'disconnected' || error.reason === 'timedOut');
}

function isUnsent(error: unknown): boolean {
  return error instanceof HttpFailure && (error.reason === 'aborted' || error.reason === 'forbidden');
}

function statusOf(result: unknown): number {
  const status: unknown =
    typeof result === 'object' && result !== null ? Reflect.get(result, 'status') : undefined;
  return typeof status === 'number' ? status : 0;
}

function nameOf(state: CircuitState): CircuitStateName {
  switch (state) {
    case CircuitState.Closed:
      return 'closed';
    case CircuitState.HalfOpen:
      return 'halfOpen';
    case CircuitState.Open:
    case CircuitState.Isolated:
      return 'open';
  }
}
