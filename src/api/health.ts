/**
 * Is the process alive, should it get traffic, and how is it doing? For orchestrators, load balancers and
 * Prometheus; answered without a token, so nothing here speaks of tenants.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { sleep } from '../clock.ts';
import type { ApiDependencies, HealthView } from './dependencies.ts';
import { parse } from './edge.ts';
import { collectRoutes, refuseOtherMethods } from './routes.ts';

/** A check that hangs must not hang the probe with it. */
const HEALTH_TIMEOUT_MS = 5_000;

/** Present, with any value or none: each check says why. */
const querySchema = z.object({ verbose: z.string().optional() });

type HealthDependencies = Pick<ApiDependencies, 'clock' | 'health' | 'log' | 'metrics'>;

/** Registers /livez, /readyz, /metrics and /api/v1/health. */
export function openHealth(scope: FastifyInstance, dependencies: HealthDependencies): void {
  const { metrics } = dependencies;
  const routes = collectRoutes(scope);

  scope.get('/livez', { exposeHeadRoute: true }, (_request, reply) => reply.send({ status: 'ok' }));

  const ready = async (request: FastifyRequest, reply: FastifyReply) => {
    const { healthy, checks } = await askHealth(dependencies);
    const { verbose } = parse(querySchema, request.query, 'the query');
    return reply.code(healthy ? 200 : 503).send({
      status: healthy ? 'ok' : 'unavailable',
      checks: checks.map((check) => ({
        name: check.name,
        status: check.healthy ? 'ok' : 'failed',
        ...(verbose !== undefined && { message: check.message ?? 'ok' }),
      })),
    });
  };
  scope.get('/readyz', { exposeHeadRoute: true }, ready);
  scope.get('/api/v1/health', { exposeHeadRoute: true }, ready);

  scope.get('/metrics', async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  );

  refuseOtherMethods(scope, routes);
}

/** A health check that fails or hangs is itself an unhealthy check, never an error of the probe. */
async function askHealth({ clock, health, log }: HealthDependencies): Promise<HealthView> {
  const answered = new AbortController();
  const hung = sleep(clock, HEALTH_TIMEOUT_MS, answered.signal).then(() =>
    failedView('did not answer in time'),
  );
  const asked = health().catch((error: unknown) => {
    log.error({ err: error }, 'cannot ask for health');
    return failedView('cannot be asked');
  });
  try {
    return await Promise.race([asked, hung]);
  } finally {
    answered.abort();
  }
}

function failedView(message: string): HealthView {
  return { healthy: false, checks: [{ name: 'health', healthy: false, message }] };
}
