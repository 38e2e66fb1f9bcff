/**
 * What does one see of the requests from outside? Figures by method, route pattern and status, and one log line
 * each. The path itself is never written down: it can carry a one-time token.
 */
import type { FastifyInstance } from 'fastify';
import { Counter, Histogram, type Registry } from 'prom-client';

/** Most answers are one query; the upper ones ask the registry or Fly. Seconds. */
const BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25];

/** Counts, times and logs every answer. Streams are counted when they end and not timed: they last by design. */
export function observeRequests(app: FastifyInstance, metrics: Registry): void {
  const { requests, duration } = figuresOf(metrics);

  app.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const route = request.routeOptions.url ?? 'unmatched';
    const status = reply.raw.statusCode;
    requests.inc({ method, route, status: String(status) });
    if (!reply.streaming) duration.observe({ method, route }, reply.elapsedTime / 1000);
    const line = {
      method,
      route,
      status,
      elapsedMs: Math.round(reply.elapsedTime),
      subject: request.identity?.subject,
    };
    if (status >= 500) request.log.warn(line, 'request');
    else request.log.debug(line, 'request');
    done();
  });
}

interface Figures {
  readonly requests: Counter<'method' | 'route' | 'status'>;
  readonly duration: Histogram<'method' | 'route'>;
}

const figures = new WeakMap<Registry, Figures>();

/** Both listeners of a process count in the same figures. */
function figuresOf(metrics: Registry): Figures {
  const known = figures.get(metrics);
  if (known !== undefined) return known;
  const made: Figures = {
    requests: new Counter({
      name: 'landlord_http_requests_total',
      help: 'Requests answered, by route pattern.',
      labelNames: ['method', 'route', 'status'],
      registers: [metrics],
    }),
    duration: new Histogram({
      name: 'landlord_http_request_duration_seconds',
      help: 'Time to a complete answer, streams excepted.',
      labelNames: ['method', 'route'],
      buckets: BUCKETS,
      registers: [metrics],
    }),
  };
  figures.set(metrics, made);
  return made;
}
