/**
 * Who may use which door? Each door runs one of these before anything else of a request is read.
 */
import type { FastifyRequest } from 'fastify';
import type { Authenticator, Identity } from './auth.ts';
import { LINK_TOKEN_PATTERN } from '../vault/links.ts';
import { ApiError } from './errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Bearer token of a credentials link, instead of an identity. Not checked yet: the route does that by using it. */
    linkToken: string | undefined;
  }
  interface FastifyContextConfig {
    /** True for a route that also takes the token of a credentials link as bearer. */
    readonly takesLinkToken?: boolean;
  }
}

/** A hook that lets in whoever has a valid token, or on some routes whoever brings that of a credentials link. */
export function requireIdentity(auth: Authenticator) {
  return async (request: FastifyRequest): Promise<void> => {
    const { authorization } = request.headers;
    const bearer = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
    if (request.routeOptions.config.takesLinkToken === true && LINK_TOKEN_PATTERN.test(bearer))
      request.linkToken = bearer;
    else request.identity = await auth.authenticate(authorization);
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
