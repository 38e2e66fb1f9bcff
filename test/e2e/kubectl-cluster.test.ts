/**
 * The same stories as against the daemon alone, on a real API server: there the daemon is a controller with nothing but
 * the rights of deploy/kubernetes, and the server itself answers kubectl.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isForbidden, isWrite } from '../cluster/audit-log.ts';
import { createClusterHouse, type ClusterHouse } from '../cluster/house.ts';
import { describeOnCluster } from '../cluster/on-cluster.ts';
import { createKubectl, type Kubectl } from '../support/kubectl.ts';
import { tellKubectlStories } from '../support/kubectl-script.ts';
import { seedImage } from '../support/operator.ts';

await describeOnCluster('kubectl against a cluster', () => {
  let house: ClusterHouse;
  let kubectl: Kubectl;
  beforeAll(async () => {
    // As against the daemon alone: a fifth of Fly's time is as good a proof.
    house = await createClusterHouse({ simulator: { SIMULATOR_LATENCY: '0.2' } });
    await seedImage(house.replicas.simulator.url, 'systemprompt-images', 'hello');
    await house.replicas.start();
    kubectl = await createKubectl(house.cluster.adminKubeconfig);
  }, 120_000);
  afterAll(async () => {
    await house.stop();
    await kubectl.remove();
  });

  tellKubectlStories(() => ({ kubectl, simulatorUrl: house.replicas.simulator.url }));

  it('was served by the daemon without a call that it has no right to', async () => {
    const ours = await house.requests();
    expect(ours.filter(isForbidden)).toEqual([]);
    const written = new Set(
      ours.filter(isWrite).map(({ objectRef }) => [objectRef.resource, objectRef.subresource].join('/')),
    );
    for (const resource of ['tenants/', 'tenants/status', 'events/']) expect(written).toContain(resource);
  });
});
