/** Two built daemons that share a cluster, and their leases as Leases of it, under the rights that the manifests give. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isForbidden } from '../cluster/audit-log.ts';
import { createClusterHouse, type ClusterHouse } from '../cluster/house.ts';
import { describeOnCluster } from '../cluster/on-cluster.ts';
import { tellReplicaStories } from '../support/replica-stories.ts';
import { dropTenantDatabases } from '../support/tenant-databases.ts';

await describeOnCluster('two replicas on a cluster', () => {
  let house: ClusterHouse;
  const uids: string[] = [];
  beforeAll(async () => {
    house = await createClusterHouse({ simulator: { SIMULATOR_LATENCY: '0.1' } });
  }, 180_000);
  afterAll(async () => {
    await house.replicas.stop();
    await dropTenantDatabases(house.database, uids);
    await house.stop();
  }, 180_000);

  tellReplicaStories(() => ({
    replicas: house.replicas,
    created: (tenants) => void uids.push(...tenants.map(({ metadata }) => metadata.uid)),
  }));

  it('have asked for nothing that is forbidden to them', async () => {
    expect((await house.requests()).filter(isForbidden)).toEqual([]);
  });
});
