/** What does carrying out a step need, and what does it tell? Shared by the files that carry steps out. */
import type { Clock } from '../../clock.ts';
import type { TenantDatabases } from '../../database/tenant-databases.ts';
import type { Fly } from '../../fly/fly.ts';
import type { TenantEvent } from '../../store/store.ts';
import type { Tenant } from '../../tenant/schema.ts';
import type { Vault } from '../../vault/vault.ts';
import type { Amendment } from './observed.ts';

export interface ActDependencies {
  readonly fly: Fly;
  readonly vault: Vault;
  readonly databases: TenantDatabases;
}

export interface Acted {
  /** What is known now. */
  readonly amend: Amendment;
  readonly event: TenantEvent;
  /** The intent that was written for this step need not be remembered. */
  readonly forgetIntent?: boolean;
}

export interface ActContext {
  readonly tenant: Tenant;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** What a step that succeeded tells. */
export function done(amend: Amendment, reason: string, message: string): Acted {
  return { amend, event: { type: 'Normal', reason, message } };
}
