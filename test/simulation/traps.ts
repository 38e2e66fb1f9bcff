/**
 * Into which histories does chance fall too rarely? Each of these stands where one defect would show that drawn histories
 * took long to find: what must never be done is close at hand, and only the product's care keeps it from being done.
 */
import type { Act, History } from './history.ts';
import { imageNamed } from './people.ts';

const IMAGE = imageNamed('hello');
const CALM = { seed: 1, latency: 0, faults: [], quietMs: 0 } as const;

/** So many tenants that have everything but a machine, in time for what happens at ten minutes. */
function crowd(tenants: number): Act[] {
  return Array.from({ length: tenants }, (_, tenant) => ({ atMs: 500, do: 'create', tenant, spec: {} }));
}

/** Somebody wants something of each of the first tenants, every second for two minutes. */
function flood(tenants: number): Act[] {
  return Array.from({ length: 120 }, (_, second) =>
    Array.from({ length: tenants }, (__, tenant): Act => {
      return { atMs: 600_000 + second * 1_000, do: 'retry', tenant };
    }),
  ).flat();
}

export const TRAPS: readonly { readonly name: string; readonly history: History }[] = [
  {
    name: 'a list of volumes that cannot be read for a long time does not count as empty',
    history: {
      ...CALM,
      acts: [{ atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } }],
      faults: [
        { site: 'fly.Volumes_create', occurrence: 1, fate: 'crash-on-effect' },
        { site: 'fly.Volumes_list', occurrence: 1, fate: '500', times: 80 },
      ],
    },
  },
  {
    name: 'of a tenant that runs and is deleted with the policy Orphan everything stays',
    history: {
      ...CALM,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE, deletionPolicy: 'Orphan' } },
        { atMs: 20_000, do: 'delete', tenant: 0 },
      ],
    },
  },
  {
    name: 'a tenant that was suspended runs again',
    history: {
      ...CALM,
      quietMs: 60_000,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 20_000, do: 'edit', tenant: 0, spec: { state: 'Suspended' } },
        { atMs: 40_000, do: 'edit', tenant: 0, spec: { state: 'Running' } },
      ],
    },
  },
  {
    name: 'an account over its quota is waited for',
    history: {
      ...CALM,
      acts: [{ atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } }],
      faults: [{ site: 'fly.Machines_create', occurrence: 1, fate: '403 quota', times: 3 }],
    },
  },
  {
    name: 'an app that does not show yet where something is to be made in it is waited for',
    history: {
      ...CALM,
      acts: [{ atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } }],
      faults: [{ site: 'fly.Volumes_create', occurrence: 1, fate: '404', times: 2 }],
    },
  },
  {
    name: 'a machine boots with the secrets that were set for it',
    history: {
      ...CALM,
      latency: 1,
      listLagMs: 12_000,
      quietMs: 60_000,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 30_000, do: 'set-secret', tenant: 0, name: 'API_KEY', value: 'owners-secret-1' },
        { atMs: 60_000, do: 'rotate', tenant: 0 },
      ],
    },
  },
  {
    name: 'an app that Fly does not let us into yet is waited for',
    history: {
      ...CALM,
      acts: [{ atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } }],
      faults: [
        { site: 'fly.Volumes_create', occurrence: 1, fate: '401', times: 2 },
        { site: 'fly.App_IPAssignments_create', occurrence: 1, fate: '401', times: 2 },
      ],
    },
  },
  {
    name: 'an app that does not show while it is deleted, and whose machine does, does not count as gone',
    history: {
      ...CALM,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
        // Later than the making of the app could be waited for.
        { atMs: 100_000, do: 'delete', tenant: 0 },
      ],
      faults: [{ site: 'fly.Apps_show', occurrence: 5, fate: '404', times: 3 }],
    },
  },
  {
    name: 'a machine that is long there and is not found by its id, and stands in the list, does not count as gone',
    history: {
      ...CALM,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 60_000, do: 'edit', tenant: 0, spec: { state: 'Suspended' } },
      ],
      faults: [{ site: 'fly.Machines_show', occurrence: 3, fate: '404', times: 6 }],
    },
  },
  {
    name: 'lists that an app denies to have while it is there do not count as empty',
    history: {
      ...CALM,
      acts: [{ atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } }],
      faults: [
        { site: 'fly.Volumes_create', occurrence: 1, fate: 'crash-on-effect' },
        { site: 'fly.Volumes_list', occurrence: 1, fate: '404', times: 80 },
      ],
    },
  },
  {
    name: 'of two things that Fly refuses for good neither is asked again',
    history: {
      ...CALM,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 1_000_000, do: 'retry', tenant: 0 },
      ],
      faults: [
        { site: 'fly.Volumes_create', occurrence: 1, fate: '422', times: 2 },
        { site: 'fly.App_Certificates_acme_create', occurrence: 1, fate: '422', times: 2 },
      ],
    },
  },
  {
    name: 'an idle machine whose size changes comes to rest again',
    history: {
      ...CALM,
      latency: 1,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 20_000, do: 'idle-machine', tenant: 0 },
        { atMs: 30_000, do: 'edit', tenant: 0, spec: { memoryMb: 1024 } },
      ],
    },
  },
  {
    name: 'a machine that fails to boot is started again, but not at once',
    history: {
      ...CALM,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 20_000, do: 'edit', tenant: 0, spec: { image: imageNamed('broken') } },
        // Nobody helps before the last act.
        { atMs: 200_000, do: 'unpause', tenant: 0 },
      ],
    },
  },
  {
    name: 'a machine that Fly destroys because it does not boot is made again, but not at once',
    history: {
      ...CALM,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: {} },
        { atMs: 20_000, do: 'edit', tenant: 0, spec: { image: imageNamed('vanishing') } },
        { atMs: 200_000, do: 'unpause', tenant: 0 },
      ],
    },
  },
  {
    name: 'a volume that comes late is not made again after a step of half a minute',
    history: {
      ...CALM,
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 4_000, do: 'kill' },
        { atMs: 25_000, do: 'set-secret', tenant: 0, name: 'API_KEY', value: 'owners-secret-1' },
      ],
      faults: [
        { site: 'fly.Volumes_create', occurrence: 1, fate: 'effect-late' },
        { site: 'fly.Secrets_update', occurrence: 2, fate: 'answer-late' },
      ],
    },
  },
  {
    name: 'suspended is not said while a machine may still show that was asked for after a stand longer than any grace',
    history: {
      ...CALM,
      ...{ seed: 10_606, latency: 0.5 },
      acts: [
        { atMs: 219, do: 'create', tenant: 0, spec: { image: IMAGE, hostnames: ['first.test'] } },
        { atMs: 1_169, do: 'stall', forMs: 48_000 },
        { atMs: 1_784, do: 'edit', tenant: 0, spec: { volumeGb: 5 } },
        { atMs: 1_949, do: 'edit', tenant: 0, spec: { state: 'Suspended' } },
      ],
    },
  },
  {
    name: 'an edit does not wait for the looks at all others after a start',
    history: {
      ...CALM,
      ...{ latency: 3, workers: 1 },
      acts: [...crowd(80), { atMs: 600_000, do: 'kill' }, { atMs: 606_000, do: 'retry', tenant: 79 }],
    },
  },
  {
    name: 'those that nobody edits are looked at after a start, however many edits of others there are',
    history: {
      ...CALM,
      ...{ latency: 10, workers: 1 },
      acts: [...crowd(6), { atMs: 600_000, do: 'kill' }, ...flood(3)],
    },
  },
  {
    name: 'a tenant that waits for capacity is tried again in time, although the clock is set back while it waits',
    history: {
      ...CALM,
      acts: [
        { atMs: 400, do: 'no-capacity', forMs: 60_000 },
        { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 30_000, do: 'set-clock', byMs: -3_600_000 },
      ],
    },
  },
];

/** Somebody holds on to what is to be deleted: a tenant of another controller met that for two weeks on end. */
export const NEVER_FREE: History = {
  ...CALM,
  acts: [
    { atMs: 500, do: 'create', tenant: 0, spec: { image: IMAGE } },
    { atMs: 20_000, do: 'delete', tenant: 0 },
  ],
  faults: [{ site: 'fly.Volume_delete', occurrence: 1, fate: '409 lease', times: 100 }],
};
