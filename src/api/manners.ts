/**
 * What does every answer have in common, whatever was asked? An id, headers that keep browsers from doing harm with
 * it, and a record of how it went. Other origins may read nothing unless the operator names them.
 */
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import { captureRequests } from './capture.ts';
import type { ApiDependencies } from './dependencies.ts';
import type { ApiError } from './errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What went wrong, once it has. */
    failure: ApiError | undefined;
  }
}

export type MannersDependencies = Pick<ApiDependencies, 'ledger' | 'trustsProxy' | 'corsOrigins'>;

/** Answers are JSON for programs: a browser that is led here shows nothing, runs nothing, frames nothing. */
const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};
/** Browsers obey it only on what came over TLS, so it does no harm where a proxy ends that. */
const STRICT_TRANSPORT = 'max-age=31536000';
const CORS_AGE_SECONDS = 600;
const READABLE_HEADERS = [
  'etag',
  'idempotency-replayed',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'x-request-id',
];

/** Gives the whole instance its manners. Call it before any route is registered. */
export function addManners(app: FastifyInstance, dependencies: MannersDependencies): void {
  app.decorate('declarations', []);
  app.decorateRequest('failure', undefined);
  app.decorateRequest('change', undefined);
  app.decorateRequest('noted', undefined);
  app.decorateRequest('tenantUid', undefined);
  app.decorateRequest('ticket', undefined);
  app.decorateRequest('repeated', false);
  const headers = { ...SECURITY_HEADERS, 'strict-transport-security': STRICT_TRANSPORT };
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers).header('x-request-id', request.id);
    done();
  });
  if (dependencies.corsOrigins.length > 0)
    app.register(cors, {
      origin: [...dependencies.corsOrigins],
      methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
      exposedHeaders: READABLE_HEADERS,
      maxAge: CORS_AGE_SECONDS,
      // Tokens travel in a header that scripts set themselves; cookies are not used.
      credentials: false,
    });
  captureRequests(app, dependencies);
}
