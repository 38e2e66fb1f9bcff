/**
 * How are the doors hung? The listener for people, scripts and dashboards: all doors and the probes, errors in
 * each door's own shape. It listens to nothing yet: the daemon calls `listen`, tests call `inject`.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ApiDependencies } from './dependencies.ts';
import type { ApiError } from './errors.ts';
import { openHealth } from './health.ts';
import { openKubernetesDoor } from './kubernetes/door.ts';
import { sendStatus } from './kubernetes/status.ts';
import { createRateLimiter } from './rate-limit.ts';
import { openReference } from './reference.ts';
import { openAccountDoor } from './rest/account-door.ts';
import { openCheckoutDoor, openPaymentDoor } from './rest/checkout-door.ts';
import { openRestDoor } from './rest/door.ts';
import { openLoginDoor } from './rest/login-door.ts';
import { openPlansDoor } from './rest/plans-door.ts';
import { sendProblem } from './rest/problem.ts';
import { openSubscriptionDoor } from './rest/subscription-door.ts';
import { openWebhookDoor } from './rest/webhook-door.ts';
import { createServer, type ServerParts } from './server.ts';

/** The API of Landlord, ready to listen. Closing it ends all streams and connections. */
export function createApi(given: ApiDependencies): FastifyInstance {
  // One for all doors: whoever knocks at another one is still the same caller.
  const dependencies = { ...given, limiter: createRateLimiter(given) };
  const doors: ServerParts['doors'] = [
    openReference,
    (scope, streams) => openKubernetesDoor(scope, { ...dependencies, streams }),
    (scope, streams) => openRestDoor(scope, { ...dependencies, streams }),
    (scope) => openLoginDoor(scope, dependencies),
    (scope) => openAccountDoor(scope, dependencies),
    (scope) => openPlansDoor(scope, dependencies),
    (scope, streams) => openCheckoutDoor(scope, { ...dependencies, streams }),
    (scope) => openPaymentDoor(scope, dependencies),
    (scope) => openSubscriptionDoor(scope, dependencies),
    (scope) => openWebhookDoor(scope, dependencies),
  ];
  return createServer(dependencies, {
    doors: [(scope) => openHealth(scope, dependencies), ...(dependencies.probesOnly === true ? [] : doors)],
    sendError,
  });
}

function sendError(error: ApiError, request: FastifyRequest, reply: FastifyReply): void {
  if (request.url.startsWith('/apis')) sendStatus(error, request, reply);
  else sendProblem(error, request, reply);
}
