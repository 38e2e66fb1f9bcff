/**
 * How are the doors hung? The listener for people, scripts and dashboards: both doors and the probes, errors in
 * each door's own shape. It listens to nothing yet: the daemon calls `listen`, tests call `inject`.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ApiDependencies } from './dependencies.ts';
import type { ApiError } from './errors.ts';
import { openHealth } from './health.ts';
import { openKubernetesDoor } from './kubernetes/door.ts';
import { sendStatus } from './kubernetes/status.ts';
import { openRestDoor } from './rest/door.ts';
import { sendProblem } from './rest/problem.ts';
import { createServer, type ServerParts } from './server.ts';

/** The API of Landlord, ready to listen. Closing it ends all streams and connections. */
export function createApi(dependencies: ApiDependencies): FastifyInstance {
  const doors: ServerParts['doors'] = [
    (scope, streams) => openKubernetesDoor(scope, { ...dependencies, streams }),
    (scope, streams) => openRestDoor(scope, { ...dependencies, streams }),
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
