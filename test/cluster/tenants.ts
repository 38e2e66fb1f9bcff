/** How does a test cluster come to serve tenants, and whom does it let in? */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { eventually } from '../support/eventually.ts';
import type { Cluster } from './cluster.ts';

const CRD = new URL('../../crds/tenants.yaml', import.meta.url);
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const GROUP = 'cloud.systemprompt.io';
const NAMESPACE = 'default';

/** One rule of a ClusterRole. */
export interface Right {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** All that the kubernetes store asks of a cluster. */
export const RIGHTS: readonly Right[] = [
  {
    apiGroups: [GROUP],
    resources: ['tenants'],
    verbs: ['get', 'list', 'watch', 'create', 'update', 'delete'],
  },
  { apiGroups: [GROUP], resources: ['tenants/status'], verbs: ['patch'] },
  { apiGroups: [''], resources: ['events'], verbs: ['get', 'create', 'patch'] },
];

/** Applies the committed definition, and waits until it is served. */
export async function installDefinition(cluster: Cluster): Promise<void> {
  const definition: unknown = parse(await readFile(CRD, 'utf8'));
  const { status } = await cluster.request({ method: 'POST', path: DEFINITIONS, body: definition });
  if (status !== 201) throw new Error(`cannot install the definition: ${status}`);
  const path = `/apis/${GROUP}/v1alpha1/tenants`;
  await eventually(async () => (await cluster.request({ path })).status === 200, {
    what: 'the cluster to serve tenants',
  });
}

let accounts = 0;

/** Token of a new service account that has these rights in all namespaces, and no others. */
export async function accountWith(cluster: Cluster, rules: readonly Right[]): Promise<string> {
  const name = `account-${(accounts += 1)}`;
  const metadata = { name };
  const post = async (path: string, body: object): Promise<unknown> => {
    const answer = await cluster.request({ method: 'POST', path, body });
    if (answer.status !== 201) throw new Error(`cannot make ${path} "${name}": ${answer.status}`);
    return answer.body;
  };
  const serviceAccounts = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`;
  await post(serviceAccounts, { metadata });
  await post(`${RBAC}/clusterroles`, { metadata, rules });
  await post(`${RBAC}/clusterrolebindings`, {
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace: NAMESPACE }],
  });
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const minted = await post(`${serviceAccounts}/${name}/token`, request);
  return z.object({ status: z.object({ token: z.string() }) }).parse(minted).status.token;
}
