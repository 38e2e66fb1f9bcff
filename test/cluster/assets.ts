/** The etcd and kube-apiserver of the tests: from KUBEBUILDER_ASSETS, or built as go.mod beside this file pins them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createGoPrograms } from '../support/go-programs.ts';

/** What to tell a person whose machine has none. */
export const MISSING_ASSETS =
  'cannot start a Kubernetes API server: set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver, or install Go and run `npm test`, which builds them';

export interface Assets {
  readonly etcd: string;
  readonly kubeApiserver: string;
}

export const assets = createGoPrograms({
  moduleDir: import.meta.dirname,
  cache: 'landlord-test-cluster',
  variable: 'KUBEBUILDER_ASSETS',
  packages: {
    etcd: 'go.etcd.io/etcd/server/v3',
    'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  },
  linkerFlags: async () => `-X k8s.io/component-base/version.gitVersion=${await kubernetesVersion()}`,
  missing: MISSING_ASSETS,
});

/** The two programs if they are there, without building anything. */
export async function findAssets(): Promise<Assets | undefined> {
  const found = await assets.find();
  return found && { etcd: found.etcd, kubeApiserver: found['kube-apiserver'] };
}

/** As go.mod names it; the server reports it to kubectl. */
async function kubernetesVersion(): Promise<string> {
  const text = await readFile(join(import.meta.dirname, 'go.mod'), 'utf8');
  return /^\s*k8s\.io\/kubernetes (v\S+)/m.exec(text)?.[1] ?? 'v0.0.0';
}
