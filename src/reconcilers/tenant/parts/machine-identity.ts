/** Which machine is the tenant's? Only one with our mark is ever changed or destroyed. */
import type { WireMachine } from '../../../fly/wire.ts';
import { appName, METADATA_PREFIX } from '../../../tenant/names.ts';
import type { Tenant } from '../../../tenant/schema.ts';

/** Metadata keys of a machine, all ours. */
export const METADATA = {
  tenant: `${METADATA_PREFIX}tenant`,
  /** Running or Suspended: what the config was made for. */
  state: `${METADATA_PREFIX}state`,
  /** `spec.restartedAt` that the machine was last booted for. */
  restartedAt: `${METADATA_PREFIX}restarted_at`,
  /** Vault revision that the machine was last booted with. */
  secrets: `${METADATA_PREFIX}secrets`,
  /** Growing of the volume that the machine was last booted for. */
  volume: `${METADATA_PREFIX}volume_extended_at`,
  /** `yes`: the machine is to be started once after the update that carries this. */
  wake: `${METADATA_PREFIX}wake`,
} as const;

/** Every machine of a tenant is called as its app would be; Fly keeps machine names unique in an app. */
export function machineName(tenant: Tenant): string {
  return appName(tenant.metadata.uid);
}

/** Whether a machine carries our mark for this tenant: its name or its metadata. */
export function isOurs(tenant: Tenant, machine: WireMachine): boolean {
  return (
    machine.name === machineName(tenant) ||
    machine.config?.metadata?.[METADATA.tenant] === tenant.metadata.uid ||
    machine.incomplete_config?.metadata?.[METADATA.tenant] === tenant.metadata.uid
  );
}

/** The tenant's live machine. In an adopted app a single unmarked machine is the one to take over. */
export function findMachine(tenant: Tenant, machines: readonly WireMachine[]): WireMachine | undefined {
  const live = machines.filter((machine) => machine.state !== 'destroyed');
  const marked = live.find((machine) => isOurs(tenant, machine));
  if (marked !== undefined || tenant.spec.adopt === undefined) return marked;
  return live.length === 1 ? live[0] : undefined;
}
