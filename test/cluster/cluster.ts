/**
 * A real Kubernetes API server over a real etcd, for tests. Each caller gets a cluster of its own, with nothing in it
 * and everything written down: by etcd and kube-apiserver as processes, or by k3s where only containers are to be had.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findAssets, MISSING_ASSETS } from './assets.ts';
import { parseAuditLog, type AuditEntry } from './audit-log.ts';
import { hasContainers, startK3s } from './k3s.ts';
import { startProcesses } from './processes.ts';
import { request, type ApiRequest, type ApiResponse } from './requests.ts';
import type { Servers } from './servers.ts';

/** A port is free when it is looked for and may be taken when it is wanted. */
const MOST_START_ATTEMPTS = 3;

export interface Cluster extends Omit<Servers, 'auditLog'> {
  /** Path of a kubeconfig with the administrator's token. */
  readonly adminKubeconfig: string;
  /** A request as the administrator (or with another `token`); never throws for a status. */
  request(options: ApiRequest): Promise<ApiResponse>;
  /** Writes a kubeconfig for the token and returns its path. */
  kubeconfigFor(options: { readonly token: string; readonly namespace?: string }): Promise<string>;
  /** All requests that the server has answered, oldest first, without their bodies. */
  auditLog(): Promise<AuditEntry[]>;
  /** Stops and starts it: what its watch cache remembered is gone, etcd's history is not. */
  restartApiServer(): Promise<void>;
}

/** Starts a cluster with nothing in it. Throws what the servers printed last when they do not start. */
export async function startCluster(): Promise<Cluster> {
  const servers = await startServers();
  const folder = await mkdtemp(join(tmpdir(), 'landlord-kubeconfigs-'));
  const kubeconfigFor = async (user: { token: string; namespace?: string }): Promise<string> => {
    const path = join(folder, `${randomBytes(6).toString('hex')}.kubeconfig`);
    await writeFile(path, kubeconfig({ ...servers, ...user }), { mode: 0o600 });
    return path;
  };
  return {
    ...servers,
    adminKubeconfig: await kubeconfigFor({ token: servers.adminToken }),
    request: (options) => request({ ...servers, token: servers.adminToken }, options),
    kubeconfigFor,
    auditLog: async () => parseAuditLog(await servers.auditLog()),
    async restartApiServer() {
      await servers.stopApiServer();
      await servers.startApiServer();
    },
    async stop() {
      await servers.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startServers(): Promise<Servers> {
  const assets = await findAssets();
  if (assets === undefined) {
    if (await hasContainers()) return startK3s();
    throw new Error(MISSING_ASSETS);
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startProcesses(assets);
    } catch (error) {
      if (attempt >= MOST_START_ATTEMPTS) throw error;
    }
  }
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
