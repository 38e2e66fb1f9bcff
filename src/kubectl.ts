/**
 * How does kubectl reach the daemon? By a listener of its own with a certificate that never runs out while the
 * daemon runs, and by a kubeconfig in the state folder of a development run.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { stringify } from 'yaml';
import { z } from 'zod';
import { createKubectlApi, type KubectlDependencies } from './api/kubernetes/kubectl.ts';
import { sleep } from './clock.ts';
import { writePrivate } from './private-file.ts';
import type { ResourceOptions } from './resources.ts';
import { developmentTls, tlsFiles, type TlsMaterial, type TlsSource } from './tls.ts';

export interface KubectlDoor {
  readonly url: string;
  /** What kubectl must trust, in PEM; absent when the operator gave the certificate. */
  readonly authority: string | undefined;
}

/** How soon a certificate that the operator has replaced is taken; our own is renewed weeks ahead. */
const REFRESH_INTERVAL_MS = 3_600_000;
/** Addresses that mean every interface: nobody can connect to them by that name. */
const WILDCARDS = ['0.0.0.0', '::'];
const PACKAGE = new URL('../package.json', import.meta.url);

type Options = Pick<ResourceOptions, 'config' | 'clock' | 'log' | 'cleanup'>;

/** Opens the door, unless it is configured away. Rejects with an error that says how to. */
export async function openKubectlDoor(
  options: Options,
  dependencies: Omit<KubectlDependencies, 'version'>,
): Promise<KubectlDoor | undefined> {
  const { config, clock, log, cleanup } = options;
  if (config.kubectl === undefined) return undefined;
  const host = WILDCARDS.includes(config.host) ? '127.0.0.1' : config.host;
  const source =
    config.kubectl.tlsFiles === undefined
      ? developmentTls({ stateDir: config.stateDir, host, clock })
      : tlsFiles(config.kubectl.tlsFiles);
  const tls = await source.read();
  const api = createKubectlApi({ ...dependencies, version: await ownVersion() }, tls);
  cleanup.add('the door for kubectl', () => api.close());
  const listening = await listen(api, { host: config.host, port: config.kubectl.port });
  const stopped = new AbortController();
  const refreshing = keepFresh({ source, tls, api, clock, log, signal: stopped.signal });
  cleanup.add('the renewal of certificates', () => {
    stopped.abort();
    return refreshing;
  });
  const { port } = new URL(listening);
  return { url: `https://${host.includes(':') ? `[${host}]` : host}:${port}`, authority: tls.authority };
}

async function listen(
  api: FastifyInstance,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string> {
  const listenTextResolver = (address: string) => `kubectl is served on ${address}`;
  try {
    return await api.listen({ host, port, listenTextResolver });
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    const advice = 'set LANDLORD_KUBECTL_PORT to another port, or to off';
    throw new Error(`cannot open the door for kubectl: ${cause}; ${advice}`, { cause: error });
  }
}

/** Takes a certificate that is new in its source, without an interruption. */
async function keepFresh(
  options: Pick<Options, 'clock' | 'log'> & {
    readonly source: TlsSource;
    readonly tls: TlsMaterial;
    readonly api: FastifyInstance;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { source, api, clock, log, signal } = options;
  const { server } = api;
  for (let current = options.tls; !signal.aborted;) {
    await sleep(clock, REFRESH_INTERVAL_MS, signal);
    if (isAborted(signal)) return;
    try {
      const next = await source.read();
      if (next.cert === current.cert || !(server instanceof TlsServer)) continue;
      server.setSecureContext(next);
      current = next;
      log.info('kubectl is served with a new certificate');
    } catch (error) {
      log.warn({ err: error }, 'cannot take a new certificate for kubectl; the old one stays');
    }
  }
}

const isAborted = (signal: AbortSignal): boolean => signal.aborted;

/** Writes `kubeconfig` and returns its path: `KUBECONFIG=<path> kubectl get tenants`. */
export async function writeKubeconfig(
  stateDir: string,
  { url, authority, token }: KubectlDoor & { readonly token: string },
): Promise<string> {
  const file = join(stateDir, 'kubeconfig');
  const name = 'landlord';
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name,
        cluster: {
          server: url,
          ...(authority !== undefined && {
            'certificate-authority-data': Buffer.from(authority).toString('base64'),
          }),
        },
      },
    ],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace: 'default' } }],
    'current-context': name,
  };
  await writePrivate(file, stringify(kubeconfig, { lineWidth: 0 }));
  return file;
}

async function ownVersion(): Promise<string> {
  return z.object({ version: z.string() }).parse(JSON.parse(await readFile(PACKAGE, 'utf8'))).version;
}
