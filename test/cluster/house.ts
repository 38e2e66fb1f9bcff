/**
 * A cluster as an operator would have it: the manifests of deploy/kubernetes applied, a token of the daemon's own
 * service account, a Fly beside it. The daemon itself runs as a process, with nothing but the rights of that account.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startDaemon, startSimulator, type Daemon, type Simulator } from '../support/processes.ts';
import type { AuditEntry } from './audit-log.ts';
import { startCluster, type Cluster } from './cluster.ts';

const MANIFESTS = join(resolve(import.meta.dirname, '../..'), 'deploy/kubernetes');
const NAMESPACE = 'landlord-system';
const ACCOUNT = 'landlord';
/** A token must outlive the test file. */
const TOKEN_LIFETIME = '2h';

export interface ClusterHouse {
  readonly cluster: Cluster;
  readonly simulator: Simulator;
  readonly database: TestDatabase;
  /** Starts one more replica; the house stops it at its end, if nobody has by then. */
  startReplica(env?: NodeJS.ProcessEnv): Promise<Daemon>;
  /** What the daemons asked of the API server, oldest first. */
  requests(): Promise<AuditEntry[]>;
  stop(): Promise<void>;
}

/** Starts cluster and simulator and prepares both; no daemon yet. */
export async function createClusterHouse(
  options: { readonly simulator?: NodeJS.ProcessEnv } = {},
): Promise<ClusterHouse> {
  const [cluster, simulator, database, folder] = await Promise.all([
    startCluster(),
    startSimulator(options.simulator === undefined ? {} : { env: options.simulator }),
    createTestDatabase(),
    mkdtemp(join(tmpdir(), 'landlord-replicas-')),
  ]);
  const admin = (...args: string[]) =>
    promisify(execFile)('kubectl', ['--kubeconfig', cluster.adminKubeconfig, ...args]);
  await admin('apply', '-k', MANIFESTS);
  await admin('wait', '--for=condition=Established', 'crd/tenants.cloud.systemprompt.io', '--timeout=30s');
  const { stdout } = await admin('-n', NAMESPACE, 'create', 'token', ACCOUNT, `--duration=${TOKEN_LIFETIME}`);
  const kubeconfig = await cluster.kubeconfigFor({ token: stdout.trim(), namespace: NAMESPACE });
  const replicas: Daemon[] = [];
  let started = 0;
  // What each replica would otherwise make up for itself, and what they must agree on.
  const agreed = {
    LANDLORD_ENCRYPTION_KEYS: `test:${randomBytes(32).toString('base64')}`,
    JWT_SECRET: randomBytes(32).toString('hex'),
  };
  return {
    cluster,
    simulator,
    database,
    async startReplica(env = {}) {
      const daemon = await startDaemon({
        stateDir: join(folder, `replica-${(started += 1)}`),
        simulatorUrl: simulator.url,
        env: {
          LANDLORD_STORE: 'kubernetes',
          LANDLORD_KUBECTL_PORT: 'off',
          KUBECONFIG: kubeconfig,
          DATABASE_URL: database.url,
          ...agreed,
          ...env,
        },
      });
      replicas.push(daemon);
      return daemon;
    },
    async requests() {
      const username = `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`;
      return (await cluster.auditLog()).filter(({ user }) => user.username === username);
    },
    async stop() {
      await Promise.all(replicas.map((replica) => replica.stop()));
      await Promise.all([simulator.stop(), cluster.stop(), database.drop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
