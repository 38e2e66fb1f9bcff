/**
 * What do tenants print, and what do they use? Logs as flyctl polls them (JSON:API), and metrics in the query
 * language of Prometheus. Neither has a documented rate limit.
 */
import { z } from 'zod';
import { json, type Transport } from './call.ts';
import { listOf, wire } from './decode.ts';
import type { FlyTelemetry } from './fly.ts';
import type { WireLogLine, WireMetricSeries } from './wire.ts';

const lineSchema = z.object({
  id: z.string(),
  attributes: wire<Partial<Omit<WireLogLine, 'id'>>>({
    timestamp: z.string().optional(),
    message: z.string().optional(),
    level: z.string().optional(),
    instance: z.string().optional(),
    region: z.string().optional(),
  }),
});

const logsSchema = z.looseObject({
  data: listOf(lineSchema),
  meta: wire<{ next_token?: string }>({ next_token: z.string().optional() }).nullable().optional(),
});

const sampleSchema = z.tuple([z.number(), z.string()]);
const labelsSchema = z.record(z.string(), z.string());

const matrixSchema = z.object({
  resultType: z.literal('matrix'),
  result: listOf(z.object({ metric: labelsSchema, values: z.array(sampleSchema) })),
});
const vectorSchema = z.object({
  resultType: z.literal('vector'),
  result: listOf(z.object({ metric: labelsSchema, value: sampleSchema })),
});
const scalarSchema = z.object({ resultType: z.literal('scalar'), result: sampleSchema });

const metricsSchema = z.object({
  status: z.literal('success'),
  data: z.discriminatedUnion('resultType', [matrixSchema, vectorSchema, scalarSchema]),
});

interface LogPage {
  lines: WireLogLine[];
  nextToken?: string;
}

export interface TelemetryOptions {
  /** Knows `/api/v1/apps/{app}/logs`. */
  readonly logs: Transport;
  /** Knows `/{org}/api/v1/query`. */
  readonly prometheus: Transport;
  readonly orgSlug: string;
}

export function createTelemetry({ logs, prometheus, orgSlug }: TelemetryOptions): FlyTelemetry {
  return {
    logs: (app, { nextToken, instance }, signal) =>
      logs<LogPage>(
        {
          operation: 'Logs_list',
          subject: ['read', 'logs of app', app],
          path: ['api', 'v1', 'apps', app, 'logs'],
          query: { next_token: nextToken, instance },
          decode: (answer) => toLogPage(json(logsSchema)(answer)),
          means: { 404: () => ({ lines: [] }) },
        },
        signal,
      ),
    queryRange: ({ promql, fromMs, toMs, stepMs }, signal) =>
      prometheus(
        {
          operation: 'Metrics_query_range',
          subject: ['query', 'metrics of organisation', orgSlug],
          path: [orgSlug, 'api', 'v1', 'query_range'],
          query: { query: promql, start: fromMs / 1_000, end: toMs / 1_000, step: stepMs / 1_000 },
          decode: (answer) => toSeries(json(metricsSchema)(answer)),
        },
        signal,
      ),
    query: (promql, signal) =>
      prometheus(
        {
          operation: 'Metrics_query',
          subject: ['query', 'metrics of organisation', orgSlug],
          path: [orgSlug, 'api', 'v1', 'query'],
          query: { query: promql },
          decode: (answer) => toSeries(json(metricsSchema)(answer)),
        },
        signal,
      ),
  };
}

function toLogPage({ data, meta }: z.infer<typeof logsSchema>): LogPage {
  const lines = data.map(({ id, attributes }) => ({
    id,
    timestamp: attributes.timestamp ?? '',
    message: attributes.message ?? '',
    ...(attributes.level !== undefined && { level: attributes.level }),
    ...(attributes.instance !== undefined && { instance: attributes.instance }),
    ...(attributes.region !== undefined && { region: attributes.region }),
  }));
  // An empty token means: keep the one you have.
  const nextToken = meta?.next_token ?? '';
  return { lines, ...(nextToken !== '' && { nextToken }) };
}

function toSeries({ data }: z.infer<typeof metricsSchema>): WireMetricSeries[] {
  switch (data.resultType) {
    case 'matrix':
      return data.result;
    case 'vector':
      return data.result.map(({ metric, value }) => ({ metric, values: [value] }));
    case 'scalar':
      return [{ metric: {}, values: [data.result] }];
  }
}
