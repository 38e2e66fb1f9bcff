/**
 * How does somebody without a token get one? The browser login that the CLI starts, the exchange of a token for a
 * short-lived one, and the public keys with which others verify ours. Nobody is authenticated here.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { OAUTH_PATH } from '../../accounts/accounts.ts';
import { LoginUnavailable } from '../../accounts/login.ts';
import { allowedRedirect } from '../../accounts/redirects.ts';
import type { TokenBearer } from '../../accounts/tokens.ts';
import type { Identity } from '../auth.ts';
import { openDoor, type DoorParts } from '../door.ts';
import { acceptForm } from '../edge.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import {
  authorizeAnswerSchema,
  authorizeQuerySchema,
  keySetSchema,
  tokenAnswerSchema,
  tokenErrorSchema,
  tokenFormSchema,
} from './account-schemas.ts';
import { errorAnswer } from './answers.ts';

export type LoginDependencies = DoorParts;

const TAG = 'Account';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const TOKEN_TYPES = [ACCESS_TOKEN, 'urn:ietf:params:oauth:token-type:jwt'];
/** The CLI's name for itself; it sent none in its first versions. */
const CLIENT_IDS = [undefined, 'sp_web'];
/** Verifiers may keep the keys this long: a new one is published a day before it signs. */
const KEYS_MAX_AGE_SECONDS = 300;

const providerSchema = z.object({ provider: z.string().max(32) });

/** Registers login, token exchange and the key set. */
export function openLoginDoor(scope: FastifyInstance, dependencies: LoginDependencies): void {
  openDoor(scope, dependencies, {
    accept: acceptForm,
    declare(routes) {
      loginRoutes(routes, dependencies);
      tokenRoutes(routes, dependencies);
    },
  });
}

function tokenRoutes(routes: Routes, dependencies: LoginDependencies): void {
  routes.add(
    {
      method: 'POST',
      path: '/api/v1/core/oauth/token',
      summary: 'Exchange a token for a short-lived one (RFC 8693)',
      tag: TAG,
      access: 'public',
      otherBody: { contentType: 'application/x-www-form-urlencoded', schema: tokenFormSchema },
      answers: {
        200: tokenAnswerSchema,
        400: z.union([tokenErrorSchema, errorAnswer]),
        401: tokenErrorSchema,
      },
    },
    async ({ request, reply }) => {
      try {
        return await exchange(dependencies, request);
      } catch (error) {
        if (!(error instanceof OAuthError)) throw error;
        const answer: z.infer<typeof tokenErrorSchema> = {
          error: error.code,
          error_description: error.message,
        };
        return reply.code(error.code === 'invalid_client' ? 401 : 400).send(answer);
      }
    },
  );
  routes.add(
    {
      method: 'GET',
      path: '/.well-known/jwks.json',
      summary: 'Public keys with which others verify our tokens',
      tag: TAG,
      access: 'public',
      answers: { 200: keySetSchema },
    },
    async ({ reply }) =>
      reply
        .header('cache-control', `public, max-age=${KEYS_MAX_AGE_SECONDS}`)
        .send(await dependencies.accounts.keys.published()),
  );
}

function loginRoutes(routes: Routes, { accounts }: LoginDependencies): void {
  const { login, settings } = accounts;
  routes.add(
    {
      method: 'GET',
      path: `${OAUTH_PATH}/:provider`,
      summary: 'Begin a login in the browser',
      tag: TAG,
      access: 'public',
      params: providerSchema,
      query: authorizeQuerySchema,
      answers: { 200: authorizeAnswerSchema },
      errors: ['provider_not_found'],
    },
    async ({ params, query, request }): Promise<z.infer<typeof authorizeAnswerSchema>> => {
      const provider = providerOf(accounts, params.provider, request);
      const redirect = allowedRedirect(query.redirect_uri, settings.redirectHosts);
      if (redirect === undefined) throw redirectRefused();
      try {
        return { authorize_url: await login.begin(provider, redirect) };
      } catch (error) {
        if (!(error instanceof LoginUnavailable)) throw error;
        throw new ApiError('unavailable', error.message, { headers: { 'retry-after': '5' }, cause: error });
      }
    },
  );
  routes.add(
    {
      method: 'GET',
      path: `${OAUTH_PATH}/:provider/callback`,
      summary: 'Where the provider sends the browser back to',
      tag: TAG,
      access: 'public',
      params: providerSchema,
      answers: { 302: { description: 'On to where the login was begun.' } },
      errors: ['provider_not_found'],
    },
    async ({ params, request, reply }) => {
      const provider = providerOf(accounts, params.provider, request);
      const { searchParams } = new URL(request.url, settings.publicUrl());
      const target = await login.finish(provider, searchParams);
      if (target === undefined)
        throw new ApiError(
          'invalid_request',
          'cannot log in: the login is too old or not ours; start it again',
        );
      return redirectTo(reply, target);
    },
  );
}

/** The address can hold a token, so nothing may keep it or pass it on. */
export function redirectTo(reply: FastifyReply, target: string): FastifyReply {
  return reply.header('referrer-policy', 'no-referrer').redirect(target, 302);
}

export function redirectRefused(): ApiError {
  return new ApiError(
    'invalid_request',
    'cannot read the request: redirect_uri: must be http on this machine (127.0.0.1, localhost or [::1]) or a host of LANDLORD_REDIRECT_HOSTS',
  );
}

/** The name of the provider of the path, if this caller can log in with it. */
function providerOf(accounts: LoginDependencies['accounts'], name: string, request: FastifyRequest): string {
  const provider = accounts.login.provider(name);
  if (provider !== undefined && (!provider.localOnly || isLocal(request))) return name;
  throw new ApiError('provider_not_found', `cannot log in with "${name}": it is not set up here`);
}

function isLocal({ socket: { remoteAddress } }: FastifyRequest): boolean {
  return /^(127\.|::1$|::ffff:127\.)/.test(remoteAddress ?? '');
}

/** As RFC 6749, section 5.2 and RFC 8693 name it. */
class OAuthError extends Error {
  override readonly name = 'OAuthError';
  readonly code: z.infer<typeof tokenErrorSchema>['error'];

  constructor(code: OAuthError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

async function exchange(
  { accounts, auth }: LoginDependencies,
  request: FastifyRequest,
): Promise<z.infer<typeof tokenAnswerSchema>> {
  const form = tokenFormSchema.safeParse(request.body);
  if (!form.success)
    throw new OAuthError('invalid_request', 'cannot exchange a token: grant_type is missing');
  const { grant_type, subject_token, subject_token_type, resource, client_id } = form.data;
  if (grant_type !== EXCHANGE)
    throw new OAuthError(
      'unsupported_grant_type',
      `cannot exchange a token: the only grant_type is ${EXCHANGE}`,
    );
  if (!CLIENT_IDS.includes(client_id))
    throw new OAuthError('invalid_client', 'cannot exchange a token: the client is not known');
  if (subject_token === undefined || !TOKEN_TYPES.includes(subject_token_type ?? ''))
    throw new OAuthError('invalid_request', 'cannot exchange a token: subject_token or its type is missing');
  if (resource !== undefined && !isOurs(accounts.settings.publicUrl(), resource, request))
    throw new OAuthError('invalid_target', 'cannot exchange a token: the resource is not this API');
  const identity = await auth.identify(subject_token).catch((error: unknown) => {
    if (error instanceof ApiError && error.code === 'unauthorized')
      throw new OAuthError('invalid_grant', error.message.replace('authenticate', 'exchange a token'));
    throw error;
  });
  if (identity.exchanged === true)
    throw new OAuthError('invalid_grant', 'cannot exchange a token: it was exchanged already; log in again');
  const { token, expiresInSeconds } = await accounts.tokens.access(bearerOf(identity));
  return {
    access_token: token,
    issued_token_type: ACCESS_TOKEN,
    token_type: 'Bearer',
    expires_in: expiresInSeconds,
  };
}

/** By the name that we have, or by the one under which the client has just reached us. */
function isOurs(publicUrl: string, resource: string, request: FastifyRequest): boolean {
  if (!URL.canParse(resource)) return false;
  const { origin } = new URL(resource);
  return origin === new URL(publicUrl).origin || origin === `${request.protocol}://${request.host}`;
}

function bearerOf({ subject, sessionId, role, customer }: Identity): TokenBearer {
  if (sessionId !== undefined) return { subject, sessionId };
  return role === 'operator'
    ? { subject, role }
    : { subject, role, ...(customer !== undefined && { customer }) };
}
