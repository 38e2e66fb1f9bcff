/**
 * People use daemons to which something happens again and again. Each tenant has a script of its own (created, deployed,
 * restarted, suspended, scaled, deleted) that goes on whatever happens, while at random moments a daemon is killed or
 * stands still, and what they stand on breaks. Afterwards all is left alone, and then everything must be as the specs say.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { appName } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { eventually } from './eventually.ts';
import {
  callsOf,
  createOperator,
  isSettled,
  persist,
  reachPhase,
  remove,
  seedImage,
  worldOf,
  type Operator,
  type SimulatedWorld,
} from './operator.ts';
import { openChaosHouse, type ChaosStore } from './chaos-house.ts';
import { startSimulator } from './processes.ts';

export interface ChaosOptions {
  readonly tenants: number;
  /** How many things go wrong. */
  readonly incidents: number;
  /** What the daemons stand on, and with it what can go wrong. */
  readonly store: ChaosStore;
  readonly seed: number;
  readonly stateDir: string;
  /** Environment of the simulator, for example `SIMULATOR_LATENCY`. */
  readonly simulatorEnv?: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
}

export interface ChaosResult {
  /** How often what went wrong. */
  readonly incidents: Readonly<Record<string, number>>;
  /** Tenants at the end, and those that were deleted on the way. */
  readonly remaining: number;
  readonly deleted: number;
  readonly acceptedRestarts: number;
  /** Everything that is not as it should be, in words; empty: all is well. */
  readonly violations: readonly string[];
}

/** What one tenant's script did and what must be true of it in the end. */
interface Expectation {
  readonly name: string;
  deleted: boolean;
  restarts: number;
  /** New machine versions that the script's edits asked for, besides the first. */
  updates: number;
  uid?: string;
}

const IMAGES = ['one', 'two'].map((tag) => `registry.fly.io/systemprompt-images:${tag}`);
const POLL_MS = 250;
/** Longer than any back-off and grace together. */
const SCRIPT_TIMEOUT_MS = 240_000;
const DELETED_VOLUME_STATES = new Set([
  'scheduling_destroy',
  'pending_destroy',
  'destroying',
  'destroyed',
  'waiting_for_detach',
]);

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { log } = options;
  const random = seededRandom(options.seed);
  const simulator = await startSimulator({
    env: { SIMULATOR_SEED: String(options.seed), ...options.simulatorEnv },
  });
  for (const tag of ['one', 'two']) await seedImage(simulator.url, 'systemprompt-images', tag);
  const house = await openChaosHouse({ ...options, simulator, random }).catch(async (error: unknown) => {
    await simulator.stop();
    throw error;
  });
  const operator = createOperator(
    () => house.awake().url,
    () => house.awake().credentials.operator_token,
  );
  const happened: Record<string, number> = {};
  let count = 0;
  const expectations = Array.from({ length: options.tenants }, (_, index): Expectation => ({
    name: `chaos-${index}`,
    deleted: false,
    restarts: 0,
    updates: 0,
  }));
  try {
    const scripts = expectations.map(async (expectation, index) => {
      // Spread over the whole time of incidents, so that every kind of moment is hit.
      const from = Math.floor((index / options.tenants) * options.incidents * 0.8);
      await eventually(() => count >= from, {
        what: 'the turn of a script',
        timeoutMs: SCRIPT_TIMEOUT_MS * 2,
      });
      await script({ operator, expectation, kind: index % 5, random });
    });
    const all = Promise.all(scripts);
    all.catch(() => undefined);
    // In rounds of all kinds: few incidents are enough to have had each.
    const round: string[] = [];
    while (count < options.incidents) {
      await delay(100 + random() * 1_400);
      if (round.length === 0) round.push(...house.incidents.keys());
      const [name = ''] = round.splice(Math.floor(random() * round.length), 1);
      await house.incidents.get(name)?.();
      happened[name] = (happened[name] ?? 0) + 1;
      count += 1;
      log(`${count} of ${options.incidents}: ${name}`);
    }
    await all;
    log('all scripts are through; looking at what is left');
    const tenants = await settled(operator);
    const world = await worldOf(simulator.url);
    const calls = await callsOf(simulator.url);
    const shown = { 'the tenants': tenants, 'the world of Fly': world, 'the calls of Fly': calls };
    const leaks = await house.leaks(
      Object.fromEntries(Object.entries(shown).map(([place, value]) => [place, JSON.stringify(value)])),
    );
    const violations = [...judge({ expectations, tenants, world }), ...leaks];
    const deleted = expectations.filter((expectation) => expectation.deleted).length;
    const acceptedRestarts = expectations.reduce((sum, { restarts }) => sum + restarts, 0);
    return { incidents: happened, remaining: tenants.length, deleted, acceptedRestarts, violations };
  } finally {
    await house.stop();
    await simulator.stop();
  }
}

interface ScriptOptions {
  readonly operator: Operator;
  readonly expectation: Expectation;
  readonly kind: number;
  readonly random: () => number;
}

/** Every request can be repeated until it is accepted: it names what it wants, not what to do. */
async function script({ operator, expectation, kind, random }: ScriptOptions): Promise<void> {
  const { name } = expectation;
  const spec = { owner: 'ctm_chaos', region: 'iad', memoryMb: 256, ...(kind !== 1 && { image: IMAGES[0] }) };
  const patch = async (change: Record<string, unknown>): Promise<void> => {
    const { status, body } = await persist(() => operator.patch(name, change));
    if (status !== 200) throw new Error(`cannot edit "${name}": ${status} ${JSON.stringify(body)}`);
  };
  const reach = (phase: string): Promise<Tenant> => reachPhase(operator, name, phase);
  const created = await persist(() => operator.create(name, spec));
  if (created.status !== 201 && created.status !== 409)
    throw new Error(`cannot create "${name}": ${created.status}`);
  switch (kind) {
    case 0:
      for (const minute of [1, 2]) {
        await reach('running');
        await patch({ restartedAt: `2026-01-01T00:0${minute}:00Z` });
        expectation.restarts += 1;
        expectation.updates += 1;
      }
      await reach('running');
      break;
    case 1:
      await reach('awaiting_deploy');
      await patch({ image: IMAGES[0] });
      await reach('running');
      await patch({ image: IMAGES[1] });
      expectation.updates += 1;
      await reach('running');
      break;
    case 2:
      await reach('running');
      await patch({ state: 'Suspended' });
      expectation.updates += 1;
      await reach('suspended');
      if (random() < 0.5) break;
      await patch({ state: 'Running' });
      expectation.updates += 1;
      await reach('running');
      break;
    case 3:
      await reach('running');
      await patch({ memoryMb: 512, volumeGb: 2 });
      expectation.updates += 1;
      await reach('running');
      break;
    default:
      await delay(random() * 4_000);
      expectation.deleted = true;
      await remove(operator, name);
  }
  if (!expectation.deleted) expectation.uid = (await persist(() => operator.get(name))).body.metadata.uid;
}

/** All tenants, once every one of them is Ready at its generation. */
function settled(operator: Operator): Promise<Tenant[]> {
  return eventually(
    async () => {
      const tenants = await operator.list();
      return tenants.every(isSettled) ? tenants : undefined;
    },
    { what: 'all tenants to be Ready', timeoutMs: SCRIPT_TIMEOUT_MS, intervalMs: POLL_MS },
  );
}

interface Evidence {
  readonly expectations: readonly Expectation[];
  readonly tenants: readonly Tenant[];
  readonly world: SimulatedWorld;
}

/** What is not as it should be. */
function judge({ expectations, tenants, world }: Evidence): string[] {
  const wanted = new Set(tenants.map(({ metadata }) => appName(metadata.uid)));
  const strangers = Object.entries(world.apps)
    .filter(([name, app]) => name.startsWith('sp-') && !app.deleting && !wanted.has(name))
    .map(([name]) => `app ${name} belongs to no tenant`);
  const survivors = expectations.filter((expectation) => !expectation.deleted);
  return [
    ...strangers,
    ...survivors
      .filter(({ name }) => !tenants.some(({ metadata }) => metadata.name === name))
      .map(({ name }) => `tenant ${name} is lost`),
    ...expectations
      .filter(({ name, deleted }) => deleted && tenants.some(({ metadata }) => metadata.name === name))
      .map(({ name }) => `tenant ${name} came back`),
    ...survivors.flatMap((expectation) => judgeOne(expectation, world)),
  ];
}

function judgeOne({ name, uid = '', updates, restarts }: Expectation, world: SimulatedWorld): string[] {
  const app = world.apps[appName(uid)];
  if (app === undefined) return [`${name}: it has no app`];
  const machines = app.machines.filter(({ state }) => state !== 'destroyed');
  const volumes = app.volumes.filter(({ state }) => !DELETED_VOLUME_STATES.has(state));
  const versions = machines[0]?.versions.length ?? 0;
  const types = app.addresses.map(({ type }) => type).sort();
  return [
    ...(machines.length === 1 ? [] : [`${name}: ${machines.length} machines`]),
    ...(volumes.length === 1 ? [] : [`${name}: ${volumes.length} volumes`]),
    ...(types.join() === 'shared_v4,v6' ? [] : [`${name}: addresses ${types.join()}`]),
    ...(versions === 1 + updates
      ? []
      : [`${name}: ${versions} machine versions instead of ${1 + updates} (${restarts} restarts)`]),
  ];
}
