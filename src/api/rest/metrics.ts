/** How much does a tenant use, now and over time? Read from Fly's Prometheus for each request; nothing is kept here. */
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Tenant } from '../../tenant/schema.ts';
import type { ApiDependencies, MetricSeries } from '../dependencies.ts';
import { askOutside } from '../edge.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import { METRIC_NAMES, METRICS, type MetricName } from './metric-queries.ts';
import { madeAppOf, requireCloud, TAG, TENANT } from './tenant-of.ts';

type MetricsDependencies = Pick<ApiDependencies, 'clock' | 'platform' | 'cloudEnabled'>;

const TIMEOUT_MS = 20_000;
/** Fly measures no more often. */
const SHORTEST_STEP_MS = 15_000;
const USUAL_RANGE_MS = 3_600_000;
/** Fly keeps this much. */
const LONGEST_RANGE_MS = 15 * 86_400_000;
/** A chart of a page's width, unless the client asks for more. */
const USUAL_POINTS = 120;
const MOST_POINTS = 1_000;

const metricName = z.enum(METRIC_NAMES);

/** Answer of `GET /metrics`: null where nothing is measured, such as the processor of a machine that rests. */
export const metricsAnswer = z.object({
  data: z.object({
    at: z.iso.datetime(),
    metrics: z.record(metricName, z.object({ unit: z.string(), value: z.number().nullable() })),
  }),
});

/** Query of `GET /metrics/history`. */
export const historyQuerySchema = z.object({
  /** Names, separated by commas; all when absent. */
  metric: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(metricName).min(1).max(METRIC_NAMES.length))
    .optional(),
  from: z.iso.datetime({ offset: true }).transform(Date.parse).optional(),
  to: z.iso.datetime({ offset: true }).transform(Date.parse).optional(),
  step_seconds: z.coerce
    .number()
    .int()
    .min(SHORTEST_STEP_MS / 1_000)
    .optional(),
});

export const historyAnswer = z.object({
  data: z.object({
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    step_seconds: z.number(),
    series: z.array(
      z.object({
        metric: metricName,
        unit: z.string(),
        points: z.array(z.object({ at: z.iso.datetime(), value: z.number() })),
      }),
    ),
  }),
});

export function metricRoutes(routes: Routes, dependencies: MetricsDependencies): void {
  presentRoute(routes, dependencies);
  historyRoute(routes, dependencies);
}

function presentRoute(routes: Routes, dependencies: MetricsDependencies): void {
  const { clock, platform } = dependencies;
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/metrics`,
      summary: 'What the tenant uses now',
      tag: TAG,
      access: 'owner',
      answers: { 200: metricsAnswer },
      errors: ['not_provisioned', 'cloud_disabled'],
    },
    async ({ tenant, reply }) => {
      requireCloud(dependencies);
      const app = madeAppOf(tenant, 'measure');
      const values = await asking(dependencies, { reply, tenant }, (signal) =>
        Promise.all(METRIC_NAMES.map((name) => platform.metric(METRICS[name].promql(app), signal))),
      );
      const metrics = METRIC_NAMES.map((name, index) => [
        name,
        { unit: METRICS[name].unit, value: pointsOf(values[index])[0]?.value ?? null },
      ]);
      return {
        data: { at: new Date(clock.now()).toISOString(), metrics: Object.fromEntries(metrics) as unknown },
      };
    },
  );
}

function historyRoute(routes: Routes, dependencies: MetricsDependencies): void {
  const { clock, platform } = dependencies;
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/metrics/history`,
      summary: 'What the tenant used over time, at most fifteen days back',
      tag: TAG,
      access: 'owner',
      query: historyQuerySchema,
      answers: { 200: historyAnswer },
      errors: ['not_provisioned', 'cloud_disabled'],
    },
    async ({ tenant, query, reply }) => {
      requireCloud(dependencies);
      const range = rangeOf(query, clock.now());
      const app = madeAppOf(tenant, 'measure');
      const names: readonly MetricName[] = query.metric ?? METRIC_NAMES;
      const found = await asking(dependencies, { reply, tenant }, (signal) =>
        Promise.all(
          names.map((name) => platform.metricRange({ promql: METRICS[name].promql(app), ...range }, signal)),
        ),
      );
      return {
        data: {
          from: new Date(range.fromMs).toISOString(),
          to: new Date(range.toMs).toISOString(),
          step_seconds: range.stepMs / 1_000,
          series: names.map((name, index) => ({
            metric: name,
            unit: METRICS[name].unit,
            points: pointsOf(found[index]),
          })),
        },
      };
    },
  );
}

function asking<T>(
  { clock }: MetricsDependencies,
  { reply, tenant }: { readonly reply: FastifyReply; readonly tenant: Tenant },
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const problem = `cannot measure tenant "${tenant.metadata.uid}": Fly's metrics do not answer`;
  return askOutside({ reply, clock, timeoutMs: TIMEOUT_MS, problem }, ask);
}

/** Samples as numbers; what Prometheus calls NaN or infinite is left out. */
function pointsOf(series: readonly MetricSeries[] = []): { at: string; value: number }[] {
  return (series[0]?.values ?? [])
    .map(([seconds, text]) => ({ at: new Date(seconds * 1_000).toISOString(), value: Number(text) }))
    .filter(({ value }) => Number.isFinite(value));
}

/** Throws ApiError `invalid_request` for a range that is empty, too long, or has too many points. */
function rangeOf(query: z.infer<typeof historyQuerySchema>, now: number) {
  const toMs = query.to ?? now;
  const fromMs = query.from ?? toMs - USUAL_RANGE_MS;
  const lengthMs = toMs - fromMs;
  if (lengthMs <= 0) throw new ApiError('invalid_request', 'cannot read the query: from must be before to');
  if (lengthMs > LONGEST_RANGE_MS)
    throw new ApiError('invalid_request', 'cannot read the query: the range must not be longer than 15 days');
  const usualMs = Math.max(SHORTEST_STEP_MS, Math.ceil(lengthMs / USUAL_POINTS / 1_000) * 1_000);
  const stepMs = query.step_seconds === undefined ? usualMs : query.step_seconds * 1_000;
  if (lengthMs / stepMs > MOST_POINTS)
    throw new ApiError(
      'invalid_request',
      `cannot read the query: step_seconds: more than ${MOST_POINTS} points; ask for a longer step`,
    );
  return { fromMs, toMs, stepMs };
}
