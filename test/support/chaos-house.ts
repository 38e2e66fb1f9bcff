/**
 * Where chaos plays: the daemons, what they stand on, and everything of it that can break. `embedded` is one daemon with
 * a PostgreSQL of its own, as `npm start` has it; `postgres` and `kubernetes` are several over a store that they share.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { pino } from 'pino';
import { systemClock } from '../../src/clock.ts';
import { startEmbeddedPostgres } from '../../src/database/embedded.ts';
import { prepareCluster } from '../cluster/house.ts';
import { startCuttableProxy } from './cuttable-proxy.ts';
import { eventually } from './eventually.ts';
import type { SimulatedCall } from './operator.ts';
import { freePort, startDaemon, type Daemon, type Simulator } from './processes.ts';
import { identityOf, isBy } from './replicas.ts';
import { createSecretHunt, dumpDatabase, type SecretHunt } from './secret-hunt.ts';

export const STORES = ['embedded', 'postgres', 'kubernetes'] as const;
export type ChaosStore = (typeof STORES)[number];

/** What can happen to a daemon: its death, and a new one in its place; or it stands still for a while. */
export const STRIKES = ['kill', 'pause'] as const;
export type Strike = (typeof STRIKES)[number];

/** Something that goes wrong. Returns once it has; daemons are there again by then. */
export type Incident = () => Promise<void>;

export interface ChaosHouse {
  /** A daemon that answers now. */
  awake(): Daemon;
  /** By name; the name is what the result counts them under. */
  readonly incidents: ReadonlyMap<string, Incident>;
  /** Does it to the daemon that has made this call. */
  strike(how: Strike, call: SimulatedCall): Promise<void>;
  /** Secrets that stand where none may: in the daemons' logs, in their database, in what `shown` has by its place. */
  leaks(shown: Readonly<Record<string, string>>): Promise<readonly string[]>;
  /** Ends everything but the simulator. */
  stop(): Promise<void>;
}

export interface ChaosHouseOptions {
  readonly store: ChaosStore;
  readonly stateDir: string;
  readonly simulator: Simulator;
  readonly random: () => number;
}

/** How long a daemon stands still: less and more than a lease lasts. */
const PAUSE_MS = { shortest: 500, longest: 22_000 };

export async function openChaosHouse(options: ChaosHouseOptions): Promise<ChaosHouse> {
  const { store, stateDir, simulator, random } = options;
  const hunt = createSecretHunt();
  const ground = await (store === 'embedded' ? embedded() : shared(options));
  const env = { LOG_LEVEL: 'warn', ...ground.env };
  const places = await Promise.all(
    Array.from({ length: store === 'embedded' ? 1 : 2 }, async (_, index) => ({
      // The one daemon of `embedded` has its PostgreSQL in there.
      stateDir: join(stateDir, `daemon-${index}`),
      port: await freePort(),
    })),
  );
  const start = (place: (typeof places)[number]): Promise<Daemon> =>
    startDaemon({
      ...place,
      ...{ simulatorUrl: simulator.url, env },
      onOutput: (text) => hunt.search('the log', text),
    });
  const daemons: Daemon[] = [];
  const identities: string[] = [];
  async function place(index: number): Promise<void> {
    const daemon = await start(places[index]!);
    daemons[index] = daemon;
    // The one daemon shares with nobody, and has no name to tell.
    identities[index] = store === 'embedded' ? 'alone' : await identityOf(daemon);
  }
  for (const index of places.keys()) await place(index);
  let asleep: Daemon | undefined;
  const any = (): number => Math.floor(random() * daemons.length);

  async function kill(index = any()): Promise<void> {
    await daemons[index]!.kill();
    await place(index);
  }

  async function pause(index = any()): Promise<void> {
    const daemon = daemons[index]!;
    asleep = daemon;
    daemon.pause();
    await delay(PAUSE_MS.shortest + random() * (PAUSE_MS.longest - PAUSE_MS.shortest));
    daemon.resume();
    asleep = undefined;
  }

  return {
    awake: () => daemons.find((daemon) => daemon !== asleep) ?? daemons[0]!,
    incidents: new Map([['kill', () => kill()], ['pause', () => pause()], ...ground.incidents]),
    async strike(how, call) {
      const index = identities.findIndex((identity) => isBy({ identity })(call));
      if (index === -1) throw new Error(`nobody here has made the call ${call.operation}`);
      await { kill, pause }[how](index);
    },
    async leaks(shown) {
      for (const [place, text] of Object.entries(shown)) hunt.search(place, text);
      await ground.confess(hunt);
      return hunt
        .findings()
        .map(({ secret, place, disguise, around }) => `${secret} stands in ${place}, ${disguise}: ${around}`);
    },
    async stop() {
      await Promise.all(daemons.map((daemon) => daemon.stop()));
      await ground.stop();
    },
  };
}

/** What daemons stand on. */
interface Ground {
  readonly env: NodeJS.ProcessEnv;
  readonly incidents: readonly (readonly [string, Incident])[];
  /** Names its secrets to the hunt, and what is kept in the database as a place to search. */
  confess(hunt: SecretHunt): Promise<void>;
  stop(): Promise<void>;
}

/** Its secrets are made up by the daemon, and known to nobody here. */
function embedded(): Promise<Ground> {
  const nothing = (): Promise<void> => Promise.resolve();
  return Promise.resolve({ env: {}, incidents: [], confess: nothing, stop: nothing });
}

/** A PostgreSQL behind a line that breaks, and, for `kubernetes`, an API server. */
async function shared({ store, stateDir }: ChaosHouseOptions): Promise<Ground> {
  const log = pino({ level: 'silent' });
  const postgres = await startEmbeddedPostgres({
    stateDir: join(stateDir, 'postgres'),
    log,
    clock: systemClock,
  });
  const line = await startCuttableProxy({ port: Number(new URL(postgres.url).port) });
  const url = new URL(postgres.url);
  url.port = String(line.port);
  url.hostname = '127.0.0.1';
  const prepared = store === 'kubernetes' ? await prepareCluster() : undefined;
  const cut = (): Promise<void> => {
    line.cut();
    return Promise.resolve();
  };
  const key = { id: 'chaos', key: randomBytes(32) };
  const secrets = {
    LANDLORD_ENCRYPTION_KEYS: `${key.id}:${key.key.toString('base64')}`,
    JWT_SECRET: randomBytes(32).toString('hex'),
  };
  return {
    env: { ...prepared?.env, DATABASE_URL: url.href, ...secrets },
    async confess(hunt) {
      for (const [name, value] of Object.entries(secrets)) hunt.hide(name, value);
      const client = await connected(postgres.url);
      const dump = await dumpDatabase(
        async (text) => (await client.query<Record<string, unknown>>(text)).rows,
      );
      await client.end();
      await hunt.hideSealed(dump, { keys: [key], except: [] });
      if (!hunt.secrets().some((name) => name.startsWith('sealed')))
        throw new Error('cannot hunt for secrets: no tenant has any');
      hunt.search('the database', dump);
    },
    incidents: [
      ['cut', cut],
      ['database', () => crash(postgres.url)],
      ...(prepared === undefined ? [] : [['apiserver', () => prepared.cluster.restartApiServer()] as const]),
    ],
    async stop() {
      await prepared?.cluster.stop();
      await line.close();
      await postgres.stop();
    },
  };
}

/** One of PostgreSQL's own processes dies: the server throws everybody out and recovers from its log. */
async function crash(url: string): Promise<void> {
  const client = await eventually(() => connected(url).catch(() => undefined), {
    what: 'PostgreSQL to have recovered',
  });
  const thrownOut = new Promise<void>((resolve) => client.once('error', () => resolve()));
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  process.kill(rows[0]!.pid, 'SIGKILL');
  await thrownOut;
  await client.end().catch(() => undefined);
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  await client.connect();
  return client;
}
