/**
 * One tenant's whole life, and something happens to the daemon at every single write to Fly: it is killed, or stands
 * still for longer than a lease, once just before the write takes effect and once just after. The points are read off an
 * undisturbed life, and after every stage of it Fly must hold exactly what it held then.
 */
import { isDeepStrictEqual } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { appName } from '../../src/tenant/names.ts';
import { openChaosHouse, type ChaosHouse, type ChaosStore, type Strike } from './chaos-house.ts';
import {
  call,
  callsOf,
  createOperator,
  persist,
  reachPhase,
  remove,
  seedImage,
  worldOf,
} from './operator.ts';
import type { SimulatedCall } from './operator.ts';
import { startSimulator, type Simulator } from './processes.ts';
import { addFault } from './replicas.ts';

export interface PointsOptions {
  readonly store: ChaosStore;
  readonly strike: Strike;
  /** Both, unless told. */
  readonly moments?: readonly (keyof typeof MOMENTS)[];
  readonly stateDir: string;
  readonly simulatorEnv?: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
}

export interface PointsResult {
  /** Each as `Volumes_create 1 before`, and how often the daemon was struck there: exactly once. */
  readonly points: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** Before its effect: it has none, and no answer. After it: the answer is still on its way. */
const MOMENTS = { before: { kind: 'hang' }, after: { kind: 'late', afterMs: 8_000 } } as const;
const IMAGE = 'registry.fly.io/systemprompt-images:points';
const POLL_MS = 50;

export async function runPoints(options: PointsOptions): Promise<PointsResult> {
  const simulator = await startSimulator({ env: options.simulatorEnv ?? {} });
  const house = await openChaosHouse({ ...options, simulator, random: () => 0.999 }).catch(
    async (error: unknown) => {
      await simulator.stop();
      throw error;
    },
  );
  try {
    const calm = await live(house, simulator, 'calm');
    const sites = sitesOf(await callsOf(simulator.url));
    const points: Record<string, number> = {};
    const violations: string[] = [];
    for (const moment of options.moments ?? (['before', 'after'] as const)) {
      for (const { operation, occurrence } of sites) {
        points[`${operation} ${occurrence} ${moment}`] = 0;
        await addFault(simulator, { operation, occurrence, ...MOMENTS[moment] });
      }
      const lived = await strikeDuring(options, { house, simulator, moment, points }, () =>
        live(house, simulator, `struck-${moment}`),
      );
      violations.push(...differences(calm, lived).map((text) => `${moment} the effect: ${text}`));
      await call(`${simulator.url}/_simulator/faults`, { method: 'DELETE' });
    }
    const missed = Object.entries(points).filter(([, times]) => times !== 1);
    violations.push(...missed.map(([point, times]) => `${point}: struck ${times} times`));
    return { points, violations };
  } finally {
    await house.stop();
    await simulator.stop();
  }
}

/** As many of each operation as the life needs: those that Fly refused, and only had to be made later, do not count. */
function sitesOf(calls: readonly SimulatedCall[]): { operation: string; occurrence: number }[] {
  const seen = new Map<string, number>();
  const needed = calls.filter((one) => isWrite(one) && one.status !== null && one.status < 300);
  return needed.map(({ operation }) => {
    const occurrence = (seen.get(operation) ?? 0) + 1;
    seen.set(operation, occurrence);
    return { operation, occurrence };
  });
}

function isWrite({ method }: SimulatedCall): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/** While `life` goes on, strikes whoever has made a call that is held up. */
async function strikeDuring<T>(
  { strike, log }: PointsOptions,
  rig: {
    readonly house: ChaosHouse;
    readonly simulator: Simulator;
    readonly moment: string;
    readonly points: Record<string, number>;
  },
  life: () => Promise<T>,
): Promise<T> {
  let over = false;
  const seen = new Set((await callsOf(rig.simulator.url)).map(({ sequence }) => sequence));
  const counts = new Map<string, number>();
  async function watch(): Promise<void> {
    while (!over) {
      const fresh = (await callsOf(rig.simulator.url)).filter(({ sequence }) => !seen.has(sequence));
      for (const { sequence } of fresh) seen.add(sequence);
      for (const held of fresh.filter(isWrite)) {
        const occurrence = (counts.get(held.operation) ?? 0) + 1;
        counts.set(held.operation, occurrence);
        if (held.fault === undefined) continue;
        const point = `${held.operation} ${occurrence} ${rig.moment}`;
        log(`${strike} at ${point}`);
        rig.points[point] = (rig.points[point] ?? 0) + 1;
        await rig.house.strike(strike, held);
      }
      await delay(POLL_MS);
    }
  }
  const watching = watch();
  watching.catch(() => undefined);
  try {
    return await Promise.race([life(), watching.then(() => new Promise<never>(() => undefined))]);
  } finally {
    over = true;
    await watching;
  }
}

type Stages = Readonly<Record<string, unknown>>;

/** Creates, changes, restarts, suspends, resumes and deletes the tenant; answers with what Fly held after each. */
async function live(house: ChaosHouse, simulator: Simulator, name: string): Promise<Stages> {
  const operator = createOperator(
    () => house.awake().url,
    () => house.awake().credentials.operator_token,
  );
  await seedImage(simulator.url, 'systemprompt-images', 'points');
  const spec = { owner: 'ctm_points', region: 'iad', memoryMb: 256, image: IMAGE };
  await persist(() => operator.create(name, { ...spec, hostnames: [`${name}.test`] }));
  const app = appName((await persist(() => operator.get(name))).body.metadata.uid);
  const stages: Record<string, unknown> = {};
  const stage = async (what: string, phase: string): Promise<void> => {
    await reachPhase(operator, name, phase);
    stages[what] = await holdings(simulator, app, name);
  };
  await stage('created', 'running');
  for (const [what, change, phase] of [
    ['resized', { memoryMb: 512, volumeGb: 2 }, 'running'],
    ['restarted', { restartedAt: '2026-01-01T00:00:00Z' }, 'running'],
    ['suspended', { state: 'Suspended' }, 'suspended'],
    ['resumed', { state: 'Running' }, 'running'],
  ] as const) {
    await persist(() => operator.patch(name, change));
    await stage(what, phase);
  }
  await remove(operator, name);
  stages['deleted'] = await holdings(simulator, app, name);
  return stages;
}

/** What Fly holds of the app, without what is another in every life: ids, names and times. */
async function holdings(simulator: Simulator, app: string, name: string): Promise<unknown> {
  const held = (await worldOf(simulator.url)).apps[app];
  if (held === undefined || held.deleting) return 'nothing';
  return {
    machines: held.machines.map(({ state, config, versions }) => ({
      state,
      versions: versions.length,
      guest: config.guest,
    })),
    volumes: held.volumes.map(({ state, size_gb }) => ({ state, size_gb })),
    addresses: held.addresses.map(({ type }) => type).sort(),
    certificates: held.certificates.map(({ hostname }) => hostname.replace(name, 'NAME').slice(-9)).sort(),
    secrets: [...held.secrets.names].sort(),
  };
}

function differences(calm: Stages, lived: Stages): string[] {
  return Object.entries(calm)
    .filter(([stage, held]) => !isDeepStrictEqual(held, lived[stage]))
    .map(([stage, held]) => `${stage}: ${JSON.stringify(lived[stage])} instead of ${JSON.stringify(held)}`);
}
