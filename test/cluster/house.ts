/**
 * A cluster as an operator would have it: the manifests of deploy/kubernetes applied, a token of the daemon's own
 * service account, a Fly beside it. The daemon itself runs as a process, with nothing but the rights of that account.
 */
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startReplicas, type Replicas } from '../support/replicas.ts';
import type { AuditEntry } from './audit-log.ts';
import { startCluster, type Cluster } from './cluster.ts';

const MANIFESTS = join(resolve(import.meta.dirname, '../..'), 'deploy/kubernetes');
const NAMESPACE = 'landlord-system';
const ACCOUNT = 'landlord';
/** A token must outlive the test file. */
const TOKEN_LIFETIME = '2h';

/** A cluster that is ready for daemons. */
export interface PreparedCluster {
  readonly cluster: Cluster;
  /** What tells a daemon to keep its tenants there; `DATABASE_URL` is missing still. */
  readonly env: NodeJS.ProcessEnv;
  /** What the daemons asked of the API server, oldest first. */
  requests(): Promise<AuditEntry[]>;
}

export async function prepareCluster(): Promise<PreparedCluster> {
  const cluster = await startCluster();
  const admin = (...args: string[]) =>
    promisify(execFile)('kubectl', ['--kubeconfig', cluster.adminKubeconfig, ...args]);
  await admin('apply', '-k', MANIFESTS);
  await admin('wait', '--for=condition=Established', 'crd/tenants.cloud.systemprompt.io', '--timeout=30s');
  const { stdout } = await admin('-n', NAMESPACE, 'create', 'token', ACCOUNT, `--duration=${TOKEN_LIFETIME}`);
  const kubeconfig = await cluster.kubeconfigFor({ token: stdout.trim(), namespace: NAMESPACE });
  return {
    cluster,
    env: { LANDLORD_STORE: 'kubernetes', LANDLORD_KUBECTL_PORT: 'off', KUBECONFIG: kubeconfig },
    async requests() {
      const username = `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`;
      return (await cluster.auditLog()).filter(({ user }) => user.username === username);
    },
  };
}

export interface ClusterHouse extends Omit<PreparedCluster, 'env'> {
  readonly database: TestDatabase;
  /** The daemons and their Fly; whoever still runs at the end of the house is stopped with it. */
  readonly replicas: Replicas;
  stop(): Promise<void>;
}

/** Starts cluster, database and simulator; no daemon yet. */
export async function createClusterHouse(
  options: { readonly simulator?: NodeJS.ProcessEnv } = {},
): Promise<ClusterHouse> {
  const [prepared, database] = await Promise.all([prepareCluster(), createTestDatabase()]);
  const { cluster, env } = prepared;
  const replicas = await startReplicas({
    env: { ...env, DATABASE_URL: database.url },
    ...(options.simulator !== undefined && { simulatorEnv: options.simulator }),
  });
  return {
    cluster,
    database,
    replicas,
    requests: () => prepared.requests(),
    async stop() {
      await replicas.stop();
      await Promise.all([cluster.stop(), database.drop()]);
    },
  };
}
