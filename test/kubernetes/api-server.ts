/** An HTTP server in the place of an API server, for what a real one cannot be brought to do. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';

export interface StandIn {
  /** Path of a kubeconfig with the token `secret-token`. */
  readonly kubeconfig: string;
  /** Connections that were ever made. */
  readonly connections: number;
  close(): Promise<void>;
}

export async function startStandIn(options: {
  /** Where the kubeconfig is put. */
  readonly folder: string;
  readonly answer: (request: IncomingMessage, response: ServerResponse) => void;
  readonly basePath?: string;
  readonly cluster?: Readonly<Record<string, unknown>>;
}): Promise<StandIn> {
  let connections = 0;
  const server = createServer(options.answer).on('connection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('cannot find the port');
  const url = `http://127.0.0.1:${address.port}${options.basePath ?? ''}`;
  const kubeconfig = join(options.folder, `${address.port}.kubeconfig`);
  const cluster = { server: url, 'insecure-skip-tls-verify': true, ...options.cluster };
  await writeFile(kubeconfig, kubeconfigOf({ cluster, user: { token: 'secret-token' } }));
  return {
    kubeconfig,
    get connections() {
      return connections;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** JSON is YAML. */
export function kubeconfigOf(options: { readonly cluster: object; readonly user: object }): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: options.cluster }],
    users: [{ name: 'u', user: options.user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
}
