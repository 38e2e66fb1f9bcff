/**
 * A real HTTP server on loopback that plays whatever part of Fly a test needs, badly if need be, and keeps what it
 * was asked.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Recorded {
  readonly method: string;
  /** Path with query, as it came. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export type Answer = (request: Recorded, response: ServerResponse) => void;

export interface TestServer {
  readonly url: string;
  readonly requests: readonly Recorded[];
  /** Resolves once so many requests have come in all. */
  received(count: number): Promise<void>;
  /** Connections that are open now. */
  connections(): Promise<number>;
  close(): Promise<void>;
}

/** Starts at a free port; answers each request by `answer`. */
export async function startServer(answer: Answer): Promise<TestServer> {
  const requests: Recorded[] = [];
  const waiting = new Set<{ count: number; resolve: () => void }>();
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming;
      const request = { method, url, headers, body: Buffer.concat(chunks).toString('utf8') };
      requests.push(request);
      for (const one of waiting) if (requests.length >= one.count) one.resolve();
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    received: (count) =>
      new Promise((resolve) => {
        if (requests.length >= count) resolve();
        else waiting.add({ count, resolve });
      }),
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, n) => (error ? reject(error) : resolve(n))),
      ),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Answers with JSON. */
export function send(
  response: ServerResponse,
  status: number,
  body?: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'fly-request-id': '01KDTEST-iad',
    ...headers,
  });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
