/**
 * How are metrics asked for? Prometheus' HTTP interface, an instant and a range, as Fly serves it for every
 * organisation. Times on the wire are seconds.
 */
import type { Answer, Call } from './call.ts';
import { parseGoDuration } from './go-duration.ts';
import { samplesOf } from './metric-series.ts';
import type { Moment } from './moment.ts';
import { evaluate, type Source } from './promql-evaluate.ts';
import { parsePromql } from './promql.ts';
import { Refusal } from './refusal.ts';

/** Prometheus' own limit. */
const MOST_POINTS = 11_000;

/** Parameters come in the query, or as a form in the body of a POST. */
function parameter(call: Call, name: string): string | undefined {
  return call.query.get(name) ?? new URLSearchParams(call.body ?? '').get(name) ?? undefined;
}

function badRequest(message: string): Answer {
  return { status: 400, json: { status: 'error', errorType: 'bad_data', error: message } };
}

function timeMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^[0-9.]+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  return Number.isFinite(ms) ? ms : undefined;
}

function stepMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9.]+$/.test(text)) return Number(text) * 1000;
  const nanoseconds = parseGoDuration(text);
  return nanoseconds === undefined ? undefined : nanoseconds / 1e6;
}

function sourceOf(moment: Moment, call: Call): Source {
  const org = call.params.org_slug ?? '';
  return (name, at) => samplesOf(moment, { org, name, at });
}

function success(resultType: string, result: unknown): Answer {
  return { status: 200, json: { status: 'success', data: { resultType, result } } };
}

/** A query that cannot be evaluated is answered in Prometheus' words. */
function answering(run: () => Answer): Answer {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { status: error.status, json: { status: 'error', errorType: 'bad_data', error: error.message } };
  }
}

export function queryInstant(moment: Moment, call: Call): Answer {
  const query = parameter(call, 'query');
  const at = timeMs(parameter(call, 'time')) ?? moment.now;
  if (query === undefined) return badRequest('invalid parameter "query"');
  return answering(() => {
    const value = evaluate(sourceOf(moment, call), parsePromql(query), at);
    if (typeof value === 'number') return success('scalar', [at / 1000, String(value)]);
    return success(
      'vector',
      value.map((sample) => ({ metric: sample.labels, value: [at / 1000, String(sample.value)] })),
    );
  });
}

export function queryRange(moment: Moment, call: Call): Answer {
  const query = parameter(call, 'query');
  const [start, end] = [timeMs(parameter(call, 'start')), timeMs(parameter(call, 'end'))];
  const step = stepMs(parameter(call, 'step'));
  if (query === undefined || start === undefined || end === undefined)
    return badRequest('invalid parameters');
  if (step === undefined || step <= 0 || end < start) return badRequest('invalid parameter "step"');
  if ((end - start) / step > MOST_POINTS)
    return badRequest('exceeded maximum resolution of 11,000 points per timeseries');
  return answering(() => {
    const expression = parsePromql(query);
    const series = new Map<
      string,
      { metric: Readonly<Record<string, string>>; values: [number, string][] }
    >();
    for (let at = start; at <= end; at += step) {
      const value = evaluate(sourceOf(moment, call), expression, at);
      for (const sample of typeof value === 'number' ? [{ labels: {}, value }] : value) {
        const key = JSON.stringify(sample.labels);
        const found = series.get(key) ?? { metric: sample.labels, values: [] };
        found.values.push([at / 1000, String(sample.value)]);
        series.set(key, found);
      }
    }
    return success('matrix', [...series.values()]);
  });
}
