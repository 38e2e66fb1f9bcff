/** How does a batch of request records become rows? In one statement with one parameter, whatever their number. */
import { sql } from 'kysely';
import { attempt } from '../database/errors.ts';
import type { RequestRecord } from './requests.ts';
import type { LedgerDatabase } from './tables.ts';
import { cut, storableJson } from './text.ts';

/** Their partitions must exist. */
export function insertRequests(db: LedgerDatabase, batch: readonly RequestRecord[]): Promise<void> {
  const rows = storableJson(batch.map(toRow));
  return attempt('write request metrics', async () => {
    await sql`
      INSERT INTO request_metrics (at, request_id, method, route, path, query, status, error_code, error_message,
        latency_ms, address, country, user_agent, referer, subject, customer, tenant)
      SELECT * FROM jsonb_to_recordset(${rows}::jsonb) AS record (at timestamptz, request_id text, method text,
        route text, path text, query jsonb, status integer, error_code text, error_message text,
        latency_ms double precision, address text, country text, user_agent text, referer text, subject text,
        customer text, tenant text)`.execute(db);
  });
}

function toRow(record: RequestRecord): Record<string, unknown> {
  return {
    at: new Date(record.atMs).toISOString(),
    request_id: record.requestId,
    method: record.method,
    route: record.route,
    path: cut(record.path),
    query: record.query,
    status: record.status,
    error_code: record.errorCode,
    error_message: cut(record.errorMessage),
    latency_ms: record.latencyMs,
    address: record.address,
    country: record.country,
    user_agent: cut(record.userAgent),
    referer: cut(record.referer),
    subject: record.subject,
    customer: record.customer,
    tenant: record.tenant,
  };
}
