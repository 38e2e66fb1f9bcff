/**
 * How do Tenants look as rows? The types of migrations/0001_tenants.sql, and nothing else. Type aliases, because
 * kysely asks for types with an index signature, which an interface does not have.
 */
import type { Generated, Kysely } from 'kysely';

export type StoreTables = {
  readonly tenants: TenantRow;
  readonly tenant_revision: { readonly value: number };
  readonly tenant_compaction: { readonly revision: number };
  readonly tenant_changes: ChangeRow;
  readonly tenant_events: EventRow;
};

export type StoreDatabase = Kysely<StoreTables>;

/** JSON columns are unknown until they are decoded. */
export type TenantRow = {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly resource_version: number;
  readonly generation: number;
  readonly created_at: Date;
  readonly deleted_at: Date | null;
  readonly finalizers: readonly string[];
  readonly labels: unknown;
  readonly annotations: unknown;
  readonly spec: unknown;
  readonly status: unknown;
};

export type ChangeRow = {
  readonly revision: number;
  readonly type: ChangeType;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly after: unknown;
  readonly before: unknown;
  readonly changed_at: Date;
};

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

export type EventRow = {
  readonly id: Generated<number>;
  readonly tenant_uid: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly first_at: Date;
  readonly last_at: Date;
};

/** Wakes watchers of tenants; carries nothing. */
export const TENANTS_CHANNEL = 'landlord_tenants';
/** Wakes watchers of events; carries the tenant's uid. */
export const EVENTS_CHANNEL = 'landlord_events';

/** PostgreSQL refuses to compare anything else with a uuid; what does not match names no tenant. */
export const UID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
