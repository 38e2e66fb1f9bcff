/** How does a test get the client that the daemon would have, on a cluster of its own? */
import { Registry } from 'prom-client';
import { systemClock, type Clock } from '../../src/clock.ts';
import { openClusterAccess } from '../../src/kubernetes/access.ts';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/client.ts';
import { createKubernetesMetrics } from '../../src/kubernetes/metrics.ts';

export async function clientOf(
  kubeconfig: string,
  options: { readonly clock?: Clock; readonly registry?: Registry } = {},
): Promise<KubernetesClient> {
  const { clock = systemClock, registry = new Registry() } = options;
  const access = await openClusterAccess({ kubeconfig });
  return createKubernetesClient({ access, clock, metrics: createKubernetesMetrics(registry) });
}
