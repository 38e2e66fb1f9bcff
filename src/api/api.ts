/**
 * How are the doors hung? One fastify instance with both of them, the probes, and what they share: request ids,
 * figures, errors in each door's own shape, and streams that end before the process does. It listens to nothing
 * yet: main.ts calls `listen`, tests call `inject`.
 */
import fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { Identity } from './auth.ts';
import { requestId } from './client.ts';
import type { ApiDependencies } from './dependencies.ts';
import { ApiError, toApiError } from './errors.ts';
import { openHealth } from './health.ts';
import { openKubernetesDoor } from './kubernetes/door.ts';
import { sendStatus } from './kubernetes/status.ts';
import { addManners } from './manners.ts';
import { observeRequests } from './observability.ts';
import { openRestDoor } from './rest/door.ts';
import { openReference } from './reference.ts';
import { sendProblem } from './rest/problem.ts';
import { createStreams } from './streams.ts';
import { rememberTokens } from './token-cache.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling; set by the door's first hook, absent on the probes. */
    identity: Identity | undefined;
  }
}

/** Larger than any tenant can be, small enough to hold many of them at once. */
const LARGEST_BODY_BYTES = 1_048_576;
/** A client that takes longer than this to send its request is cut off. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The API of Landlord, ready to listen. Closing it ends all streams and connections. */
export function createApi(dependencies: ApiDependencies): FastifyInstance {
  const loggerInstance: FastifyBaseLogger = dependencies.log;
  const app = fastify({
    loggerInstance,
    // One line for each request is written in observability.ts, without the path.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: LARGEST_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    trustProxy: dependencies.trustsProxy,
    genReqId: requestId,
    requestIdHeader: false,
    exposeHeadRoutes: false,
    frameworkErrors: answerError,
  });
  app.decorate('routeTable', new Map());
  app.decorateRequest('identity', undefined);
  app.decorateReply('streaming', false);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    answerError(new ApiError('not_found', 'cannot find this address'), request, reply),
  );
  addManners(app, dependencies);
  observeRequests(app, dependencies.metrics);

  const streams = createStreams(dependencies);
  app.addHook('preClose', () => streams.close());
  const auth = rememberTokens(dependencies.auth, dependencies.clock);
  const shared = { ...dependencies, auth, streams };
  for (const open of [openHealth, openReference, openKubernetesDoor, openRestDoor])
    app.register((scope, _options, done) => {
      open(scope, shared);
      done();
    });
  return app;
}

/** Renders an error in the shape of the door that was knocked at, and logs what is our own fault. */
function answerError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const error = toApiError(thrown);
  request.failure = error;
  const line = { err: error.cause ?? error, method: request.method, route: request.routeOptions.url };
  if (error.code === 'internal') request.log.error(line, 'request met a defect');
  if (error.code === 'unavailable') request.log.warn(line, error.message);
  reply.code(error.status).headers(error.headers);
  if (request.url.startsWith('/apis')) sendStatus(error, request, reply);
  else sendProblem(error, request, reply);
}
