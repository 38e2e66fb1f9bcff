/** Hundreds of histories, each another one, beside those of `faults.test.ts`; `npm run prove` lives as many as one likes. */
import { beforeAll, describe, expect, it } from 'vitest';
import { drawHistory, grandTour, type Sites } from './generate.ts';
import { describeHistory } from './history.ts';
import { runHistory } from './run.ts';

const BATCH = 100;
const BATCHES = Array.from({ length: 4 }, (_, index) => 1 + index * BATCH);

let sites: Sites;

beforeAll(async () => {
  const tour = await runHistory(grandTour(1));
  expect(tour.violations).toEqual([]);
  sites = tour.calls;
});

describe('a landlord', () => {
  it.each(BATCHES)(
    `keeps every promise whatever happens in the ${BATCH} histories from seed %i on`,
    async (first) => {
      for (let seed = first; seed < first + BATCH; seed += 1) {
        const history = drawHistory(seed, sites);
        const { violations } = await runHistory(history);
        expect(violations, describeHistory(history).join('\n')).toEqual([]);
      }
    },
    120_000,
  );

  it('keeps every promise to fifty tenants at once', async () => {
    const history = drawHistory(1, sites, 50);
    const { violations } = await runHistory(history);
    expect(violations, describeHistory(history).join('\n')).toEqual([]);
    expect(new Set(history.acts.map((act) => 'tenant' in act && act.tenant)).size).toBeGreaterThanOrEqual(50);
  }, 120_000);

  it('makes every call that a fault can hit', () => {
    const rooms = new Set([...sites.keys()].map((site) => site.split('.')[0]));
    expect([...rooms].sort()).toEqual(['databases', 'fly', 'store', 'vault']);
    for (const operation of [
      ...['Apps_create', 'Apps_delete', 'App_IPAssignments_create', 'App_IPAssignments_delete'],
      ...['App_Certificates_acme_create', 'App_Certificates_delete', 'Secrets_update'],
      ...['Volumes_create', 'Volumes_extend', 'Volume_delete', 'Machines_create', 'Machines_update'],
      ...['Machines_start', 'Machines_delete', 'Machines_wait', 'Registry_manifest_delete'],
    ])
      expect(sites.has(`fly.${operation}`), operation).toBe(true);
  });
});

describe('the same history', () => {
  it('has the same trace, line by line, and another seed another one', async () => {
    for (let seed = 1; seed <= 25; seed += 1) {
      const history = drawHistory(seed, sites);
      const [one, other] = [await runHistory(history), await runHistory(history, { keepTrace: true })];
      expect(other.hash, describeHistory(history).join('\n')).toBe(one.hash);
      expect(other.lines.length).toBeGreaterThan(0);
    }
    const hashes = [1, 2, 3].map(async (seed) => (await runHistory({ ...grandTour(1), seed })).hash);
    expect(new Set(await Promise.all(hashes)).size).toBe(3);
  });
});
