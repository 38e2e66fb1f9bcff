/**
 * Where is the API server, and who are we to it? The official client reads kubeconfig or the cluster's own files and
 * obtains tokens and certificates; only that is used of it. (Its requests would open a TLS connection for each call,
 * and its watch ends after 30 quiet seconds.) It is loaded here and only when it is needed: it costs half a second.
 */
import { createHash } from 'node:crypto';
import { delimiter } from 'node:path';
import type { RequestOptions } from 'node:https';
import { Agent, type Dispatcher } from 'undici';
import type { KubeConfig } from '@kubernetes/client-node';
import { KubernetesError } from './errors.ts';

/** What one request needs besides itself. */
export interface Authorised {
  readonly headers: Readonly<Record<string, string>>;
  /** Connections with the present certificates; kept from one request to the next. */
  readonly dispatcher: Dispatcher;
}

export interface ClusterAccess {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Comes before every path; empty for most clusters. */
  readonly basePath: string;
  /** Of the context, in a cluster the pods' own: what is ours beside the tenants lives there. */
  readonly namespace: string;
  /** Throws KubernetesError `refused` when no credentials can be had. */
  authorise(): Promise<Authorised>;
  /** Closes all connections; what is still under way fails. */
  close(): Promise<void>;
}

/**
 * Opens the way to the cluster that `kubeconfig` names (one or several files, as kubectl takes them), or to the one
 * that this process runs in. Throws an Error that says what is wrong with the configuration.
 */
export async function openClusterAccess(options: {
  /** Absent: in-cluster configuration. */
  readonly kubeconfig: string | undefined;
}): Promise<ClusterAccess> {
  const client = await import('@kubernetes/client-node');
  const config = new client.KubeConfig();
  load(config, options.kubeconfig, () => new client.KubeConfig());
  const server = serverOf(config);
  const open = async (): Promise<Dispatcher> => {
    const context = new client.RequestContext(server.href, client.HttpMethod.GET);
    await config.applySecurityAuthentication(context);
    return context.getDispatcher() ?? new Agent();
  };
  let current: { readonly fingerprint: string; readonly dispatcher: Promise<Dispatcher> } | undefined;

  async function authorise(): Promise<Authorised> {
    const settings: RequestOptions = {};
    await config.applyToHTTPSOptions(settings);
    const fingerprint = fingerprintOf(settings);
    if (current?.fingerprint !== fingerprint) {
      const former = current;
      current = { fingerprint, dispatcher: open() };
      // A certificate was renewed: what runs on the former connections comes to its end on them.
      if (former !== undefined) former.dispatcher.then((old) => old.close()).catch(() => undefined);
    }
    return { headers: headersOf(settings), dispatcher: await current.dispatcher };
  }

  return {
    origin: server.origin,
    basePath: server.pathname.replace(/\/+$/, ''),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    authorise: () =>
      authorise().catch(() => {
        // What a credential plugin says may hold the credential.
        throw new KubernetesError('no credentials for the API server can be had: check those in KUBECONFIG', {
          kind: 'refused',
        });
      }),
    close: async () => (await current?.dispatcher)?.destroy(),
  };
}

function load(config: KubeConfig, kubeconfig: string | undefined, another: () => KubeConfig): void {
  if (kubeconfig === undefined) {
    config.loadFromCluster();
    return;
  }
  const [first = '', ...others] = kubeconfig.split(delimiter).filter((file) => file !== '');
  read(config, first);
  for (const file of others) {
    const more = another();
    read(more, file);
    config.mergeConfig(more);
  }
}

function read(config: KubeConfig, file: string): void {
  const failure = failureOf(() => config.loadFromFile(file));
  // The parser's own words may quote the file, and that holds credentials: not even as a cause.
  if (failure !== undefined)
    throw new Error(`cannot read kubeconfig "${file}": it is missing or not a kubeconfig${failure}`);
}

/** Undefined when the work succeeds; else the system's code of the failure in brackets, if it has one. */
function failureOf(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
  }
}

function serverOf(config: KubeConfig): URL {
  const server = config.getCurrentCluster()?.server;
  const url = server !== undefined && URL.canParse(server) ? new URL(server) : undefined;
  if (url === undefined)
    throw new Error('cannot find the API server: the current context of KUBECONFIG names no cluster');
  if (url.protocol === 'http:' && config.getCurrentCluster()?.skipTLSVerify !== true)
    throw new Error(
      `cannot use API server "${url.origin}": its connections are not encrypted; to allow that, set insecure-skip-tls-verify in KUBECONFIG`,
    );
  return url;
}

/** Differs when connections that are open were made with other certificates. */
function fingerprintOf({ ca, cert, key, servername, rejectUnauthorized }: RequestOptions): string {
  // Buffers become their bytes.
  const all = JSON.stringify([ca, cert, key, servername, rejectUnauthorized]);
  return createHash('sha256').update(all).digest('base64');
}

function headersOf({ headers, auth }: RequestOptions): Record<string, string> {
  const all: Record<string, string> = {};
  if (typeof auth === 'string') all['authorization'] = `Basic ${Buffer.from(auth).toString('base64')}`;
  for (const [name, value] of Object.entries(headers ?? {})) all[name.toLowerCase()] = String(value);
  return all;
}
