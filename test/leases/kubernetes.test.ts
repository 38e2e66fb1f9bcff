import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { LeaseBackend } from '../../src/controller/leases/backend.ts';
import { createKubernetesLeases, type LeaseApi } from '../../src/leases/kubernetes.ts';
import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { describeLeases } from './contract.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
}, 90_000);
afterAll(() => cluster.stop());

/** The administrator's way to the API server, in the shape that the adapter asks for. */
const api: LeaseApi = {
  async call({ method, path, body }) {
    const response = await cluster.request({ method, path, body });
    if (response.status < 300) return response.body;
    throw Object.assign(new Error(`the API server answered ${response.status}`), { status: response.status });
  },
};

async function newNamespace(): Promise<string> {
  const name = `leases-${randomBytes(4).toString('hex')}`;
  const { status } = await cluster.request({
    method: 'POST',
    path: '/api/v1/namespaces',
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
  });
  expect(status).toBe(201);
  return name;
}

const leasesIn = (namespace: string): LeaseBackend =>
  createKubernetesLeases({ api, namespace, clock: systemClock });
const signal = (): AbortSignal => AbortSignal.timeout(10_000);

describeLeases('leases in Kubernetes', async () => {
  const namespace = await newNamespace();
  return { one: leasesIn(namespace), two: leasesIn(namespace) };
});

interface LeaseObject {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly holderIdentity: string;
    readonly leaseDurationSeconds: number;
    readonly leaseTransitions: number;
    readonly acquireTime: string;
    readonly renewTime: string;
  };
}

describe('a Lease object', () => {
  const read = async (namespace: string, name: string): Promise<LeaseObject> => {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`;
    return (await cluster.request({ path })).body as LeaseObject;
  };

  it('says who has it, since when and for how long, as kubectl shows it', async () => {
    const namespace = await newNamespace();
    const leases = leasesIn(namespace);
    const first = await leases.put(
      { name: 'replica-a', holder: 'a', transitions: 0, expected: undefined },
      signal(),
    );
    const { spec } = await read(namespace, 'landlord-replica-a');
    expect(spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
    await leases.put({ name: 'replica-a', holder: 'a', transitions: 0, expected: first?.version }, signal());
    const renewed = await read(namespace, 'landlord-replica-a');
    expect(renewed.spec.acquireTime).toBe(spec.acquireTime);
    expect(renewed.spec.renewTime > spec.renewTime).toBe(true);
  });

  it('of somebody else is neither listed nor touched', async () => {
    const namespace = await newNamespace();
    const foreign = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'some-other-controller', namespace },
      spec: { holderIdentity: 'them' },
    };
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
    await cluster.request({ method: 'POST', path, body: foreign });
    expect(await leasesIn(namespace).list(signal())).toEqual([]);
  });

  it('that the API server refuses to write is an error, and no lost race', async () => {
    const wish = { name: 'shard-00', holder: 'a', transitions: 1, expected: undefined };
    await expect(leasesIn('no-such-namespace').put(wish, signal())).rejects.toThrow('answered 404');
    const leases = leasesIn(await newNamespace());
    await expect(leases.put({ ...wish, transitions: -1 }, signal())).rejects.toThrow('answered 422');
  });
});
