/** Would a cluster take deploy/kubernetes as it is? A real API server judges it. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { readConfig } from '../../src/config.ts';
import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { describeOnCluster } from '../cluster/on-cluster.ts';

const BASE = join(resolve(import.meta.dirname, '../..'), 'deploy/kubernetes');
const labels = z.record(z.string(), z.string()).default({});
const objectSchema = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});

async function kubectl(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)('kubectl', args);
}

async function rendered(): Promise<z.infer<typeof objectSchema>[]> {
  const { stdout } = await kubectl('kustomize', BASE);
  return parseAllDocuments(stdout).map((document) => objectSchema.parse(document.toJS()));
}

async function only<T>(kind: string, schema: z.ZodType<T>): Promise<T> {
  const [found] = (await rendered()).filter((object) => object.kind === kind);
  return schema.parse(found);
}

await describeOnCluster('deploy/kubernetes', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterAll(() => cluster.stop());

  const apply = (...args: string[]) =>
    kubectl('--kubeconfig', cluster.adminKubeconfig, 'apply', '-k', BASE, ...args);

  it('is taken whole by the API server, without a warning, and changes nothing when it is applied again', async () => {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'landlord-system' } };
    await cluster.request({ method: 'POST', path: '/api/v1/namespaces', body: namespace });
    const tried = await apply('--dry-run=server');
    const applied = await apply();
    // Exits with 1 when anything would change.
    const again = await kubectl('--kubeconfig', cluster.adminKubeconfig, 'diff', '-k', BASE);
    const objects = (await rendered()).length;
    // The namespace was made without kubectl apply, which it says once.
    const warnings = tried.stderr.split('\n').filter((line) => line !== '' && !line.includes('last-applied'));
    expect(warnings).toEqual([]);
    expect(applied.stdout.trim().split('\n')).toHaveLength(objects);
    expect(again.stdout).toBe('');
  });

  it('asks for no more than the restricted profile gives, and would be told', async () => {
    const set = (path: string, value: unknown) =>
      kubectl(
        ...['--kubeconfig', cluster.adminKubeconfig, '-n', 'landlord-system', 'patch', 'deployment/landlord'],
        ...['--type=json', `--patch=${JSON.stringify([{ op: 'add', path, value }])}`, '--dry-run=server'],
      );
    const { stderr: asItIs } = await set('/metadata/annotations/looked', 'at');
    expect(asItIs).toBe('');
    const context = '/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation';
    expect((await set(context, true)).stderr).toContain('would violate PodSecurity "restricted');
  });

  it('selects its own pods everywhere', async () => {
    const selector = z.object({ matchLabels: labels });
    const { template } = await only(
      'Deployment',
      z
        .object({ spec: z.object({ template: z.object({ metadata: z.object({ labels }) }) }) })
        .transform(({ spec }) => spec),
    );
    const selectors = [
      await only('Deployment', z.object({ spec: z.object({ selector }) })),
      await only('PodDisruptionBudget', z.object({ spec: z.object({ selector }) })),
    ].map(({ spec }) => spec.selector.matchLabels);
    const policy = await only('NetworkPolicy', z.object({ spec: z.object({ podSelector: selector }) }));
    const service = await only('Service', z.object({ spec: z.object({ selector: labels }) }));
    for (const wanted of [...selectors, policy.spec.podSelector.matchLabels, service.spec.selector]) {
      expect(Object.keys(wanted).length).toBeGreaterThan(0);
      expect(template.metadata.labels).toMatchObject(wanted);
    }
  });

  it('gives the daemon an environment that it starts with, once the Secret holds what the page says', async () => {
    const { data } = await only('ConfigMap', z.object({ data: z.record(z.string(), z.string()) }));
    const secret = {
      DATABASE_URL: 'postgresql://landlord@postgres.example.com/landlord',
      FLY_API_TOKEN: 'any',
      FLY_ORG_SLUG: 'example',
      FLY_SHARED_REGISTRY_APP: 'example-images',
      FLY_SUBDOMAIN_SUFFIX: 'tenants.example.com',
      LANDLORD_PUBLIC_URL: 'https://api.example.com',
      LANDLORD_ENCRYPTION_KEYS: `2026:${randomBytes(32).toString('base64')}`,
      JWT_SECRET: randomBytes(32).toString('hex'),
    };
    // What every pod is given, and how the daemon knows its cluster.
    const pod = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };
    expect(readConfig({ ...data, ...secret, ...pod })).toMatchObject({
      production: true,
      host: '0.0.0.0',
      port: 8080,
    });
  });
});
