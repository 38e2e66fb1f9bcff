/**
 * What do we know about the world of one tenant? One record, gathered by observe.ts and amended by the answers
 * of act.ts while a pass runs. Absent means "looked and not found"; what was not looked at is not in the plan.
 */
import type { TenantDatabaseState } from '../../database/tenant-databases.ts';
import type {
  WireApp,
  WireCertificate,
  WireIpAssignment,
  WireMachine,
  WireSecret,
  WireVolume,
} from '../../fly/wire.ts';
import type { VaultState } from '../../vault/vault.ts';

/**
 * What `spec.image` means: nothing wanted, a digest, a name that the registry does not know, or a tag of another
 * registry, which Landlord does not ask (its token goes to Fly's alone).
 */
export type ObservedImage =
  | { readonly state: 'none' }
  | { readonly state: 'resolved'; readonly reference: string; readonly digest: string }
  | { readonly state: 'missing'; readonly reference: string }
  | { readonly state: 'foreign'; readonly reference: string };

/** The tenant's own tag in the shared registry app; only looked at when the tenant is deleted. */
export interface ObservedTag {
  readonly repository: string;
  readonly tag: string;
  /** Undefined when the registry knows the tag and does not tell its digest, by which alone it deletes. */
  readonly digest: string | undefined;
  /** Another tenant runs the same digest, which would vanish with the tag. */
  readonly usedElsewhere: boolean;
}

export interface Observed {
  readonly vault?: VaultState | undefined;
  readonly database: TenantDatabaseState;
  readonly app?: WireApp | undefined;
  /** The app's name exists, in an organisation that we cannot see. */
  readonly appTaken: boolean;
  readonly addresses: readonly WireIpAssignment[];
  readonly certificates: readonly WireCertificate[];
  readonly volumes: readonly WireVolume[];
  readonly secrets: readonly WireSecret[];
  readonly machines: readonly WireMachine[];
  readonly image: ObservedImage;
  readonly tag?: ObservedTag | undefined;
}

/** A change of what is known, made by the answer to a step. */
export type Amendment = (observed: Observed) => Observed;

export const NOTHING_OBSERVED: Observed = {
  database: { roleExists: false, databaseExists: false },
  appTaken: false,
  addresses: [],
  certificates: [],
  volumes: [],
  secrets: [],
  machines: [],
  image: { state: 'none' },
};

/** Replaces the item with the same id, or appends it. */
export function upsert<T extends { readonly id: string }>(items: readonly T[], item: T): T[] {
  return [...items.filter((other) => other.id !== item.id), item];
}
