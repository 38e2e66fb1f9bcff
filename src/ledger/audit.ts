/**
 * Who changed what, when, and from where? One row for each write that somebody with a token asked for, written before
 * the answer goes out. Requests that come at the same time share a statement, so that this costs little.
 */
import { sql } from 'kysely';
import type { Clock } from '../clock.ts';
import { attempt } from '../database/errors.ts';
import { createBatches } from './batches.ts';
import type { AuditRow, LedgerDatabase } from './tables.ts';
import { cut, storable, storableJson } from './text.ts';

export interface AuditEntry {
  readonly requestId: string;
  readonly subject: string;
  readonly role: string;
  readonly customer?: string | undefined;
  readonly address: string;
  readonly userAgent?: string | undefined;
  readonly method: string;
  /** The route's pattern. */
  readonly route: string;
  readonly params: Readonly<Record<string, string>>;
  readonly status: number;
  readonly errorCode?: string | undefined;
  readonly tenantUid?: string | undefined;
  /** What the change replaced and what it put there. Holds no secret: the writer has cut them out. */
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface StoredAuditEntry extends AuditEntry {
  readonly id: number;
  readonly at: Date;
}

export interface AuditQuery {
  readonly limit: number;
  /** Entries older than this one. */
  readonly beforeId?: number;
  readonly tenantUid?: string;
  readonly subject?: string;
}

export interface AuditLog {
  /** Resolves once it is written. Throws DatabaseError, or when more is waiting than there is room for. */
  record(entry: AuditEntry): Promise<void>;
  /** Newest first. */
  list(query: AuditQuery): Promise<StoredAuditEntry[]>;
  close(): Promise<void>;
}

const MOST_PER_BATCH = 200;
const MOST_QUEUED = 5_000;

export function createAuditLog({
  db,
  clock,
}: {
  readonly db: LedgerDatabase;
  readonly clock: Clock;
}): AuditLog {
  const batches = createBatches<Record<string, unknown>>({
    clock,
    mostPerBatch: MOST_PER_BATCH,
    mostQueued: MOST_QUEUED,
    lingerMs: 0,
    write: (rows) =>
      attempt('write the audit log', async () => {
        await sql`
          INSERT INTO audit_log (at, request_id, subject, role, customer, address, user_agent, method, route, params,
            status, error_code, tenant_uid, before, after)
          SELECT * FROM jsonb_to_recordset(${storableJson(rows)}::jsonb) AS entry (at timestamptz, request_id text,
            subject text, role text, customer text, address text, user_agent text, method text, route text,
            params jsonb, status integer, error_code text, tenant_uid uuid, before jsonb, after jsonb)`.execute(
          db,
        );
      }),
  });
  return {
    record: (entry) =>
      new Promise((resolve, reject) => {
        const settled = (error?: Error): void => {
          if (error === undefined) resolve();
          else reject(error);
        };
        if (!batches.offer(toRow(entry, clock.now()), settled))
          reject(new Error('cannot write the audit log: too many entries are waiting'));
      }),
    list: (query) =>
      attempt('read the audit log', async () => {
        let rows = db.selectFrom('audit_log').selectAll().orderBy('id', 'desc').limit(query.limit);
        if (query.beforeId !== undefined) rows = rows.where('id', '<', query.beforeId);
        if (query.tenantUid !== undefined) rows = rows.where('tenant_uid', '=', query.tenantUid);
        if (query.subject !== undefined) rows = rows.where('subject', '=', storable(query.subject));
        return (await rows.execute()).map(toEntry);
      }),
    close: () => batches.close(),
  };
}

function toRow(entry: AuditEntry, now: number): Record<string, unknown> {
  return {
    at: new Date(now).toISOString(),
    request_id: entry.requestId,
    subject: entry.subject,
    role: entry.role,
    customer: entry.customer,
    address: entry.address,
    user_agent: cut(entry.userAgent),
    method: entry.method,
    route: entry.route,
    params: entry.params,
    status: entry.status,
    error_code: entry.errorCode,
    tenant_uid: entry.tenantUid,
    before: entry.before,
    after: entry.after,
  };
}

function toEntry(row: Omit<AuditRow, 'id'> & { readonly id: number }): StoredAuditEntry {
  return {
    id: row.id,
    at: row.at,
    requestId: row.request_id,
    subject: row.subject,
    role: row.role,
    customer: row.customer ?? undefined,
    address: row.address,
    userAgent: row.user_agent ?? undefined,
    method: row.method,
    route: row.route,
    // An edge: only `record` writes this column.
    params: row.params as AuditEntry['params'],
    status: row.status,
    errorCode: row.error_code ?? undefined,
    tenantUid: row.tenant_uid ?? undefined,
    before: row.before ?? undefined,
    after: row.after ?? undefined,
  };
}
