/**
 * What does the API cost beside its queries? GET one, list 100 and PATCH at 40 connections, with tokens, validation,
 * limits, audit and records of requests on, each as a ratio to a bare fastify route that runs the same statements in
 * the same run; and the memory of an open event stream. Rounds alternate, so that whatever else the machine does meets
 * both; the median ratio is what to look at.
 *
 *   npm run bench:api -- [--seconds 4] [--rounds 5] [--streams 1500]
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect as openSocket, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { pino } from 'pino';
import { systemClock } from '../src/clock.ts';
import { connect } from '../src/database/connection.ts';
import { startEmbeddedPostgres } from '../src/database/embedded.ts';
import { migrate } from '../src/database/migrations.ts';
import { createPostgresStore } from '../src/store/postgres/postgres-store.ts';
import { CUSTOMERS, type Listening, type Usage } from './api-server.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    streams: { type: 'string', default: '1500' },
  },
});
const CONNECTIONS = 40;
const WARM_UP = 4_000;
/** So that a list has a hundred, and two writers rarely meet. */
const TENANTS_PER_CUSTOMER = 100;
const log = pino({ level: 'warn' }, pino.destination(2));

interface Server extends Listening {
  readonly process: ChildProcess;
}

async function startServer(kind: 'landlord' | 'bare', databaseUrl: string): Promise<Server> {
  const child = fork(new URL('./api-server.ts', import.meta.url), [kind, databaseUrl], {
    execArgv: [...process.execArgv, '--expose-gc'],
  });
  const [message] = (await once(child, 'message')) as [Listening];
  return { process: child, ...message };
}

async function usageOf(server: Server, question: 'memory' | 'cpu'): Promise<Usage> {
  server.process.send(question);
  const [usage] = (await once(server.process, 'message')) as [Usage];
  return usage;
}

/** Ids of each customer's tenants. */
async function seed(databaseUrl: string): Promise<string[][]> {
  const database = connect({ url: databaseUrl, log, clock: systemClock });
  const store = createPostgresStore({ database, clock: systemClock, log });
  const uids: string[][] = [];
  for (let customer = 0; customer < CUSTOMERS; customer += 1) {
    const own: string[] = [];
    uids.push(own);
    for (let index = 0; index < TENANTS_PER_CUSTOMER; index += 1) {
      const { metadata } = await store.tenants.create({
        metadata: { namespace: 'default', name: `bench-${customer}-${index}` },
        spec: {
          owner: `ctm_${customer}`,
          region: 'iad',
          image: 'registry.fly.io/images:bench',
          env: { N: '0' },
        },
      });
      own.push(metadata.uid);
    }
  }
  await store.close();
  await database.close();
  return uids;
}

type Load = (uids: readonly string[]) => autocannon.Request[];

let writes = 0;
const pick = (uids: readonly string[]): string => uids[Math.floor(Math.random() * uids.length)] ?? '';
const LOADS: Readonly<Record<string, Load>> = {
  'GET one': (uids) => [
    { method: 'GET', setupRequest: (request) => ({ ...request, path: `/api/v1/tenants/${pick(uids)}` }) },
  ],
  'list 100': () => [{ method: 'GET', path: '/api/v1/tenants?limit=100' }],
  PATCH: (uids) => [
    {
      method: 'PATCH',
      setupRequest: (request) => ({
        ...request,
        path: `/api/v1/tenants/${pick(uids)}`,
        body: JSON.stringify({ env: { N: String((writes += 1)) } }),
      }),
    },
  ],
};

interface Measured {
  /** Successful answers. */
  readonly perSecond: number;
  /** Processor time of the server for each: what stays comparable when others use the machine. */
  readonly cpuMicros: number;
}

async function measure(
  server: Server,
  options: {
    readonly load: Load;
    readonly uids: readonly string[];
    readonly for: { readonly seconds: number } | { readonly requests: number };
  },
): Promise<Measured> {
  const { load, uids, for: length } = options;
  const before = await usageOf(server, 'cpu');
  const result = await autocannon({
    url: `http://127.0.0.1:${server.port}`,
    connections: CONNECTIONS,
    ...('seconds' in length ? { duration: length.seconds } : { amount: length.requests }),
    headers: { authorization: `Bearer ${server.tokens[0] ?? ''}`, 'content-type': 'application/json' },
    requests: load(uids),
  });
  // Two writers of one tenant: the bare route gives up where Landlord tries again.
  const conflicts = result.statusCodeStats?.['409']?.count ?? 0;
  if (result.errors + result.non2xx - conflicts > 0)
    throw new Error(
      `cannot measure: ${result.errors} errors, answers ${JSON.stringify(result.statusCodeStats)}`,
    );
  const after = await usageOf(server, 'cpu');
  return {
    perSecond: result['2xx'] / result.duration,
    cpuMicros: (after.cpuMicros - before.cpuMicros) / (result['2xx'] + conflicts),
  };
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

async function compare(landlord: Server, bare: Server, uids: readonly string[]): Promise<void> {
  for (const [name, load] of Object.entries(LOADS)) {
    const timed = { load, uids, for: { seconds: Number(values.seconds) } };
    // Until the engine has compiled what is used.
    for (const server of [landlord, bare]) await measure(server, { load, uids, for: { requests: WARM_UP } });
    const rounds: { ours: Measured; theirs: Measured }[] = [];
    for (let round = 0; round < Number(values.rounds); round += 1)
      rounds.push({
        ours: await measure(landlord, timed),
        theirs: await measure(bare, timed),
      });
    const ratios = rounds.map(({ ours, theirs }) => ours.perSecond / theirs.perSecond);
    const figures = {
      bench: 'api',
      load: name,
      connections: CONNECTIONS,
      perSecond: Math.round(median(rounds.map(({ ours }) => ours.perSecond))),
      barePerSecond: Math.round(median(rounds.map(({ theirs }) => theirs.perSecond))),
      ratio: Number(median(ratios).toFixed(2)),
      cpuMicrosEach: Math.round(median(rounds.map(({ ours }) => ours.cpuMicros))),
      bareCpuMicrosEach: Math.round(median(rounds.map(({ theirs }) => theirs.cpuMicros))),
      ratios: ratios.map((ratio) => Number(ratio.toFixed(2))),
    };
    process.stdout.write(`${JSON.stringify(figures)}\n`);
    process.stdout.write(
      `${name}: ${figures.perSecond} a second, bare ${figures.barePerSecond}: ratio ${figures.ratio} (reach 0.6); ` +
        `processor ${figures.cpuMicrosEach} µs each, bare ${figures.bareCpuMicrosEach} µs\n\n`,
    );
  }
}

/** Opens event streams, spread over customers and their tenants, and resolves once each has answered. */
async function openStreams(server: Server, uids: readonly string[][], count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let index = 0; index < count; index += 1) {
    const customer = index % CUSTOMERS;
    const own = uids[customer] ?? [];
    const socket = openSocket(server.port, '127.0.0.1');
    sockets.push(socket);
    socket.write(
      `GET /api/v1/tenants/${own[index % own.length] ?? ''}/events?follow=1 HTTP/1.1\r\nhost: bench\r\n` +
        `authorization: Bearer ${server.tokens[customer] ?? ''}\r\n\r\n`,
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    if (!answer.toString('latin1').startsWith('HTTP/1.1 200'))
      throw new Error(`cannot open a stream: ${answer.toString('latin1').slice(0, 200)}`);
  }
  return sockets;
}

async function measureStreams(server: Server, uids: readonly string[][]): Promise<void> {
  const count = Number(values.streams);
  // What the first ones cost once (code, pools, buffers) is no cost of a stream.
  for (const socket of await openStreams(server, uids, 200)) socket.destroy();
  const before = await usageOf(server, 'memory');
  const sockets = await openStreams(server, uids, count);
  const after = await usageOf(server, 'memory');
  for (const socket of sockets) socket.destroy();
  const each = (use: 'rss' | 'heapUsed'): number =>
    Number(((after[use] - before[use]) / count / 1024).toFixed(1));
  const figures = {
    bench: 'api-streams',
    streams: count,
    rssKibEach: each('rss'),
    heapKibEach: each('heapUsed'),
  };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
  process.stdout.write(
    `${count} event streams: ${figures.rssKibEach} KiB resident each (reach 20), ${figures.heapKibEach} KiB of it heap\n`,
  );
}

const stateDir = await mkdtemp(join(tmpdir(), 'landlord-bench-'));
// Others may pass through, for the server's own user when this runs as root.
await chmod(stateDir, 0o711);
const postgres = await startEmbeddedPostgres({ stateDir, log, clock: systemClock });
const servers: Server[] = [];
try {
  await migrate({ url: postgres.url, log });
  const uids = await seed(postgres.url);
  const landlord = await startServer('landlord', postgres.url);
  servers.push(landlord);
  const bare = await startServer('bare', postgres.url);
  servers.push(bare);
  await compare(landlord, bare, uids[0] ?? []);
  const fresh = await startServer('landlord', postgres.url);
  servers.push(fresh);
  await measureStreams(fresh, uids);
} finally {
  for (const server of servers) server.process.kill();
  await postgres.stop();
  await rm(stateDir, { recursive: true, force: true });
}
