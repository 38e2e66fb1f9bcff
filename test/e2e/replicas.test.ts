/** Two built daemons that share PostgreSQL, and their leases as rows of it. */
import { afterAll, beforeAll, describe } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { tellReplicaStories } from '../support/replica-stories.ts';
import { startReplicas, type Replicas } from '../support/replicas.ts';
import { dropTenantDatabases } from '../support/tenant-databases.ts';

describe('two replicas', () => {
  let test: TestDatabase;
  let replicas: Replicas;
  const uids: string[] = [];
  beforeAll(async () => {
    test = await createTestDatabase();
    replicas = await startReplicas({
      env: { DATABASE_URL: test.url },
      simulatorEnv: { SIMULATOR_LATENCY: '0.1' },
    });
  });
  afterAll(async () => {
    await replicas.stop();
    await dropTenantDatabases(test, uids);
    await test.drop();
  }, 120_000);

  tellReplicaStories(() => ({
    replicas,
    created: (tenants) => void uids.push(...tenants.map(({ metadata }) => metadata.uid)),
  }));
});
