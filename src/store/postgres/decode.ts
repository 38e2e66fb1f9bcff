/**
 * How does a row become a Tenant again? Through the one schema, which fills in the defaults of fields that are
 * newer than the row (about 12 microseconds a tenant, so what was decoded is kept as long as its version is the stored
 * one: every write makes a new one). A row that the schema refuses, because a newer Landlord or
 * a person with psql wrote it, is still handed out as it is, and logged: to leave it out would tell the loop that
 * the tenant was deleted, and to throw would stop the loop for everybody.
 */
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import { tenantSchema, type Tenant } from '../../tenant/schema.ts';
import type { TenantRow } from './tables.ts';

export interface Decoder {
  row(row: TenantRow): Tenant;
  /** A tenant that was stored whole, as of `revision` (or as it says itself). */
  object(stored: unknown, revision?: number): Tenant;
}

const MOST_COMPLAINTS_KEPT = 1_000;
/** A few kilobytes each. */
const MOST_DECODED_KEPT = 2_000;

export function createDecoder(log: Logger): Decoder {
  /** Revision of each tenant that was complained of: once for each is enough. */
  const complaints = new LRUCache<string, string>({ max: MOST_COMPLAINTS_KEPT });

  const decoded = new LRUCache<string, { readonly version: number; readonly tenant: Tenant }>({
    max: MOST_DECODED_KEPT,
  });

  function decode(stored: unknown): Tenant {
    const parsed = tenantSchema.safeParse(stored);
    if (parsed.success) return parsed.data;
    // An edge: only this adapter writes these columns, so what the schema refuses is still a Tenant in outline.
    const tenant = stored as Tenant;
    const { uid, resourceVersion } = tenant.metadata;
    if (complaints.get(uid) !== resourceVersion) {
      complaints.set(uid, resourceVersion);
      const paths = parsed.error.issues.map((issue) => issue.path.join('.'));
      log.error(
        { uid, paths: paths.slice(0, 10) },
        'a stored tenant does not fit the schema; it is used as it is',
      );
    }
    return tenant;
  }

  return {
    row(row) {
      const known = decoded.get(row.uid);
      if (known?.version === row.resource_version) return known.tenant;
      const tenant = decode(outline(row));
      decoded.set(row.uid, { version: row.resource_version, tenant });
      return tenant;
    },
    object(stored, revision) {
      if (revision === undefined) return decode(stored);
      // An edge, as above: what was stored is what `after` in write.ts has put there.
      const tenant = stored as Tenant;
      return decode({ ...tenant, metadata: { ...tenant.metadata, resourceVersion: String(revision) } });
    },
  };
}

/** The Kubernetes shape of a row: empty maps and lists are left out, times are UTC with milliseconds. */
function outline(row: TenantRow): unknown {
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: {
      name: row.name,
      namespace: row.namespace,
      uid: row.uid,
      resourceVersion: String(row.resource_version),
      generation: row.generation,
      creationTimestamp: row.created_at.toISOString(),
      ...(row.deleted_at !== null && { deletionTimestamp: row.deleted_at.toISOString() }),
      ...(row.finalizers.length > 0 && { finalizers: row.finalizers }),
      ...(!isEmpty(row.labels) && { labels: row.labels }),
      ...(!isEmpty(row.annotations) && { annotations: row.annotations }),
    },
    spec: row.spec,
    ...(row.status !== null && { status: row.status }),
  };
}

function isEmpty(map: unknown): boolean {
  return typeof map === 'object' && map !== null && Object.keys(map).length === 0;
}
