/**
 * What do both listeners have in common? One fastify instance each: request ids, limits, figures, an error in the
 * listener's own shape for whatever goes wrong, and streams that end before the process does.
 */
import type { ServerOptions } from 'node:https';
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
import { addManners, type MannersDependencies } from './manners.ts';
import { observeRequests } from './observability.ts';
import { createStreams, type Streams } from './streams.ts';

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

export type SendError = (error: ApiError, request: FastifyRequest, reply: FastifyReply) => void;

export interface ServerParts {
  /** Registers the routes of every door, each in a scope of its own. */
  readonly doors: readonly ((scope: FastifyInstance, streams: Streams) => void)[];
  /** Writes the body of an error; status and headers are set. */
  readonly sendError: SendError;
  /** Present: HTTPS. */
  readonly tls?: Pick<ServerOptions, 'key' | 'cert'>;
}

/** A server that is ready to listen. Closing it ends all streams and connections. */
export function createServer(
  dependencies: Pick<ApiDependencies, 'clock' | 'log' | 'metrics'> & MannersDependencies,
  { doors, sendError, tls }: ServerParts,
): FastifyInstance {
  const loggerInstance: FastifyBaseLogger = dependencies.log;
  const answerError = errorAnswer(sendError);
  const app: FastifyInstance = fastify({
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
    ...(tls && { https: tls }),
  });
  app.decorate('routeTable', new Map());
  app.decorateRequest('identity', undefined);
  app.decorateRequest('linkToken', undefined);
  app.decorateReply('streaming', false);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    answerError(new ApiError('not_found', 'cannot find this address'), request, reply),
  );
  addManners(app, dependencies);
  observeRequests(app, dependencies.metrics);

  const streams = createStreams(dependencies);
  app.addHook('preClose', () => streams.close());
  for (const open of doors)
    app.register((scope, _options, done) => {
      open(scope, streams);
      done();
    });
  return app;
}

/** Logs what is our own fault, and leaves the words to the listener. */
function errorAnswer(sendError: SendError) {
  return (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const error = toApiError(thrown);
    request.failure = error;
    const line = { err: error.cause ?? error, method: request.method, route: request.routeOptions.url };
    if (error.code === 'internal') request.log.error(line, 'request met a defect');
    if (error.code === 'unavailable') request.log.warn(line, error.message);
    reply.code(error.status).headers(error.headers);
    sendError(error, request, reply);
  };
}
