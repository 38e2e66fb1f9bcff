/**
 * How does Fly treat us? Counts and times of calls by Fly's name of the operation, how long callers queued for
 * the rate limit, and whether each host's circuit is closed. The registry is injected; without one nothing is kept.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { CircuitStateName } from './circuit.ts';
import type { FlyReason } from './errors.ts';

export interface FlyMetrics {
  /** One attempt was answered, or failed with `reason`. */
  called(operation: string, attempt: { outcome: 'success' | FlyReason; durationMs: number }): void;
  /** A call waited for the rate limit before it went out. */
  waited(operation: string, waitedMs: number): void;
  circuit(host: string, state: CircuitStateName): void;
}

const STATE_VALUE: Readonly<Record<CircuitStateName, number>> = { closed: 0, halfOpen: 1, open: 2 };

/** From a read next door to a wait of Fly's maximum, in seconds. */
const DURATION_BUCKETS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createFlyMetrics(registry: Registry | undefined): FlyMetrics {
  if (registry === undefined) return { called() {}, waited() {}, circuit() {} };
  const registers = [registry];
  const calls = new Counter({
    name: 'landlord_fly_calls_total',
    help: 'Calls sent to Fly, by operation and outcome (success, or the reason of the failure).',
    labelNames: ['operation', 'outcome'],
    registers,
  });
  const duration = new Histogram({
    name: 'landlord_fly_call_duration_seconds',
    help: 'Time from sending a call to Fly to its whole answer or its failure.',
    labelNames: ['operation'],
    buckets: DURATION_BUCKETS,
    registers,
  });
  const limiterWait = new Counter({
    name: 'landlord_fly_limiter_wait_seconds_total',
    help: 'Time that calls waited for their turn under the rate limits of Fly.',
    labelNames: ['operation'],
    registers,
  });
  const circuitState = new Gauge({
    name: 'landlord_fly_circuit_state',
    help: 'Circuit of each host of Fly: 0 closed (well), 1 half open (trying), 2 open (calls refused).',
    labelNames: ['host'],
    registers,
  });
  return {
    called(operation, { outcome, durationMs }) {
      calls.inc({ operation, outcome });
      duration.observe({ operation }, durationMs / 1_000);
    },
    waited: (operation, waitedMs) => limiterWait.inc({ operation }, waitedMs / 1_000),
    circuit: (host, state) => circuitState.set({ host }, STATE_VALUE[state]),
  };
}
