/**
 * Every call that a life of a tenant makes goes wrong once, in every way in which a call can. Which calls there are
 * is read off the simulator's log of an undisturbed life, so that a new kind of call is a new case by itself.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { FaultPlan } from '../../src/simulator/faults.ts';
import { appName } from '../../src/tenant/names.ts';
import { createHarness, settings, type Harness, type LoggedCall } from './harness.ts';
import { inParallel, live, type Lived } from './life.ts';

type Fault = Omit<FaultPlan, 'operation' | 'app'>;

/** Of the Fly client; the simulator's `late` and `hang` are longer. */
const TIMEOUT_MS = 10_000;

const WRITE_FAULTS: readonly (readonly [name: string, fault: Fault])[] = [
  ['500', { kind: 'status', status: 500 }],
  ['503', { kind: 'status', status: 503 }],
  ['429', { kind: 'status', status: 429, headers: { 'retry-after': '2' } }],
  ['408', { kind: 'status', status: 408 }],
  ['cut connection without effect', { kind: 'reset' }],
  ['effect whose answer is lost', { kind: 'applied-answer-lost' }],
  ['effect whose answer comes after the time-out', { kind: 'late', afterMs: 1.5 * TIMEOUT_MS }],
  ['effect whose answer is garbled', { kind: 'nonsense' }],
  ['answer that never comes', { kind: 'hang' }],
];

/** Three in a row, since the client itself repeats a read twice. */
const READ_FAULTS: readonly (readonly [name: string, fault: Fault])[] = [
  ['500', { kind: 'status', status: 500, count: 3 }],
  ['lost answer', { kind: 'applied-answer-lost', count: 3 }],
  ['garbled answer', { kind: 'nonsense', count: 3 }],
  ['answer that never comes', { kind: 'hang', count: 3 }],
];

/** The n-th call of an operation in a life. */
interface Site {
  readonly title: string;
  readonly operation: string;
  readonly occurrence: number;
}

/** So many lives at a time: beyond it the processor, and no longer Fly, is what they wait for. */
const WIDTH = 30;
const FAULTS_A_LIFE = 4;
/** A read is hit at its first and second occurrence; later ones are the same code in the same state. */
const READ_OCCURRENCES = 2;

let house: Harness;
let writes: Site[];
let reads: Site[];
let registry: { writes: Site[]; reads: Site[] };
let undisturbed: Lived;
let lives = 0;

beforeAll(async () => {
  house = await createHarness({
    timeFactor: 20,
    latency: { ranges: { volumeUnbind: [0, 5_000] } },
    timeouts: { readMs: TIMEOUT_MS, writeMs: TIMEOUT_MS },
  });
  let app = '';
  undisturbed = await live(house, 'undisturbed', {
    created: async ({ metadata }) => void (app = appName(metadata.uid)),
  });
  const own = await house.calls(app);
  // What was refused, and so tried again, depends on delays that differ from life to life.
  writes = sites(own.filter((call) => isWrite(call) && (call.status ?? 0) < 300));
  reads = sites(own.filter((call) => !isWrite(call))).filter((site) => site.occurrence <= READ_OCCURRENCES);
  const images = await house.calls(settings.sharedRegistryApp);
  const first = (calls: LoggedCall[]): Site[] => sites(calls).filter(({ occurrence }) => occurrence === 1);
  registry = {
    writes: first(images.filter(isWrite)),
    reads: first(images.filter((call) => !isWrite(call))),
  };
}, 60_000);
afterEach(() => house.control('DELETE', '/faults'));
afterAll(() => house.close());

function isWrite({ method }: LoggedCall): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

function sites(calls: readonly LoggedCall[]): Site[] {
  const seen = new Map<string, number>();
  return calls.map(({ operation }) => {
    const occurrence = (seen.get(operation) ?? 0) + 1;
    seen.set(operation, occurrence);
    return { title: `${operation} ${occurrence}`, operation, occurrence };
  });
}

/** Lives in which the call at every site fails, some far apart from each other in each. Returns what went wrong. */
async function suffer(where: readonly Site[], shared: readonly Site[], fault: Fault): Promise<string[]> {
  const stride = Math.ceil(where.length / FAULTS_A_LIFE);
  const bundles = Array.from({ length: stride }, (_, first) => {
    const sites = where.filter((__, index) => index % stride === first);
    return { title: sites.map(({ title }) => title).join(', '), sites };
  });
  const plan = (site: Site, app: string, count: number): Promise<unknown> =>
    house.control('POST', '/faults', { ...site, title: undefined, app, ...fault, count });
  const { count = 1 } = fault;
  // All tenants share the registry, and its first calls are hit, whoever makes them.
  for (const site of shared)
    await plan({ ...site, occurrence: 1 }, settings.sharedRegistryApp, count * stride);
  return inParallel(bundles, WIDTH, async ({ sites }) => {
    const lived = await live(house, `life-${(lives += 1)}`, {
      created: async ({ metadata }) => {
        for (const site of sites) await plan(site, appName(metadata.uid), count);
      },
    });
    expect(lived).toEqual(undisturbed);
  });
}

/** How many of the planned faults have hit a call. */
async function fired(): Promise<number> {
  const { faults } = await house.control<{ faults: { fired: number }[] }>('GET', '/faults');
  return faults.filter((fault) => fault.fired > 0).length;
}

describe('a tenant', () => {
  it('makes so many writes and reads in its life, all of which are made to fail below', () => {
    const operations = new Set([...writes, ...registry.writes].map(({ operation }) => operation));
    for (const operation of [
      ...['Apps_create', 'Apps_delete', 'App_IPAssignments_create', 'App_IPAssignments_delete'],
      ...['App_Certificates_acme_create', 'App_Certificates_delete', 'Secrets_update'],
      ...['Volumes_create', 'Volumes_extend', 'Volume_delete', 'Machines_create', 'Machines_update'],
      ...['Machines_start', 'Machines_delete', 'Registry_manifest_delete'],
    ])
      expect(operations).toContain(operation);
    expect((writes.length + registry.writes.length) * WRITE_FAULTS.length).toBeGreaterThanOrEqual(200);
    expect((reads.length + registry.reads.length) * READ_FAULTS.length).toBeGreaterThanOrEqual(60);
    expect(undisturbed).toEqual({ versions: 5, machines: 1, volumes: 1 });
  });

  it.each(WRITE_FAULTS)(
    'gets over any write that ends in: %s',
    async (_, fault) => {
      expect(await suffer(writes, registry.writes, fault)).toEqual([]);
      expect(await fired()).toBe(writes.length + registry.writes.length);
    },
    120_000,
  );

  it.each(READ_FAULTS)(
    'gets over any read that ends in: %s',
    async (_, fault) => {
      expect(await suffer(reads, registry.reads, fault)).toEqual([]);
      expect(await fired()).toBeGreaterThanOrEqual(0.8 * reads.length);
    },
    120_000,
  );
});
