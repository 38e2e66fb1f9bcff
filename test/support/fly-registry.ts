/**
 * Fly's registry for tests: a real OCI registry behind Fly's door. The door asks the simulated Fly whether a credential
 * is good for a repository, so that a token reaches what Fly says it reaches; and what was pushed is told to the
 * simulated hosts, which could not pull it otherwise.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { request as ask } from 'undici';
import { startRegistry } from './registry.ts';

export interface FlyRegistry {
  readonly url: string;
  /** As it stands in image references. */
  readonly host: string;
  /** What a tag means now, past the door; undefined: nothing. */
  digestOf(repository: string, tag: string): Promise<string | undefined>;
  stop(): Promise<void>;
}

/** Headers that speak of one connection, not of the message. */
const HOP_BY_HOP = ['connection', 'keep-alive', 'transfer-encoding', 'expect', 'upgrade'];
const MANIFEST = /^\/v2\/(.+)\/manifests\/([^/]+)$/;
/** Any reference will do: whether it exists is not what the door asks. */
const PROBE = 'door';

export async function startFlyRegistry(options: { readonly simulatorUrl: string }): Promise<FlyRegistry> {
  const { simulatorUrl } = options;
  const registry = await startRegistry();

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/' } = request;
    const authorization = request.headers.authorization ?? '';
    const body = Buffer.concat(await request.toArray());
    const door = await ask(`${simulatorUrl}${questionOf(path)}`, {
      method: 'GET',
      headers: { authorization },
    });
    const refusal = Buffer.from(await door.body.arrayBuffer());
    if ([401, 403].includes(door.statusCode)) {
      response.writeHead(door.statusCode, passed(door.headers)).end(refusal);
      return;
    }
    const headers = { ...passed(request.headers), host: request.headers.host ?? '' };
    const stored = await ask(`${registry.url}${path}`, { method, headers, body });
    const text = Buffer.from(await stored.body.arrayBuffer());
    if (method === 'PUT' && MANIFEST.test(path) && stored.statusCode === 201)
      await tellHosts(simulatorUrl, { path, body, headers });
    response.writeHead(stored.statusCode, passed(stored.headers)).end(text);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.writeHead(502).end(String(error));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${host}`,
    host,
    async digestOf(repository, tag) {
      const found = await ask(`${registry.url}/v2/${repository}/manifests/${tag}`, {
        method: 'HEAD',
        headers: {
          authorization: 'Basic dDp0',
          accept: 'application/vnd.docker.distribution.manifest.v2+json',
        },
      });
      const digest = found.headers['docker-content-digest'];
      return found.statusCode === 200 && typeof digest === 'string' ? digest : undefined;
    },
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
      await registry.stop();
    },
  };
}

/** What the simulated Fly is asked instead: whether this credential may read something in the same repository. */
function questionOf(path: string): string {
  const repository = /^\/v2\/(.+?)\/(?:manifests|blobs|tags)\//.exec(path)?.[1];
  return repository === undefined ? '/v2/' : `/v2/${repository}/manifests/${PROBE}`;
}

async function tellHosts(
  simulatorUrl: string,
  manifest: { readonly path: string; readonly body: Buffer; readonly headers: Record<string, string> },
): Promise<void> {
  const { path, body, headers } = manifest;
  const told = await ask(`${simulatorUrl}${path}`, { method: 'PUT', headers, body });
  const text = await told.body.text();
  if (told.statusCode !== 201)
    throw new Error(`the simulated Fly does not take ${path}: ${told.statusCode} ${text}`);
}

function passed(headers: IncomingMessage['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || HOP_BY_HOP.includes(name) || name === 'host'
        ? []
        : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  );
}
