/**
 * How is one change of one tenant written? In one statement: it checks that the tenant is still what the writer
 * had read, takes the next revision, writes the row and the feed, and wakes the watchers. The lock on the revision
 * is held from that statement to its commit, which for most writes is the same moment, so that writers of
 * different tenants wait for each other as briefly as PostgreSQL allows.
 *
 * Locks are always taken in the order tenant, revision; rows come and go only under the lock on the revision. So
 * no two writers can wait for each other in a circle.
 */
import { sql, type RawBuilder } from 'kysely';
import type { Tenant } from '../../tenant/schema.ts';
import { TENANTS_CHANNEL, type ChangeType, type StoreDatabase } from './tables.ts';

export interface Change {
  readonly type: ChangeType;
  /** What the writer has read; absent for a new tenant. */
  readonly before?: Tenant;
  /** What the writer wants, with any resourceVersion; for DELETED, the last state. */
  readonly after: Tenant;
  readonly now: number;
}

/**
 * Writes the change and returns the tenant with its new resourceVersion; undefined when somebody else has written
 * it since it was read. A new tenant whose name is taken violates `tenants_name`.
 */
export async function commitChange(db: StoreDatabase, change: Change): Promise<Tenant | undefined> {
  const { type, before, after } = change;
  const { metadata } = after;
  const result = await sql<{ value: number }>`
    WITH ${nextRevision(before)},
    written AS (${writtenRow(change)}),
    fed AS (
      INSERT INTO tenant_changes (revision, type, uid, namespace, name, after, before, changed_at)
      SELECT value, ${type}, ${metadata.uid}::uuid, ${metadata.namespace}, ${metadata.name},
        ${JSON.stringify(after)}::jsonb, ${before === undefined ? null : JSON.stringify(before)}::jsonb,
        ${new Date(change.now)}::timestamptz
      FROM revision
    )
    SELECT value, pg_notify(${TENANTS_CHANNEL}, '') FROM revision`.execute(db);
  const value = result.rows[0]?.value;
  if (value === undefined) return undefined;
  return { ...after, metadata: { ...metadata, resourceVersion: String(value) } };
}

/** `UPDATE … FROM target`: without the tenant as it was read, no revision is taken and nothing is written. */
function nextRevision(before: Tenant | undefined): RawBuilder<unknown> {
  if (before === undefined)
    return sql`revision AS (UPDATE tenant_revision SET value = value + 1 RETURNING value)`;
  return sql`
    target AS MATERIALIZED (
      SELECT uid FROM tenants
      WHERE uid = ${before.metadata.uid} AND resource_version = ${before.metadata.resourceVersion}::bigint
      FOR UPDATE
    ),
    revision AS (UPDATE tenant_revision SET value = value + 1 FROM target RETURNING value)`;
}

function writtenRow({ type, after }: Change): RawBuilder<unknown> {
  const { metadata, spec, status } = after;
  const columns = {
    generation: sql`${metadata.generation}::bigint`,
    deleted_at: sql`${metadata.deletionTimestamp ?? null}::timestamptz`,
    finalizers: sql`${[...(metadata.finalizers ?? [])]}::text[]`,
    labels: json(metadata.labels ?? {}),
    annotations: json(metadata.annotations ?? {}),
    spec: json(spec),
    status: status === undefined ? sql`NULL::jsonb` : json(status),
  };
  const names = sql.join(Object.keys(columns).map((name) => sql.ref(name)));
  const values = sql.join(Object.values(columns));
  switch (type) {
    case 'ADDED':
      return sql`
        INSERT INTO tenants (uid, namespace, name, created_at, resource_version, ${names})
        SELECT ${metadata.uid}::uuid, ${metadata.namespace}, ${metadata.name},
          ${metadata.creationTimestamp}::timestamptz, value, ${values} FROM revision`;
    case 'MODIFIED':
      return sql`
        UPDATE tenants SET resource_version = value, (${names}) = (${values}) FROM revision
        WHERE uid = ${metadata.uid}`;
    case 'DELETED':
      return sql`DELETE FROM tenants USING revision WHERE uid = ${metadata.uid}`;
    default:
      return type satisfies never;
  }
}

function json(value: unknown): RawBuilder<unknown> {
  return sql`${JSON.stringify(value)}::jsonb`;
}
