/**
 * Which histories are lived? Each is drawn from its seed alone: a few tenants, people who want things at bad moments,
 * a Fly that changes by itself, and faults at call sites that an undisturbed history is known to have.
 */
import { nextRandom, pick } from '../../src/simulator/random.ts';
import type { TenantSpec } from '../../src/tenant/schema.ts';
import { DATABASE_FATES, FLY_FATES, isCrash, type Fate } from './fate.ts';
import type { Act, FlyAct, History } from './history.ts';
import { imageNamed } from './people.ts';
import type { Fault } from './wire.ts';

/** Call sites and how often an undisturbed history calls each. */
export type Sites = ReadonlyMap<string, number>;

/**
 * One tenant that goes through everything that makes the loop change Fly, each thing in peace: the table of call
 * sites is read off it.
 */
export function grandTour(seed: number): History {
  const things: readonly Undated<Act>[] = [
    { do: 'create', tenant: 0, spec: { image: imageNamed('hello'), hostnames: ['first.test'] } },
    { do: 'restart', tenant: 0 },
    { do: 'rotate', tenant: 0 },
    { do: 'edit', tenant: 0, spec: { memoryMb: 1024, volumeGb: 3, hostnames: ['second.test'] } },
    { do: 'edit', tenant: 0, spec: { state: 'Suspended' } },
    { do: 'edit', tenant: 0, spec: { state: 'Running', image: imageNamed('world') } },
    { do: 'destroy-machine', tenant: 0 },
    { do: 'undeploy', tenant: 0 },
    { do: 'edit', tenant: 0, spec: { image: imageNamed('hello') } },
  ];
  const acts = things.map((act) => ({ atMs: 0, ...act }));
  return { seed, latency: 1, acts, patient: true, faults: [], quietMs: 0 };
}

/** One tenant that is made, changed once in everything, and deleted: the small scope of exhaustive runs. */
export function shortLife(seed: number): History {
  const things: readonly Undated<Act>[] = [
    { do: 'create', tenant: 0, spec: { image: imageNamed('hello') } },
    { do: 'edit', tenant: 0, spec: { memoryMb: 1024, volumeGb: 2, hostnames: ['first.test'] } },
  ];
  return { ...grandTour(seed), acts: things.map((act) => ({ atMs: 0, ...act })) };
}

/** The history of a seed. The same seed, sites and number of tenants give the same history. */
export function drawHistory(seed: number, sites: Sites, crowd?: number): History {
  const chance = { random: Math.imul(seed, 0x9e3779b1) | 0 };
  const draw = (least: number, most: number): number =>
    least + Math.floor(nextRandom(chance) * (most - least + 1));
  const tenants = crowd ?? (nextRandom(chance) < 0.8 ? 1 : draw(2, 3));
  const spanMs = pick(chance, [3_000, 15_000, 60_000]);
  const acts: Act[] = [];
  for (let tenant = 0; tenant < tenants; tenant += 1) {
    acts.push({ atMs: draw(0, 2_000), do: 'create', tenant, spec: drawSpec(chance) });
    for (let count = draw(0, 5); count > 0; count -= 1)
      acts.push({ atMs: draw(0, spanMs), ...drawAct(chance, tenant) });
  }
  for (let count = nextRandom(chance) < 0.3 ? draw(1, 2) : 0; count > 0; count -= 1)
    acts.push({ atMs: draw(0, spanMs), ...drawBadLuck(chance) });
  acts.sort((a, b) => a.atMs - b.atMs);
  const faults = Array.from({ length: draw(0, 4) }, () => drawFault(chance, sites));
  const latency = pick(chance, [0, 0.5, 1, 1, 1, 3]);
  const quietMs = nextRandom(chance) < 0.05 ? 330_000 : 0;
  const replicas = nextRandom(chance) < 0.85 ? 1 : draw(2, 3);
  // Somebody deploys what does not boot.
  if (nextRandom(chance) < 0.05) {
    const image = imageNamed(pick(chance, ['broken', 'vanishing']));
    acts.push({ atMs: draw(2_000, spanMs), do: 'edit', tenant: 0, spec: { image } });
    acts.sort((a, b) => a.atMs - b.atMs);
  }
  return { seed, latency, replicas, acts, faults, quietMs };
}

type Chance = Parameters<typeof nextRandom>[0];
type Undated<A> = A extends unknown ? Omit<A, 'atMs'> : never;

function drawSpec(chance: Chance): Partial<TenantSpec> {
  return {
    ...(nextRandom(chance) < 0.85 && { image: drawImage(chance) }),
    ...(nextRandom(chance) < 0.3 && { hostnames: ['first.test'] }),
    ...(nextRandom(chance) < 0.1 && { state: 'Suspended' as const }),
    ...(nextRandom(chance) < 0.1 && { deletionPolicy: 'Orphan' as const }),
  };
}

function drawImage(chance: Chance): string {
  return imageNamed(pick(chance, ['hello', 'hello', 'hello', 'world']));
}

const EDITS: readonly [
  (chance: Chance) => Partial<TenantSpec>,
  ...((chance: Chance) => Partial<TenantSpec>)[],
] = [
  (chance) => ({ image: drawImage(chance) }),
  (chance) => ({ memoryMb: pick(chance, [256, 512, 1024, 2048] as const) }),
  (chance) => ({ volumeGb: pick(chance, [1, 2, 3, 5]) }),
  () => ({ state: 'Suspended' }),
  () => ({ state: 'Running' }),
  (chance) => ({
    hostnames: pick(chance, [[], ['first.test'], ['second.test'], ['first.test', 'third.test']]),
  }),
  (chance) => ({ env: { LEVEL: pick(chance, ['a', 'b']) } }),
  (chance) => ({ deletionPolicy: pick(chance, ['Delete', 'Orphan'] as const) }),
];

/** What only the slow sweep can find stands once, since a history that waits for it is a long one. */
const FLY_ACTS: readonly [FlyAct['do'], ...FlyAct['do'][]] = [
  ...(['destroy-machine', 'destroy-machine', 'destroy-machine'] as const),
  ...(['crash-machine', 'crash-machine', 'migrate-machine', 'migrate-machine'] as const),
  ...(['idle-machine', 'idle-machine', 'request'] as const),
  'release-address',
  'delete-certificate',
  'change-secret',
  'lose-volume',
];

const MISEDITS: readonly [Readonly<Record<string, unknown>>, ...Readonly<Record<string, unknown>>[]] = [
  { owner: 'ctm_2' },
  { volumeGb: 0 },
  { memoryMb: 300 },
  { env: { DATABASE_URL: 'x' } },
];

function drawAct(chance: Chance, tenant: number): Undated<Act> {
  const lot = nextRandom(chance);
  if (lot < 0.5) return { do: 'edit', tenant, spec: pick(chance, EDITS)(chance) };
  if (lot < 0.6) return { do: pick(chance, ['restart', 'restart', 'rotate', 'retry'] as const), tenant };
  if (lot < 0.64) return { do: 'undeploy', tenant };
  if (lot < 0.67) {
    const value = nextRandom(chance) < 0.3 ? null : `owners-secret-${Math.floor(nextRandom(chance) * 1e9)}`;
    return { do: 'set-secret', tenant, name: 'API_KEY', value };
  }
  if (lot < 0.76) return { do: 'delete', tenant };
  if (lot < 0.79) return { do: 'create', tenant, spec: drawSpec(chance) };
  if (lot < 0.83) return { do: nextRandom(chance) < 0.6 ? 'pause' : 'unpause', tenant };
  if (lot < 0.85) return { do: 'misedit', tenant, spec: pick(chance, MISEDITS) };
  return { do: pick(chance, FLY_ACTS), tenant };
}

function drawBadLuck(chance: Chance): Undated<Act> {
  const forMs = Math.floor(nextRandom(chance) * 40_000);
  const hour = 3_600_000;
  return pick<() => Undated<Act>>(chance, [
    () => ({ do: 'outage', kind: pick(chance, ['status', 'hang', 'reset'] as const), forMs }),
    () => ({ do: 'no-capacity', forMs }),
    () => ({ do: 'deaf-watches', forMs }),
    () => ({ do: 'stall', forMs }),
    () => ({ do: 'set-clock', byMs: pick(chance, [-hour, -1_000, 1_000, hour]) }),
    () => ({ do: 'cut-watches' }),
    () => ({ do: 'compact-store' }),
    () => ({ do: 'kill' }),
  ])();
}

/** Writes are hit three times as often as reads: there is more to lose. */
function drawFault(chance: Chance, sites: Sites): Fault {
  const names = [...sites.keys()].flatMap((site) => (isRead(site) ? [site] : [site, site, site]));
  const site = names[Math.floor(nextRandom(chance) * names.length)] ?? 'store.updateStatus';
  const most = Math.min(sites.get(site) ?? 1, 6);
  const fates = site.startsWith('fly.') ? FLY_FATES : DATABASE_FATES;
  const fate = fates[Math.floor(nextRandom(chance) * fates.length)] ?? 'crash-before';
  // Half of all faults are those at which most systems break: the effect took place and nobody knows.
  const grave: Fate = nextRandom(chance) < 0.5 ? pick(chance, GRAVE) : fate;
  // Whoever is refused once is often refused again: a token without rights, a table that is locked.
  const times = nextRandom(chance) < 0.15 ? 2 + Math.floor(nextRandom(chance) * 4) : 1;
  const fault = { site, occurrence: 1 + Math.floor(nextRandom(chance) * most), fate: grave };
  return times === 1 ? fault : { ...fault, times };
}

const GRAVE: readonly [Fate, ...Fate[]] = [
  'crash-on-effect',
  'crash-after-answer',
  'answer-lost',
  'effect-late',
];

/** Whether a call to the site changes nothing. */
export function isRead(site: string): boolean {
  return /_(show|list|head|wait|get)$|\.(get|getByUid|list|describe|reveal)$/.test(site);
}

/** Whether the fault ends a daemon. */
export function isDeadly({ fate }: Fault): boolean {
  return isCrash(fate);
}
