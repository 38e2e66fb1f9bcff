/** How does the API server treat us? Counts and times of the calls to it, by method and status. */
import { Counter, Histogram, type Registry } from 'prom-client';

export interface KubernetesMetrics {
  /** One call was answered with a status, or failed in the given way. A watch has no duration. */
  called(call: { readonly method: string; readonly outcome: string; readonly durationMs?: number }): void;
}

/** From a read next door to the limit of a call, in seconds. */
const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createKubernetesMetrics(registry: Registry): KubernetesMetrics {
  const registers = [registry];
  const calls = new Counter({
    name: 'landlord_kubernetes_calls_total',
    help: 'Calls to the Kubernetes API server, by method (WATCH for a watch) and HTTP status or kind of failure.',
    labelNames: ['method', 'outcome'],
    registers,
  });
  const duration = new Histogram({
    name: 'landlord_kubernetes_call_duration_seconds',
    help: 'Time from sending a call to the Kubernetes API server to its whole answer or its failure.',
    labelNames: ['method'],
    buckets: DURATION_BUCKETS,
    registers,
  });
  return {
    called({ method, outcome, durationMs }) {
      calls.inc({ method, outcome });
      if (durationMs !== undefined) duration.observe({ method }, durationMs / 1_000);
    },
  };
}
