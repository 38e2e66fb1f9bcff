/**
 * When may something of a tenant be destroyed although the tenant is to stay? One rule for each write that destroys;
 * of a tenant that is deleted everything goes.
 */
import { hostnameOf } from '../../src/reconcilers/tenant/input.ts';
import type { TenantSettings } from '../../src/reconcilers/tenant/settings.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import type { AppView } from './holdings.ts';
import type { Made } from './maker.ts';

/** A write that took effect, on Fly or in a database. */
export interface Write {
  readonly operation: string;
  readonly app: string;
  /** The machine, volume, address, hostname or digest that it is about; of an address that is made its type. */
  readonly target: string;
  readonly made: Made;
}

export interface Destruction {
  readonly write: Write;
  readonly settings: TenantSettings;
  /** The app as it was before. */
  readonly app: AppView | undefined;
  /** Volumes that a machine ever mounted: there is data on them. */
  readonly mounted: ReadonlySet<string>;
  /** Whether any state of the tenant that the maker of the write may have read meets the condition. */
  readonly wanted: (holds: (tenant: Tenant) => boolean) => boolean;
}

/** By operation; what is not named here destroys nothing. */
export const DESTRUCTIVE: Readonly<Record<string, (destruction: Destruction) => boolean>> = {
  Apps_delete: () => false,
  Registry_manifest_delete: () => false,
  'databases.drop': () => false,
  'vault.forget': () => false,
  // The spec wants no machine, or the machine mounts a volume that its owner has given up.
  Machines_delete: ({ wanted }) =>
    wanted(({ spec }) => spec.image === undefined || spec.acknowledgedVolumeLoss !== undefined),
  // Left over from a lost answer: there never was anything on it.
  Volume_delete: ({ mounted, write }) => !mounted.has(write.target),
  App_IPAssignments_delete: ({ app }) =>
    (app?.addresses ?? []).filter(({ type }) => type === 'v6').length > 1,
  App_Certificates_delete: ({ write, settings, wanted }) =>
    wanted(
      (tenant) =>
        !tenant.spec.hostnames.includes(write.target) && hostnameOf(tenant, settings) !== write.target,
    ),
};
