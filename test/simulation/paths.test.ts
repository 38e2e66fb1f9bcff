/** Whatever leads to a spec, the same comes of it; `npm run prove -- paths` lives as many as one likes. */
import { describe, expect, it } from 'vitest';
import { drawHistory } from './generate.ts';
import { describeHistory, type Act, type History, type TenantAct } from './history.ts';
import { compareWithAsked, compareWithDetour, compareWithMore, type Comparison } from './paths.ts';
import { imageNamed } from './people.ts';
import { sitesOfATour } from './tally.ts';

const SEEDS = Array.from({ length: 12 }, (_, index) => 1 + index);

/** What a tenant is, and is again after it was something else. */
const USUAL = {
  image: imageNamed('hello'),
  memoryMb: 512,
  hostnames: ['first.test'],
  env: { LEVEL: 'a' },
} as const;
const BACK: TenantAct = {
  do: 'edit',
  tenant: 0,
  spec: { ...USUAL, hostnames: [...USUAL.hostnames], state: 'Running', deletionPolicy: 'Delete' },
};

const DETOURS: readonly TenantAct[] = [
  { do: 'edit', tenant: 0, spec: { image: imageNamed('world') } },
  { do: 'edit', tenant: 0, spec: { memoryMb: 1024 } },
  { do: 'edit', tenant: 0, spec: { hostnames: [] } },
  { do: 'edit', tenant: 0, spec: { hostnames: ['second.test'] } },
  { do: 'edit', tenant: 0, spec: { env: {} } },
  { do: 'edit', tenant: 0, spec: { state: 'Suspended' } },
  { do: 'edit', tenant: 0, spec: { deletionPolicy: 'Orphan' } },
  { do: 'edit', tenant: 0, spec: { image: imageNamed('broken') } },
  { do: 'undeploy', tenant: 0 },
];

function life(acts: readonly TenantAct[]): History {
  const create: TenantAct = { do: 'create', tenant: 0, spec: { ...USUAL, hostnames: [...USUAL.hostnames] } };
  const dated = [create, ...acts].map((act): Act => ({ atMs: 0, ...act }));
  return { seed: 1, latency: 1, acts: dated, patient: true, faults: [], quietMs: 0 };
}

/** Compares for every seed. Answers how many tenants were compared. */
async function compareAll(compare: (history: History) => Promise<Comparison>): Promise<number> {
  const sites = await sitesOfATour();
  let compared = 0;
  for (const seed of SEEDS) {
    const history = drawHistory(seed, sites);
    const { violations, tenants } = await compare(history);
    expect(violations, describeHistory(history).join('\n')).toEqual([]);
    compared += tenants;
  }
  return compared;
}

describe('a tenant', () => {
  it('is as if everything had been asked for at once, whatever happened to it', async () => {
    expect(await compareAll((history) => compareWithAsked(history))).toBeGreaterThan(SEEDS.length / 2);
  }, 120_000);

  it('is the same whether one daemon serves it or three', async () => {
    expect(await compareAll((history) => compareWithMore(history))).toBeGreaterThan(SEEDS.length / 2);
  }, 120_000);

  it.each(DETOURS)('that is changed and changed back is as it was: %o', async (detour) => {
    const compared = await compareWithDetour([life([]), life([detour, BACK])]);
    expect(compared).toEqual({ violations: [], tenants: 1 });
  });
});
