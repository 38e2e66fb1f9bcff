/** Whatever leads to a spec, the same comes of it; `npm run prove -- paths` lives as many as one likes. */
import { describe, expect, it } from 'vitest';
import { drawHistory } from './generate.ts';
import { describeHistory, type Act, type History, type TenantAct } from './history.ts';
import { compare, compareWithAsked, compareWithMore } from './paths.ts';
import { imageNamed } from './people.ts';
import { sitesOfATour } from './tally.ts';

const SEEDS = Array.from({ length: 20 }, (_, index) => 1 + index);

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

describe('a tenant', () => {
  it('is as if everything had been asked for at once, whatever happened to it', async () => {
    const sites = await sitesOfATour();
    for (const seed of SEEDS) {
      const history = drawHistory(seed, sites);
      expect(await compareWithAsked(history), describeHistory(history).join('\n')).toEqual([]);
    }
  }, 120_000);

  it('is the same whether one daemon serves it or three', async () => {
    const sites = await sitesOfATour();
    for (const seed of SEEDS) {
      const history = drawHistory(seed, sites);
      expect(await compareWithMore(history), describeHistory(history).join('\n')).toEqual([]);
    }
  }, 120_000);

  it.each(DETOURS)('that is changed and changed back is as it was: %o', async (detour) => {
    expect(await compare('D2', [life([]), life([detour, BACK])])).toEqual([]);
  });
});
