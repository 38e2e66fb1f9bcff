/**
 * What may operators ask about requests? Who changed what (`/audit`), and how the API fares (`/metrics/…`): the recent
 * requests, the slow ones, the failed ones, and sums. Customers get 403.
 */
import type { StoredAuditEntry } from '../../ledger/audit.ts';
import type { EndpointFigures, RequestFilter } from '../../ledger/request-reads.ts';
import type { RequestRow } from '../../ledger/tables.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { Routes } from '../routes.ts';
import * as answers from './ledger-answers.ts';

const METRICS = '/api/v1/metrics';
const TAG = 'Operations';

export function ledgerRoutes(routes: Routes, { ledger }: Pick<ApiDependencies, 'ledger'>): void {
  requestRoutes(routes, ledger.requests);
  routes.add(
    {
      method: 'GET',
      path: `${METRICS}/stats`,
      summary: 'How many requests there were, which were slow, and which failed',
      tag: TAG,
      access: 'operator',
      query: answers.statsQuery,
      answers: { 200: answers.statsAnswer },
    },
    async ({ query }) => {
      const stats = await ledger.requests.stats(query.hours ?? answers.DEFAULT_HOURS_MS);
      return {
        data: {
          total_requests: stats.requests,
          failures: stats.failures,
          avg_latency_ms: stats.averageLatencyMs,
          slow_endpoints: stats.slowEndpoints.map(endpointView),
          error_endpoints: stats.errorEndpoints.map(endpointView),
        },
      };
    },
  );
  routes.add(
    {
      method: 'GET',
      path: '/api/v1/audit',
      summary: 'Who changed what, newest first',
      tag: TAG,
      access: 'operator',
      query: answers.auditQuery,
      answers: { 200: answers.auditAnswer },
    },
    async ({ query: { limit = answers.DEFAULT_LIMIT, cursor, tenant_id: tenantUid, subject } }) => {
      const entries = await ledger.audit.list({
        limit: limit + 1,
        ...(cursor !== undefined && { beforeId: cursor }),
        ...(tenantUid !== undefined && { tenantUid }),
        ...(subject !== undefined && { subject }),
      });
      const page = entries.slice(0, limit);
      const more = entries.length > limit;
      return { data: page.map(auditView), ...(more && { next_cursor: String(page.at(-1)?.id) }) };
    },
  );
}

type Kind = Pick<RequestFilter, 'order' | 'minStatus'> & { readonly name: string; readonly summary: string };

const KINDS: readonly Kind[] = [
  { name: 'requests', summary: 'Recent requests, newest first', order: 'time' },
  { name: 'slow', summary: 'Requests, slowest first', order: 'latency' },
  {
    name: 'errors',
    summary: 'Requests that were refused or failed, newest first',
    order: 'time',
    minStatus: 400,
  },
];

function requestRoutes(routes: Routes, requests: ApiDependencies['ledger']['requests']): void {
  for (const { name, summary, ...filter } of KINDS)
    routes.add(
      {
        method: 'GET',
        path: `${METRICS}/${name}`,
        summary,
        tag: TAG,
        access: 'operator',
        query: answers.requestsQuery,
        answers: { 200: answers.requestsAnswer },
      },
      async ({ query }) => {
        const rows = await requests.list({
          ...filter,
          limit: query.limit ?? answers.DEFAULT_LIMIT,
          withinMs: query.hours ?? answers.DEFAULT_HOURS_MS,
          ...(query.path_prefix !== undefined && { pathPrefix: query.path_prefix }),
          ...(query.min_latency_ms !== undefined && { minLatencyMs: query.min_latency_ms }),
        });
        return { data: rows.map(requestView) };
      },
    );
}

function requestView(row: RequestRow): answers.RequestView {
  const { at } = row;
  return {
    timestamp: at.toISOString(),
    year: at.getUTCFullYear(),
    month: at.getUTCMonth() + 1,
    day: at.getUTCDate(),
    hour: at.getUTCHours(),
    request_id: row.request_id,
    method: row.method,
    route: row.route,
    path: row.path,
    // An edge: only the ledger writes this column.
    query: row.query as answers.RequestView['query'],
    status: row.status,
    error_code: row.error_code,
    error_message: row.error_message,
    latency_ms: row.latency_ms,
    address: row.address,
    country: row.country,
    user_agent: row.user_agent,
    referer: row.referer,
    subject: row.subject,
    customer_id: row.customer,
    tenant_id: row.tenant,
  };
}

function endpointView(figures: EndpointFigures): answers.EndpointView {
  const { method, route, requests, errors, averageLatencyMs, p95LatencyMs } = figures;
  return { method, route, requests, errors, avg_latency_ms: averageLatencyMs, p95_latency_ms: p95LatencyMs };
}

function auditView(entry: StoredAuditEntry): answers.AuditView {
  return {
    id: entry.id,
    at: entry.at.toISOString(),
    request_id: entry.requestId,
    subject: entry.subject,
    role: entry.role,
    customer_id: entry.customer,
    address: entry.address,
    user_agent: entry.userAgent,
    method: entry.method,
    route: entry.route,
    params: { ...entry.params },
    status: entry.status,
    error_code: entry.errorCode,
    tenant_id: entry.tenantUid,
    before: entry.before,
    after: entry.after,
  };
}
