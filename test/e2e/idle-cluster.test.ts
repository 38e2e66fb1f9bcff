/**
 * What do two replicas write to an API server when nobody wants anything? Renewals of their leases and nothing else:
 * thousands of idle tenants must not cost a cluster anything.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { isForbidden, isWrite, type AuditEntry } from '../cluster/audit-log.ts';
import { createClusterHouse, type ClusterHouse } from '../cluster/house.ts';
import { describeOnCluster } from '../cluster/on-cluster.ts';
import { eventually } from '../support/eventually.ts';
import { seedImage } from '../support/operator.ts';

/** How much of idle time is looked at; `IDLE_MINUTES=5` looks at more than a whole sweep. */
const IDLE_MS = Number(process.env['IDLE_MINUTES'] ?? '1') * 60_000;
const TENANTS = 20;
const COLLECTION = '/apis/cloud.systemprompt.io/v1alpha1/namespaces/default/tenants';
const availableSchema = z.object({
  items: z.array(
    z.object({
      status: z
        .object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]) })
        .optional(),
    }),
  ),
});

await describeOnCluster('two idle replicas on a cluster', () => {
  let house: ClusterHouse;
  beforeAll(async () => {
    house = await createClusterHouse({ simulator: { SIMULATOR_LATENCY: '0.1' } });
    await seedImage(house.replicas.simulator.url, 'systemprompt-images', 'hello');
    await Promise.all([house.replicas.start(), house.replicas.start()]);
  }, 180_000);
  afterAll(() => house.stop());

  /** Tenants of which every condition in the list holds. */
  const having = async (...types: string[]): Promise<number> => {
    const { items } = availableSchema.parse((await house.cluster.request({ path: COLLECTION })).body);
    const holds = (tenant: (typeof items)[number], type: string): boolean =>
      tenant.status?.conditions.some(
        (condition) => condition.type === type && condition.status === 'True',
      ) === true;
    return items.filter((tenant) => types.every((type) => holds(tenant, type))).length;
  };
  const isRenewal = ({ objectRef, verb }: AuditEntry): boolean =>
    objectRef.resource === 'leases' && verb === 'update';
  const at = ({ stageTimestamp }: AuditEntry): number => Date.parse(stageTimestamp);

  it('renew their leases and write nothing else', { timeout: IDLE_MS + 300_000 }, async () => {
    const image = 'registry.fly.io/systemprompt-images:hello';
    for (let index = 0; index < TENANTS; index += 1)
      await house.cluster.request({
        method: 'POST',
        path: COLLECTION,
        body: {
          apiVersion: 'cloud.systemprompt.io/v1alpha1',
          kind: 'Tenant',
          metadata: { name: `idle-${index}` },
          spec: { owner: 'ctm_1', region: 'iad', image },
        },
      });
    await eventually(async () => (await having('Ready', 'Available', 'CertificateReady')) === TENANTS, {
      what: 'all tenants to have nothing left to wait for',
      timeoutMs: 180_000,
    });
    // The last events are told a moment after the last status: from the first two quiet renewals on, it is idle.
    const settled = await eventually(
      async () => {
        const writes = (await house.requests()).filter(isWrite);
        const last = writes.findLastIndex((entry) => !isRenewal(entry));
        return writes.length - last > 4 ? writes.length : undefined;
      },
      { what: 'the replicas to settle', timeoutMs: 60_000, intervalMs: 500 },
    );
    const idle = await eventually(
      async () => {
        const writes = (await house.requests()).filter(isWrite).slice(settled);
        const [first, last] = [writes[0], writes.at(-1)];
        return first !== undefined && last !== undefined && at(last) - at(first) >= IDLE_MS
          ? writes
          : undefined;
      },
      { what: 'enough of idle time', timeoutMs: IDLE_MS + 60_000, intervalMs: 1_000 },
    );
    console.log(
      `idle for ${IDLE_MS / 60_000} min with ${TENANTS} tenants and 2 replicas: ${idle.filter(isRenewal).length} renewals, ` +
        `${idle.filter((entry) => !isRenewal(entry)).length} other writes`,
    );
    expect(idle.filter((entry) => !isRenewal(entry))).toEqual([]);
    expect((await house.requests()).filter(isForbidden)).toEqual([]);
  });
});
