/**
 * What does the daemon stand on, and where does it come from? A PostgreSQL and a Fly: those that the operator
 * names, or an embedded server and a simulator that start and stop with the daemon.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Clock } from './clock.ts';
import type { Config, FlyConfig } from './config.ts';
import { connect, type Database } from './database/connection.ts';
import { startEmbeddedPostgres } from './database/embedded.ts';
import { migrate } from './database/migrations.ts';
import { lockStateDir } from './database/state-lock.ts';
import { createFly, type FlyClient } from './fly/client.ts';
import { createSimulatorServer } from './simulator/server.ts';

/** Tag of the image that the example tenants run. */
const EXAMPLE_TAG = 'hello';

/** Things that were started, to be stopped in the reverse order, each even if another one fails to. */
export interface Cleanup {
  add(what: string, stop: () => Promise<void>): void;
}

export interface ResourceOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly cleanup: Cleanup;
  /** Name of this replica; no other one that lives has it. */
  readonly replica: string;
}

/** Makes the state folder and takes it for this process. Throws when another daemon holds it. */
export async function openStateDir({ config, cleanup }: ResourceOptions): Promise<void> {
  // Others may pass through, for the embedded server's own user when the daemon runs as root; they may not look.
  await mkdir(config.stateDir, { recursive: true, mode: 0o711 });
  const lock = await lockStateDir(config.stateDir);
  cleanup.add('the state folder', () => lock.release());
}

export interface OpenedDatabase {
  readonly database: Database;
  readonly url: string;
}

/** Connects to a migrated database. */
export async function openDatabase({
  config,
  clock,
  log,
  cleanup,
}: ResourceOptions): Promise<OpenedDatabase> {
  let url = config.databaseUrl;
  if (url === undefined) {
    const embedded = await startEmbeddedPostgres({ stateDir: config.stateDir, log, clock });
    cleanup.add('the embedded PostgreSQL', () => embedded.stop());
    log.info(`embedded PostgreSQL keeps its data in ${embedded.dataDir}`);
    url = embedded.url;
  }
  await migrate({ url, log });
  const database = connect({ url, log, clock });
  cleanup.add('the database connections', () => database.close());
  return { database, url };
}

/** The client of Fly, or of a simulator that is started for it. */
export async function openFly(options: ResourceOptions): Promise<FlyClient> {
  const { config, clock, log, metrics, cleanup, replica } = options;
  const fly = config.fly ?? (await startSimulator(options));
  const client = createFly({ ...fly, orgSlug: config.orgSlug, replica, clock, log, metrics });
  cleanup.add('the connections to Fly', () => client.close());
  return client;
}

async function startSimulator({ config, clock, log, cleanup }: ResourceOptions): Promise<FlyConfig> {
  const simulator = await createSimulatorServer({
    clock,
    port: config.simulator.port,
    latency: config.simulator.latency,
    seed: config.simulator.seed,
    stateFile: join(config.stateDir, 'simulator.json'),
    apps: [config.sharedRegistryApp],
    images: [`${config.sharedRegistryApp}:${EXAMPLE_TAG}`],
    log: (message, error) => log.error({ err: error }, message),
  });
  cleanup.add('the simulated Fly', () => simulator.close());
  log.info(
    `no FLY_API_TOKEN: a simulated Fly listens on ${simulator.url} and keeps its world in the state folder`,
  );
  const { url } = simulator;
  return {
    token: 'simulator',
    apiUrl: url,
    registryUrl: url,
    logsUrl: url,
    prometheusUrl: `${url}/prometheus`,
  };
}
