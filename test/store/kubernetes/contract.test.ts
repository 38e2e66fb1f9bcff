import { describeOnCluster } from '../../cluster/on-cluster.ts';
import { describeTenantStore } from '../contract.ts';
import { startKubernetesStore } from './subject.ts';

await describeOnCluster('tenants on an API server', () => {
  describeTenantStore('the kubernetes store', startKubernetesStore);
});
