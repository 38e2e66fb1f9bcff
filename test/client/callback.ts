/**
 * How does the CLI hear from the browser? It listens on this machine until the browser has been sent back to it, and
 * takes the first word. The real one listens on fixed ports (8765 for a login, 8766 for a checkout); a test on any
 * that is free, which the server cannot tell apart.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CliError } from './http.ts';

/** The CLI gives the person five minutes. */
const LIMIT_MS = 300_000;

export interface Callback {
  /** What is sent along as `redirect_uri`. */
  readonly redirectUri: string;
  /** The query of the first visit. Throws CliError when nobody comes. */
  readonly visited: Promise<URLSearchParams>;
  close(): Promise<void>;
}

export async function listenForBrowser(): Promise<Callback> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    if (url.pathname !== '/callback') response.writeHead(404).end();
    else {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>You can close this window</h1>');
      server.emit('visited', url.searchParams);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const visited = once(server, 'visited', { signal: AbortSignal.timeout(LIMIT_MS) }).then(
    ([query]: unknown[]) => {
      if (query instanceof URLSearchParams) return query;
      throw new CliError('the browser sent nothing');
    },
    () => {
      throw new CliError('timed out waiting for the browser');
    },
  );
  // Nobody may be waiting yet when it fails.
  visited.catch(() => undefined);
  return {
    redirectUri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`,
    visited,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
