/**
 * Several built daemons over one store and one simulated Fly, as they run in production, and what a test must know of
 * each: its name, how many shards it has, and which calls to Fly were its own.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call, callsOf, createOperator, type Operator, type SimulatedCall } from './operator.ts';
import { eventually } from './eventually.ts';
import { startDaemon, startSimulator, type Daemon, type Simulator } from './processes.ts';

export interface Replica extends Daemon {
  /** As the others, its metrics and Fly know it. */
  readonly identity: string;
  readonly operator: Operator;
  /** How many shards it says that it has; undefined when it does not answer. */
  shards(): Promise<number | undefined>;
}

export interface Replicas {
  readonly simulator: Simulator;
  /** Starts one more; `env` is what it alone is told. */
  start(env?: NodeJS.ProcessEnv): Promise<Replica>;
  /** Resolves once the replica has so many shards. */
  untilHolds(replica: Replica, shards: number): Promise<void>;
  /** Calls that were to change something, oldest first. */
  writes(): Promise<SimulatedCall[]>;
  /** Stops what still runs, and removes what it has left on this machine; the store is the caller's. */
  stop(): Promise<void>;
}

export interface ReplicasOptions {
  /** Says where the store is: `DATABASE_URL`, or `LANDLORD_STORE` and `KUBECONFIG` beside it. The same for all. */
  readonly env: NodeJS.ProcessEnv;
  readonly simulatorEnv?: NodeJS.ProcessEnv;
}

/** Longer than a lease, two looks, and a busy machine. */
const HAND_OVER_TIMEOUT_MS = 60_000;

export async function startReplicas(options: ReplicasOptions): Promise<Replicas> {
  const simulator = await startSimulator({ env: options.simulatorEnv ?? {} });
  const running: Daemon[] = [];
  const folders: string[] = [];
  // What each would otherwise make up for itself, and what they must agree on.
  const shared = {
    LANDLORD_ENCRYPTION_KEYS: `test:${randomBytes(32).toString('base64')}`,
    JWT_SECRET: randomBytes(32).toString('hex'),
    ...options.env,
  };

  async function start(env: NodeJS.ProcessEnv = {}): Promise<Replica> {
    const stateDir = await mkdtemp(join(tmpdir(), 'landlord-replica-'));
    folders.push(stateDir);
    const daemon = await startDaemon({ stateDir, simulatorUrl: simulator.url, env: { ...shared, ...env } });
    running.push(daemon);
    const identity = await identityOf(daemon);
    const operator = createOperator(
      () => daemon.url,
      () => daemon.credentials.operator_token,
    );
    return { ...daemon, identity, operator, shards: () => shardsOf(daemon) };
  }

  return {
    simulator,
    start,
    async untilHolds(replica, shards) {
      await eventually(async () => (await replica.shards()) === shards, {
        what: `replica ${replica.identity} to have ${shards} shards`,
        timeoutMs: HAND_OVER_TIMEOUT_MS,
        during: replica,
      });
    },
    writes: async () =>
      (await callsOf(simulator.url)).filter(({ method }) => method !== 'GET' && method !== 'HEAD'),
    async stop() {
      await Promise.all(running.map((daemon) => daemon.stop()));
      await simulator.stop();
      for (const folder of folders) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Whether the call was this replica's. */
export function isBy({ identity }: Pick<Replica, 'identity'>): (call: SimulatedCall) => boolean {
  return ({ agent }) => agent === `landlord (${identity})`;
}

/** What the daemon, its metrics and Fly call it. */
export async function identityOf(daemon: Daemon): Promise<string> {
  const identity = /^landlord_replica_info\{replica="([^"]+)"\}/m.exec(await metricsOf(daemon))?.[1];
  if (identity === undefined) throw new Error('the daemon does not say which replica it is');
  return identity;
}

async function metricsOf(daemon: Daemon): Promise<string> {
  const response = await fetch(`${daemon.url}/metrics`, { signal: AbortSignal.timeout(30_000) });
  return response.text();
}

async function shardsOf(daemon: Daemon): Promise<number | undefined> {
  const text = await metricsOf(daemon).catch(() => '');
  const value = /^landlord_shards_held (\d+)$/m.exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}

/** Makes the simulated Fly do something unusual; see docs/simulator.md. */
export async function addFault(simulator: Simulator, fault: Record<string, unknown>): Promise<void> {
  const { status } = await call(`${simulator.url}/_simulator/faults`, { method: 'POST', body: fault });
  if (status !== 200) throw new Error(`the simulator refused the fault with ${status}`);
}

/** What was planned and has not begun does not happen any more. */
export async function clearFaults(simulator: Simulator): Promise<void> {
  const { status } = await call(`${simulator.url}/_simulator/faults`, { method: 'DELETE' });
  if (status !== 204) throw new Error(`the simulator kept the faults with ${status}`);
}
