/**
 * A real Kubernetes API server over a real etcd, for tests: RBAC on, every request in an audit log, and no kubelet or
 * controller beside it, so that nothing but the test and Landlord ever writes. Each caller gets a cluster of its own;
 * it starts in a few seconds.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/processes.ts';
import { findAssets, MISSING_ASSETS, type Assets } from './assets.ts';
import { readAuditLog, type AuditEntry } from './audit-log.ts';
import { openEtcd } from './etcd.ts';
import { request, type ApiRequest, type ApiResponse } from './requests.ts';
import { startServer, type ServerProcess } from './server-process.ts';

const START_TIMEOUT_MS = 60_000;
/** A port is free when it is looked for and may be taken when it is wanted. */
const MOST_START_ATTEMPTS = 3;

export interface Cluster {
  readonly url: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly certificateAuthority: string;
  /** Token of a user in `system:masters`. */
  readonly adminToken: string;
  /** Path of a kubeconfig with that user. */
  readonly adminKubeconfig: string;
  /** A request as the administrator (or with another `token`); never throws for a status. */
  request(options: ApiRequest): Promise<ApiResponse>;
  /** Writes a kubeconfig for the token and returns its path. */
  kubeconfigFor(options: { readonly token: string; readonly namespace?: string }): Promise<string>;
  /** All requests that the server has answered, oldest first, without their bodies. */
  auditLog(): Promise<AuditEntry[]>;
  /** Forgets all revisions of etcd up to now. The server's own watch cache still remembers: restart it, too. */
  compact(): Promise<void>;
  /** Stops the API server and starts it again on the same port, over the same etcd. */
  restartApiServer(): Promise<void>;
  /** Stops the API server until `startApiServer`. */
  stopApiServer(): Promise<void>;
  startApiServer(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a cluster with nothing in it. Throws what the servers printed last when they do not start. */
export async function startCluster(): Promise<Cluster> {
  const assets = await findAssets();
  if (assets === undefined) throw new Error(MISSING_ASSETS);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(assets);
    } catch (error) {
      if (attempt >= MOST_START_ATTEMPTS) throw error;
    }
  }
}

async function startOnce(assets: Assets): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'landlord-cluster-'));
  const etcd = await openEtcd({ program: assets.etcd, dataDir: join(folder, 'etcd') });
  const port = await freePort();
  const url = `https://127.0.0.1:${port}`;
  const adminToken = randomBytes(24).toString('base64url');
  const args = await apiServerArguments({ folder, etcdUrl: etcd.url, port, adminToken });
  let server: ServerProcess | undefined;

  async function startApiServer(): Promise<void> {
    const started = startServer(assets.kubeApiserver, args);
    server = started;
    await eventually(
      async () => {
        if (started.ended()) throw new Error(`kube-apiserver has ended:\n${started.output()}`);
        return isReady(join(folder, 'apiserver.crt'), { url, token: adminToken });
      },
      { what: 'kube-apiserver to be ready', timeoutMs: START_TIMEOUT_MS },
    );
  }
  async function stopApiServer(): Promise<void> {
    await server?.stop();
    server = undefined;
  }
  async function stop(): Promise<void> {
    await stopApiServer();
    await etcd.stop();
    await rm(folder, { recursive: true, force: true });
  }

  try {
    await startApiServer();
  } catch (error) {
    await stop();
    throw error;
  }
  const certificateAuthority = await readFile(join(folder, 'apiserver.crt'), 'utf8');
  const kubeconfigFor = async (user: { token: string; namespace?: string }): Promise<string> => {
    const path = join(folder, `${randomBytes(6).toString('hex')}.kubeconfig`);
    await writeFile(path, kubeconfig({ url, certificateAuthority, ...user }), { mode: 0o600 });
    return path;
  };
  return {
    url,
    certificateAuthority,
    adminToken,
    adminKubeconfig: await kubeconfigFor({ token: adminToken }),
    request: (options) => request({ url, certificateAuthority, token: adminToken }, options),
    kubeconfigFor,
    auditLog: () => readAuditLog(join(folder, 'audit.log')),
    compact: () => etcd.compact(),
    async restartApiServer() {
      await stopApiServer();
      await startApiServer();
    },
    stopApiServer,
    startApiServer,
    stop,
  };
}

/** The certificate is written by the server itself when it starts for the first time. */
async function isReady(
  certificatePath: string,
  server: { readonly url: string; readonly token: string },
): Promise<boolean> {
  try {
    const certificateAuthority = await readFile(certificatePath, 'utf8');
    const { status } = await request({ ...server, certificateAuthority }, { path: '/readyz' });
    return status === 200;
  } catch {
    return false;
  }
}

/** Metadata of every request once it is answered; a watch counts when it begins, too. */
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
};

async function apiServerArguments(options: {
  readonly folder: string;
  readonly etcdUrl: string;
  readonly port: number;
  readonly adminToken: string;
}): Promise<string[]> {
  const { folder, etcdUrl, port, adminToken } = options;
  const file = (name: string): string => join(folder, name);
  const keys = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  await Promise.all([
    writeFile(file('service-accounts.key'), keys.privateKey, { mode: 0o600 }),
    writeFile(file('service-accounts.pub'), keys.publicKey),
    writeFile(file('tokens.csv'), `${adminToken},admin,admin,system:masters\n`, { mode: 0o600 }),
    writeFile(file('audit-policy.json'), JSON.stringify(AUDIT_POLICY)),
  ]);
  return [
    `--etcd-servers=${etcdUrl}`,
    // Tests say themselves when history is forgotten.
    '--etcd-compaction-interval=0',
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${folder}`,
    `--token-auth-file=${file('tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-signing-key-file=${file('service-accounts.key')}`,
    `--service-account-key-file=${file('service-accounts.pub')}`,
    // Nobody is there who would make the default accounts that it asks of Pods.
    '--disable-admission-plugins=ServiceAccount',
    '--service-cluster-ip-range=10.0.0.0/24',
    `--audit-policy-file=${file('audit-policy.json')}`,
    `--audit-log-path=${file('audit.log')}`,
    '--profiling=false',
  ];
}

function kubeconfig(options: {
  readonly url: string;
  readonly certificateAuthority: string;
  readonly token: string;
  readonly namespace?: string;
}): string {
  const { url, certificateAuthority, token, namespace = 'default' } = options;
  const authority = Buffer.from(certificateAuthority).toString('base64');
  // JSON is YAML.
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': authority } }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace } }],
    'current-context': 'test',
  });
}
