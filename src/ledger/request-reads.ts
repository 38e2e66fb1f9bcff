/** What do operators ask of the records of requests? The recent ones, the slow ones, the failed ones, and the sums. */
import { sql } from 'kysely';
import type { Clock } from '../clock.ts';
import { attempt } from '../database/errors.ts';
import type { RequestRow, LedgerDatabase } from './tables.ts';

export interface RequestFilter {
  readonly limit: number;
  /** Only those that ended within this time until now. */
  readonly withinMs: number;
  readonly pathPrefix?: string;
  readonly minLatencyMs?: number;
  /** Only answers with a status of at least this. */
  readonly minStatus?: number;
  /** `time`: newest first; `latency`: slowest first. */
  readonly order: 'time' | 'latency';
}

export interface EndpointFigures {
  readonly method: string;
  readonly route: string;
  readonly requests: number;
  readonly errors: number;
  readonly averageLatencyMs: number;
  readonly p95LatencyMs: number;
}

export interface RequestStats {
  readonly requests: number;
  /** Answers with a status of 500 or more. */
  readonly failures: number;
  readonly averageLatencyMs: number;
  /** Slowest on average first. */
  readonly slowEndpoints: readonly EndpointFigures[];
  /** Most answers of 400 and more first; only those that have any. */
  readonly errorEndpoints: readonly EndpointFigures[];
}

export interface RequestReads {
  list(filter: RequestFilter): Promise<RequestRow[]>;
  stats(withinMs: number): Promise<RequestStats>;
}

const MOST_ENDPOINTS = 10;

export function createRequestReads(options: {
  readonly db: LedgerDatabase;
  readonly clock: Clock;
}): RequestReads {
  const { db, clock } = options;
  const since = (withinMs: number): Date => new Date(clock.now() - withinMs);
  return {
    list: (filter) =>
      attempt('read request metrics', () => {
        let rows = db
          .selectFrom('request_metrics')
          .selectAll()
          .where('at', '>=', since(filter.withinMs))
          .limit(filter.limit);
        if (filter.pathPrefix !== undefined)
          rows = rows.where(sql<boolean>`starts_with(path, ${filter.pathPrefix.replaceAll('\0', '')})`);
        if (filter.minLatencyMs !== undefined) rows = rows.where('latency_ms', '>=', filter.minLatencyMs);
        if (filter.minStatus !== undefined) rows = rows.where('status', '>=', filter.minStatus);
        const ordered = filter.order === 'time' ? rows : rows.orderBy('latency_ms', 'desc');
        return ordered.orderBy('at', 'desc').orderBy('request_id', 'desc').execute();
      }),
    stats: (withinMs) =>
      attempt('sum up request metrics', async () => {
        const { rows } = await sql<EndpointFigures & { failures: number }>`
          SELECT method, route, count(*) AS requests,
            count(*) FILTER (WHERE status >= 400) AS errors,
            count(*) FILTER (WHERE status >= 500) AS failures,
            avg(latency_ms) AS "averageLatencyMs",
            percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS "p95LatencyMs"
          FROM request_metrics WHERE at >= ${since(withinMs)}
          GROUP BY method, route ORDER BY method, route`.execute(db);
        return sumUp(rows);
      }),
  };
}

function sumUp(endpoints: readonly (EndpointFigures & { readonly failures: number })[]): RequestStats {
  const total = (pick: (endpoint: (typeof endpoints)[number]) => number): number =>
    endpoints.reduce((sum, endpoint) => sum + pick(endpoint), 0);
  const requests = total((endpoint) => endpoint.requests);
  return {
    requests,
    failures: total(({ failures }) => failures),
    averageLatencyMs: requests === 0 ? 0 : total((one) => one.averageLatencyMs * one.requests) / requests,
    slowEndpoints: endpoints
      .toSorted((a, b) => b.averageLatencyMs - a.averageLatencyMs)
      .slice(0, MOST_ENDPOINTS),
    errorEndpoints: endpoints
      .filter(({ errors }) => errors > 0)
      .toSorted((a, b) => b.errors - a.errors)
      .slice(0, MOST_ENDPOINTS),
  };
}
