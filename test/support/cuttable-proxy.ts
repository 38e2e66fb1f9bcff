/**
 * What becomes of whoever speaks over a connection that breaks? A TCP proxy in front of a real server, which a test
 * cuts: now, after so many bytes of the answer, or by passing nothing on any more without saying so.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface CuttableProxy {
  readonly port: number;
  /** Connections that are open. */
  readonly connections: number;
  /** Breaks every connection that is open. */
  cut(): void;
  /** Breaks each connection once it has carried so many bytes of answers, counted from now; undefined: never. */
  cutAfter(bytes: number | undefined): void;
  /** True: connections stay open, and nothing passes through the ones that are open now. */
  silence(on: boolean): void;
  close(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  carried: number;
}

/** Listens on a free port of loopback and passes on to `target`. */
export async function startCuttableProxy(target: { readonly port: number }): Promise<CuttableProxy> {
  const links = new Set<Link>();
  let mostBytes: number | undefined;
  const listener = createServer((client) => {
    const link: Link = { client, server: connect({ port: target.port, host: '127.0.0.1' }), carried: 0 };
    links.add(link);
    const end = (): void => {
      links.delete(link);
      client.destroy();
      link.server.destroy();
    };
    for (const socket of [client, link.server]) socket.on('error', end).on('close', end);
    client.pipe(link.server);
    link.server.on('data', (chunk: Buffer) => {
      const room = mostBytes === undefined ? chunk.length : Math.max(0, mostBytes - link.carried);
      link.carried += chunk.length;
      if (room >= chunk.length) client.write(chunk);
      else client.write(chunk.subarray(0, room), end);
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('cannot find the port of the proxy');

  function cut(): void {
    for (const { client } of [...links]) client.destroy();
  }
  return {
    port: address.port,
    get connections() {
      return links.size;
    },
    cut,
    cutAfter(bytes) {
      mostBytes = bytes;
      for (const link of links) link.carried = 0;
    },
    silence(on) {
      for (const { client, server } of links)
        for (const socket of [client, server])
          if (on) socket.pause();
          else socket.resume();
    },
    async close() {
      cut();
      listener.close();
      await once(listener, 'close');
    },
  };
}
