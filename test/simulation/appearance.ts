/**
 * What is to be seen of a tenant that is at rest? What `holdings.ts` knows of Fly, the names of its secrets, and what its
 * status says, without ids, times and counts: so tenants of different histories can be compared.
 */
import { appOf } from '../../src/reconcilers/tenant/input.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { holdings } from '../invariants/holdings.ts';
import type { Stage } from './stage.ts';

/** Each part as text: equal for tenants that cannot be told apart. */
export type Appearance = Readonly<Record<string, string>>;

export function appearanceOf({ scene }: Stage, tenant: Tenant): Appearance {
  const { uid } = tenant.metadata;
  const { phase, conditions = [], volume, machine, image, addresses = [], ...rest } = tenant.status ?? {};
  const { roleExists, databaseExists } = scene.databases.describe(uid);
  const app = scene.view(appOf(tenant));
  const parts = {
    ...holdings(app),
    secrets: app?.secrets.names.toSorted() ?? [],
    'what its status says': [phase, volume?.sizeGb, volume?.region, image?.digest, addresses.length],
    'what its status says of its machine': [machine?.memoryMb, machine?.imageDigest, machine?.state],
    'what else its status says': [rest.hostname, rest.url, rest.failure?.reason],
    conditions: conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`).sort(),
    'what is elsewhere': [scene.vault.describe(uid) !== undefined, roleExists, databaseExists],
  };
  // Hostnames are made of the uid.
  const told = (part: unknown): string => JSON.stringify(part).replaceAll(uid, 'its-uid');
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, told(part)]));
}
