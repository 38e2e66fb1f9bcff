/**
 * The API server in a container, where there is an engine for containers and nothing else: k3s, with the same tokens
 * and audit log as the processes have. Its database is its own, so history cannot be cut off at will.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { AUDIT_POLICY, tokensFile, type Servers } from './servers.ts';

/** The same minor version as go.mod's. */
const IMAGE = 'rancher/k3s:v1.33.5-k3s1';
const FOLDER = '/etc/landlord';
const AUDIT_LOG = '/var/log/landlord-audit.log';
/** Between stop and start, for the port to be let go of. */
const PAUSE_MS = 500;

const kubeconfigSchema = z.object({
  clusters: z.tuple([
    z.object({ cluster: z.object({ server: z.string(), 'certificate-authority-data': z.base64() }) }),
  ]),
});

/** Whether an engine answers. Loading the library takes a while, so it is asked last. */
export async function hasContainers(): Promise<boolean> {
  const { getContainerRuntimeClient } = await import('testcontainers');
  return getContainerRuntimeClient().then(
    () => true,
    () => false,
  );
}

/** Starts k3s. Throws whatever the engine says. */
export async function startK3s(): Promise<Servers> {
  const { K3sContainer } = await import('@testcontainers/k3s');
  const adminToken = randomBytes(24).toString('base64url');
  const files = [
    { content: tokensFile(adminToken), target: `${FOLDER}/tokens.csv` },
    { content: JSON.stringify(AUDIT_POLICY), target: `${FOLDER}/audit-policy.json` },
  ];
  const args = {
    'token-auth-file': `${FOLDER}/tokens.csv`,
    'audit-policy-file': `${FOLDER}/audit-policy.json`,
    'audit-log-path': AUDIT_LOG,
  };
  const container = await new K3sContainer(IMAGE)
    .withCopyContentToContainer(files)
    .withCommand([
      'server',
      '--disable=traefik,metrics-server,servicelb,local-storage,coredns',
      ...Object.entries(args).map(([name, value]) => `--kube-apiserver-arg=${name}=${value}`),
    ])
    .start();
  const [{ cluster }] = kubeconfigSchema.parse(parse(container.getKubeConfig())).clusters;
  return {
    url: cluster.server,
    certificateAuthority: Buffer.from(cluster['certificate-authority-data'], 'base64').toString('utf8'),
    adminToken,
    auditLog: async () => (await container.exec(['cat', AUDIT_LOG])).output,
    compact: () =>
      Promise.reject(new Error('cannot compact the history of k3s: this test wants etcd and kube-apiserver')),
    // One process is everything here; a paused container answers nobody, as a stopped server does.
    stopApiServer: async () => {
      await container.exec(['sh', '-c', 'kill -STOP $(pidof k3s)']);
    },
    startApiServer: async () => {
      await delay(PAUSE_MS);
      await container.exec(['sh', '-c', 'kill -CONT $(pidof k3s)']);
    },
    stop: async () => {
      await container.stop();
    },
  };
}
