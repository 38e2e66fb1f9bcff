/**
 * Who may use which door and which of its routes, and how often? Each door runs one of these before anything else of
 * a request is read.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Authenticator, Identity } from './auth.ts';
import { ApiError } from './errors.ts';
import type { RateLimiter } from './rate-limit.ts';

/** A hook that lets in whoever the route is declared for; without a declaration, whoever has a valid token. */
export function requireIdentity(auth: Authenticator, limiter: RateLimiter) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const access = request.routeOptions.config.declaration?.access;
    if (access !== 'public')
      request.identity = await auth.authenticate(request.headers.authorization).catch((error: unknown) => {
        limiter.admitStranger(request, reply);
        throw error;
      });
    limiter.admit(request, reply);
    if (access === 'operator' && request.identity?.role !== 'operator')
      throw new ApiError('forbidden', 'cannot use this address: it is for operators only');
  };
}

/** A hook that lets in operators alone. */
export function requireOperator(auth: Authenticator) {
  return async (request: FastifyRequest): Promise<void> => {
    request.identity = await auth.authenticate(request.headers.authorization);
    if (request.identity.role !== 'operator')
      throw new ApiError('forbidden', 'cannot use the declarative API: it is for operators only');
  };
}

/** Who is calling, inside a door: the hook has seen to it that there is somebody. */
export function identityOf(request: FastifyRequest): Identity {
  if (request.identity === undefined)
    throw new Error('cannot tell who is calling: the route has no access hook');
  return request.identity;
}
