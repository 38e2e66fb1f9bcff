/**
 * Which faults of the product has the simulation found? Each is the shortest history that showed it, by name. The causes
 * stand in docs/proof.md.
 */
import type { History } from './history.ts';
import { imageNamed } from './people.ts';

const IMAGE = imageNamed('hello');

export const FOUND: readonly { readonly name: string; readonly history: History }[] = [
  {
    name: 'a clock that is set back by an hour holds no call to Fly back',
    history: {
      ...{ seed: 36, latency: 0, faults: [], quietMs: 0 },
      acts: [
        { atMs: 1_655, do: 'create', tenant: 0, spec: { image: IMAGE, hostnames: ['first.test'] } },
        { atMs: 9_354, do: 'set-clock', byMs: -3_600_000 },
        { atMs: 37_794, do: 'edit', tenant: 0, spec: { deletionPolicy: 'Orphan' } },
      ],
    },
  },
  {
    name: 'a machine that was just made is not forgotten when its image is taken out of the spec',
    history: {
      ...{ seed: 70, latency: 1, faults: [], quietMs: 0 },
      acts: [
        { atMs: 960, do: 'create', tenant: 0, spec: { hostnames: ['first.test'] } },
        { atMs: 8_158, do: 'edit', tenant: 0, spec: { image: IMAGE } },
        { atMs: 8_759, do: 'undeploy', tenant: 0 },
      ],
    },
  },
  {
    name: 'a certificate that is asked for last is looked at before the next sweep',
    history: {
      ...{ seed: 229, latency: 0, faults: [], quietMs: 330_000 },
      acts: [
        { atMs: 1_219, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 39_969, do: 'delete-certificate', tenant: 0 },
      ],
    },
  },
  {
    name: 'a database that is still being made when its maker has lost the connection is not left behind',
    history: {
      ...{ seed: 4, latency: 0, quietMs: 0 },
      acts: [
        { atMs: 500, do: 'create', tenant: 0, spec: {} },
        { atMs: 600, do: 'delete', tenant: 0 },
      ],
      faults: [{ site: 'databases.create', occurrence: 1, fate: 'effect-late' }],
    },
  },
  {
    name: 'a volume that Fly has moved and lost stalls the tenant, and one new volume takes its place',
    history: {
      ...{ seed: 5_078, latency: 0, faults: [], quietMs: 0 },
      acts: [
        { atMs: 244, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 9_322, do: 'migrate-machine', tenant: 0 },
        { atMs: 9_447, do: 'lose-volume', tenant: 0 },
      ],
    },
  },
  {
    name: 'an app whose first create takes effect after a second one was made and taken down is not left behind',
    history: {
      ...{ seed: 769, latency: 0, quietMs: 0 },
      acts: [{ atMs: 1_456, do: 'create', tenant: 0, spec: { image: IMAGE, state: 'Suspended' } }],
      faults: [{ site: 'fly.Apps_create', occurrence: 1, fate: 'effect-late' }],
    },
  },
  {
    name: 'an app that Fly refuses to show while it is deleted does not count as gone',
    history: {
      ...{ seed: 1, latency: 1, quietMs: 0, patient: true },
      acts: [{ atMs: 0, do: 'create', tenant: 0, spec: { image: IMAGE } }],
      faults: [{ site: 'fly.Apps_show', occurrence: 4, times: 2, fate: '403' }],
    },
  },
  {
    name: 'an app that Fly refuses to show once is not called somebody else’s',
    history: {
      ...{ seed: 6_013, latency: 3, quietMs: 0 },
      acts: [{ atMs: 1_373, do: 'create', tenant: 0, spec: { image: IMAGE, hostnames: ['first.test'] } }],
      faults: [{ site: 'fly.Apps_show', occurrence: 5, fate: '403' }],
    },
  },
  {
    name: 'Ready is not said while a machine of a daemon that died may still show, although none is wanted',
    history: {
      ...{ seed: 5_956, latency: 3, quietMs: 0 },
      acts: [
        { atMs: 818, do: 'create', tenant: 0, spec: { image: IMAGE, hostnames: ['first.test'] } },
        { atMs: 8_128, do: 'undeploy', tenant: 0 },
      ],
      faults: [
        { site: 'fly.Machines_create', occurrence: 1, fate: 'crash-on-effect' },
        { site: 'fly.App_IPAssignments_create', occurrence: 2, fate: 'page of HTML' },
      ],
    },
  },
  {
    name: 'a volume that was not seen before a slow step is not made again after it',
    history: {
      ...{ seed: 2_915, latency: 1, quietMs: 0 },
      acts: [{ atMs: 672, do: 'create', tenant: 0, spec: { image: IMAGE, state: 'Suspended' } }],
      faults: [
        { site: 'fly.Secrets_update', occurrence: 2, fate: 'answer-late' },
        { site: 'fly.Secrets_update', occurrence: 1, times: 3, fate: 'crash-on-effect' },
        { site: 'databases.create', occurrence: 1, fate: 'answer-lost' },
      ],
    },
  },
  {
    name: 'a machine that is not found by its id and stands in the list does not count as gone',
    history: {
      ...{ seed: 7_786, latency: 0, quietMs: 0, replicas: 3 },
      acts: [
        { atMs: 84, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 6_480, do: 'edit', tenant: 0, spec: { state: 'Suspended' } },
      ],
      faults: [{ site: 'fly.Machines_show', occurrence: 3, fate: '404' }],
    },
  },
  {
    name: 'suspended is not said while a machine may still show that a daemon asked for after standing still',
    history: {
      ...{ seed: 10_606, latency: 0.5, quietMs: 0 },
      acts: [
        { atMs: 219, do: 'create', tenant: 0, spec: { image: IMAGE, hostnames: ['first.test'] } },
        { atMs: 1_169, do: 'stall', forMs: 22_792 },
        { atMs: 1_784, do: 'edit', tenant: 0, spec: { volumeGb: 5 } },
        { atMs: 1_949, do: 'edit', tenant: 0, spec: { state: 'Suspended' } },
      ],
      faults: [],
    },
  },
  {
    name: 'a machine that is not found when it is to be destroyed, and stands in the list, does not count as gone',
    history: {
      ...{ seed: 201_380, latency: 0, quietMs: 0 },
      acts: [
        { atMs: 1_797, do: 'create', tenant: 0, spec: { image: IMAGE } },
        // Later than any grace of its making.
        { atMs: 59_676, do: 'undeploy', tenant: 0 },
      ],
      faults: [{ site: 'fly.Machines_delete', occurrence: 1, fate: '404' }],
    },
  },
  {
    name: 'a machine that Fly moves between the look and its update stalls nobody',
    history: {
      ...{ seed: 19_676, latency: 3, quietMs: 0 },
      acts: [
        { atMs: 1_165, do: 'create', tenant: 0, spec: { image: IMAGE, hostnames: ['first.test'] } },
        { atMs: 9_583, do: 'edit', tenant: 0, spec: { env: { LEVEL: 'b' } } },
        { atMs: 9_864, do: 'restart', tenant: 0 },
        { atMs: 13_426, do: 'edit', tenant: 0, spec: { hostnames: [] } },
        { atMs: 13_889, do: 'migrate-machine', tenant: 0 },
      ],
      faults: [{ site: 'fly.App_IPAssignments_create', occurrence: 1, fate: '412 capacity' }],
    },
  },
  {
    name: 'what the journal need not remember any more is no reason for a write',
    history: {
      ...{ seed: 31_182, latency: 0, quietMs: 330_000 },
      acts: [
        { atMs: 290, do: 'create', tenant: 0, spec: { image: IMAGE, hostnames: ['first.test'] } },
        { atMs: 1_532, do: 'edit', tenant: 0, spec: { hostnames: [] } },
      ],
      faults: [],
    },
  },
  {
    name: 'a certificate that is not found when it is to be deleted, and stands in the list, does not count as gone',
    history: {
      ...{ seed: 32_695, latency: 0, quietMs: 0 },
      acts: [
        {
          atMs: 618,
          do: 'create',
          tenant: 0,
          spec: { image: IMAGE, hostnames: ['first.test'], state: 'Suspended' },
        },
        { atMs: 4_136, do: 'edit', tenant: 0, spec: { hostnames: [] } },
      ],
      faults: [{ site: 'fly.App_Certificates_delete', occurrence: 1, fate: '404' }],
    },
  },
  {
    name: 'a machine that was destroyed and still stands in the list does not count as running',
    history: {
      ...{ seed: 4_458, latency: 3, quietMs: 0, replicas: 3 },
      acts: [
        { atMs: 760, do: 'create', tenant: 0, spec: { image: imageNamed('world') } },
        { atMs: 4_231, do: 'edit', tenant: 0, spec: { volumeGb: 5 } },
        { atMs: 5_308, do: 'edit', tenant: 0, spec: { image: IMAGE } },
        { atMs: 10_597, do: 'undeploy', tenant: 0 },
        { atMs: 14_344, do: 'edit', tenant: 0, spec: { image: IMAGE } },
      ],
      faults: [{ site: 'fly.Machines_create', occurrence: 1, fate: 'truncated JSON' }],
    },
  },
  {
    name: 'suspended is not said while a machine whose making was not written down may still show',
    history: {
      ...{ seed: 38_661, latency: 3, quietMs: 0 },
      acts: [
        { atMs: 867, do: 'create', tenant: 0, spec: { image: IMAGE, hostnames: ['first.test'] } },
        { atMs: 7_396, do: 'edit', tenant: 0, spec: { state: 'Suspended' } },
      ],
      faults: [{ site: 'store.updateStatus', occurrence: 4, fate: 'busy' }],
    },
  },
  {
    name: 'an app whose dead maker is heard half a minute later, while its tenant is deleted, is not left behind',
    history: {
      ...{ seed: 37_283, latency: 3, quietMs: 0 },
      acts: [{ atMs: 930, do: 'create', tenant: 0, spec: { image: IMAGE } }],
      faults: [
        { site: 'store.list', occurrence: 1, fate: 'effect-late' },
        { site: 'fly.Apps_create', occurrence: 1, fate: 'effect-late' },
        { site: 'fly.Volumes_org_list', occurrence: 2, fate: 'crash-after-answer' },
      ],
    },
  },
  {
    name: 'of a volume that Fly has moved and lost, and whose machine is destroyed, the right id is told',
    history: {
      ...{ seed: 49_015, latency: 0, faults: [], quietMs: 0 },
      acts: [
        { atMs: 886, do: 'create', tenant: 2, spec: { image: IMAGE } },
        { atMs: 2_888, do: 'migrate-machine', tenant: 2 },
        { atMs: 3_321, do: 'lose-volume', tenant: 2 },
        { atMs: 9_028, do: 'destroy-machine', tenant: 2 },
      ],
    },
  },
  {
    name: 'that a volume is lost is told, although the clock is set back while it is waited for',
    history: {
      ...{ seed: 7_835, latency: 0, faults: [], quietMs: 0 },
      acts: [
        { atMs: 1_911, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 7_697, do: 'lose-volume', tenant: 0 },
        { atMs: 47_698, do: 'set-clock', byMs: -3_600_000 },
      ],
    },
  },
  {
    name: 'an address is not made twice when its maker gave up, could not write that down, and was heard after all',
    history: {
      ...{ seed: 77_207, latency: 0, quietMs: 0 },
      acts: [
        { atMs: 54, do: 'create', tenant: 0, spec: { image: imageNamed('world') } },
        { atMs: 48_608, do: 'idle-machine', tenant: 0 },
      ],
      faults: [
        { site: 'store.updateStatus', occurrence: 3, fate: 'effect-late' },
        { site: 'fly.App_IPAssignments_create', occurrence: 2, fate: 'effect-late' },
      ],
    },
  },
  {
    name: 'a volume is not made twice when its maker stood still, lost its shards, and was heard after all',
    history: {
      ...{ seed: 57_731, latency: 0.5, replicas: 3, quietMs: 0 },
      acts: [
        { atMs: 1_110, do: 'create', tenant: 0, spec: { image: IMAGE } },
        { atMs: 10_263, do: 'cut-watches' },
        { atMs: 16_633, do: 'stall', forMs: 13_375 },
        { atMs: 53_608, do: 'rotate', tenant: 0 },
      ],
      faults: [{ site: 'fly.Volumes_create', occurrence: 1, fate: 'effect-late' }],
    },
  },
  {
    name: 'a look that Fly refuses is repeated at once, and no sweep has to find what it missed',
    history: {
      ...{ seed: 63_246, latency: 0, quietMs: 330_000 },
      acts: [
        { atMs: 1_645, do: 'create', tenant: 1, spec: {} },
        { atMs: 14_529, do: 'idle-machine', tenant: 1 },
      ],
      faults: [{ site: 'fly.App_Certificates_list', occurrence: 1, fate: '400' }],
    },
  },
  {
    name: 'a machine that does not boot is not started without end by a daemon whose clock is ahead',
    history: {
      ...{ seed: 2_733, latency: 0, faults: [], quietMs: 0 },
      acts: [
        { atMs: 409, do: 'set-clock', byMs: 3_600_000 },
        { atMs: 939, do: 'create', tenant: 0, spec: { image: imageNamed('world') } },
        { atMs: 14_618, do: 'edit', tenant: 0, spec: { image: imageNamed('broken') } },
      ],
    },
  },
  {
    name: 'a machine whose image is taken out and put back at once runs',
    history: {
      ...{ seed: 13_777, latency: 0, faults: [], quietMs: 330_000 },
      acts: [
        { atMs: 1_725, do: 'create', tenant: 2, spec: { image: IMAGE } },
        { atMs: 3_034, do: 'undeploy', tenant: 2 },
        { atMs: 3_321, do: 'edit', tenant: 2, spec: { image: IMAGE } },
      ],
    },
  },
  {
    name: 'a list of addresses that Fly denies to have does not count as empty',
    history: {
      ...{ seed: 25_977, latency: 1, quietMs: 0 },
      acts: [
        { atMs: 345, do: 'create', tenant: 0, spec: { image: IMAGE, deletionPolicy: 'Orphan' } },
        { atMs: 36_867, do: 'change-secret', tenant: 0 },
      ],
      faults: [{ site: 'fly.App_IPAssignments_list', occurrence: 6, fate: '404' }],
    },
  },
  {
    name: 'a daemon whose clock is set back by an hour looks at its tenants no later than it had meant to',
    history: {
      ...{ seed: 203_467, latency: 0, faults: [], quietMs: 330_000 },
      acts: [
        {
          atMs: 1_438,
          do: 'create',
          tenant: 0,
          spec: { hostnames: ['first.test'], deletionPolicy: 'Orphan' },
        },
        { atMs: 13_711, do: 'set-clock', byMs: -3_600_000 },
      ],
    },
  },
];
