/** How does a test cluster come to serve tenants, and whom does it let in? */
import { readFile } from 'node:fs/promises';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { eventually } from '../support/eventually.ts';
import type { Cluster } from './cluster.ts';

const CRD = new URL('../../crds/tenants.yaml', import.meta.url);
const MANIFEST = new URL('../../deploy/kubernetes/rbac.yaml', import.meta.url);
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const GROUP = 'cloud.systemprompt.io';
const NAMESPACE = 'default';

const ruleSchema = z.object({
  apiGroups: z.array(z.string()),
  resources: z.array(z.string()),
  verbs: z.array(z.string()),
});

/** One rule of a ClusterRole. */
export type Right = z.infer<typeof ruleSchema>;

/** All that the daemon may do in every namespace, as the committed manifests grant it. */
export async function daemonRights(): Promise<Right[]> {
  const documents = parseAllDocuments(await readFile(MANIFEST, 'utf8'));
  const roles = documents.map((document) => z.looseObject({ kind: z.string() }).parse(document.toJS()));
  return z.array(ruleSchema).parse(roles.find(({ kind }) => kind === 'ClusterRole')?.['rules']);
}

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
