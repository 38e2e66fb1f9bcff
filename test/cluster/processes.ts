/**
 * etcd and kube-apiserver as processes of this machine: RBAC on, every request in an audit log, and no kubelet or
 * controller beside them, so that nothing but the test and Landlord ever writes. They start in a few seconds.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/processes.ts';
import type { Assets } from './assets.ts';
import { openEtcd } from './etcd.ts';
import { request } from './requests.ts';
import { startServer, type ServerProcess } from './server-process.ts';
import { AUDIT_POLICY, tokensFile, type Servers } from './servers.ts';

const START_TIMEOUT_MS = 60_000;

/** Starts both. Throws what the one that did not start printed last. */
export async function startProcesses(assets: Assets): Promise<Servers> {
  const folder = await mkdtemp(join(tmpdir(), 'landlord-cluster-'));
  const etcd = await openEtcd({ program: assets.etcd, dataDir: join(folder, 'etcd') });
  const port = await freePort();
  const url = `https://127.0.0.1:${port}`;
  const adminToken = randomBytes(24).toString('base64url');
  const args = await apiServerArguments({ folder, etcdUrl: etcd.url, port, adminToken });
  const certificate = join(folder, 'apiserver.crt');
  let server: ServerProcess | undefined;

  async function startApiServer(): Promise<void> {
    const started = startServer(assets.kubeApiserver, args);
    server = started;
    await eventually(
      async () => {
        if (started.ended()) throw new Error(`kube-apiserver has ended:\n${started.output()}`);
        return isReady(certificate, { url, token: adminToken });
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
  return {
    url,
    certificateAuthority: await readFile(certificate, 'utf8'),
    adminToken,
    auditLog: () => readFile(join(folder, 'audit.log'), 'utf8'),
    compact: () => etcd.compact(),
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
    writeFile(file('tokens.csv'), tokensFile(adminToken), { mode: 0o600 }),
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
