/**
 * A Fly of one's own over HTTP: the world, driven by a clock in real time, on one port with the Machines API, the
 * logs, the metrics, the registry and the control surface. With a state file it is the same world after a restart.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../clock.ts';
import { makeApp } from './apps.ts';
import { createBlobUploads, isBlobPath } from './blob-uploads.ts';
import { control, CONTROL_PREFIX } from './control.ts';
import { createExchange, type Exchange } from './exchange.ts';
import { cut, readRequest, writeAnswer } from './http.ts';
import type { Moment } from './moment.ts';
import { DEFAULT_ORG } from './platform.ts';
import { smallManifest, storeManifest } from './registry.ts';
import { own } from './state.ts';
import { openStateFile } from './state-file.ts';
import { refusalOfToken } from './tokens.ts';
import { createWorld, type World, type WorldOptions } from './world.ts';

export interface SimulatorServerOptions extends Omit<WorldOptions, 'state' | 'observer'> {
  readonly clock: Clock;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Keeps the world across restarts. Absent: it ends with the server. */
  readonly stateFile?: string;
  /** Apps of the organisation `systemprompt` that are there from the start, such as the shared registry app. */
  readonly apps?: readonly string[];
  /** Images that the registry holds from the start, as `repository:tag`. */
  readonly images?: readonly string[];
  /** Told of what must not happen: an error inside the simulator. */
  readonly log?: (message: string, error: unknown) => void;
}

export interface SimulatorServer {
  /** `http://host:port`: what every FLY_*_URL points at. */
  readonly url: string;
  readonly port: number;
  readonly world: World;
  /** Cuts all connections, and saves the world. */
  close(): Promise<void>;
}

/** Longer than clients keep their connections, so that it is never the server that closes an idle one. */
const KEEP_ALIVE_MS = 120_000;

async function listen(server: Server, port: number, host: string): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('cannot listen: no port was given');
  return address;
}

async function stopListening(server: Server): Promise<void> {
  const ended = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await ended;
}

/** What is there from the start; what a state file already holds is left as it is. */
function plant(
  moment: Moment,
  { apps = [], images = [] }: Pick<SimulatorServerOptions, 'apps' | 'images'>,
): void {
  for (const name of apps) {
    const isThere = own(moment.state.apps, name) !== undefined;
    if (!isThere) makeApp(moment, { name, org: DEFAULT_ORG, seenAtOnce: true });
  }
  for (const image of images) {
    const [repository = '', tag = 'latest'] = image.split(':');
    const isThere = own(moment.state.tags, `${repository}:${tag}`) !== undefined;
    if (!isThere) storeManifest(moment, { repository, tag, text: smallManifest(image) });
  }
}

/** Answers every request that comes in: the control surface at once, everything else through the world. */
function createResponder(parts: {
  world: World;
  exchange: Exchange;
  clock: Clock;
}): (message: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { world, exchange, clock } = parts;
  const uploads = createBlobUploads({
    refusalOf: (authorization, repository) =>
      refusalOfToken(world.at(clock.now()), {
        authorization,
        operation: 'Registry_blob_upload',
        app: repository.split('/')[0],
      }),
  });

  return async (message, response) => {
    if (isBlobPath(message.url ?? '')) {
      await uploads.respond(message, response);
      return;
    }
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const request = await readRequest(message);
    if (request === undefined) {
      writeAnswer(response, { status: 413, headers: { connection: 'close' } });
    } else if (request.path.startsWith(CONTROL_PREFIX)) {
      const answer = control(world, request, clock.now());
      exchange.touched();
      writeAnswer(response, answer);
    } else {
      const delivery = await exchange.perform(request, gone.signal);
      if (delivery.kind === 'answer') writeAnswer(response, delivery.answer);
      if (delivery.kind === 'reset') cut(response);
    }
  };
}

/** Starts a simulated Fly. Rejects when the port is taken or the state file cannot be read. */
export async function createSimulatorServer(options: SimulatorServerOptions): Promise<SimulatorServer> {
  const { clock, host = '127.0.0.1', port = 0, stateFile, log = () => undefined } = options;
  const file = stateFile === undefined ? undefined : openStateFile(stateFile);
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 });
  const address = await listen(server, port, host);

  const exchange = createExchange({
    world: () => world,
    clock,
    afterChange: () => file?.append(world.state),
  });
  const world = createWorld({
    ...options,
    ...(file?.loaded !== undefined && { state: file.loaded }),
    registryHosts: [`${host}:${address.port}`, ...(options.registryHosts ?? [])],
    observer: {
      machineChanged: (id) => exchange.machineChanged(id),
      recordChanged: (table, key) => file?.recordChanged(table, key),
    },
  });
  plant(world.at(clock.now()), options);
  exchange.touched();

  const respond = createResponder({ world, exchange, clock });
  server.on('request', (message, response) => {
    respond(message, response).catch((error: unknown) => {
      if (message.destroyed || response.destroyed) return;
      log(`cannot simulate ${message.method ?? ''} "${message.url ?? ''}"`, error);
      if (!response.headersSent) {
        writeAnswer(response, { status: 500, json: { error: 'the simulator failed' } });
      }
    });
  });

  return {
    url: `http://${host}:${address.port}`,
    port: address.port,
    world,
    async close() {
      exchange.close();
      await stopListening(server);
      file?.close(world.state);
    },
  };
}
