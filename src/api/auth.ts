/**
 * Who is calling? A JSON Web Token as bearer, signed either with a secret that is shared with whoever issues it
 * (HS256), or with a private key whose public half stands at a JWKS address. The algorithms are pinned to the kind
 * of key, so that a public key can never be passed off as a shared secret.
 */
import { createRemoteJWKSet, errors, jwtVerify, SignJWT, type JWTPayload, type JWTVerifyOptions } from 'jose';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { ApiError } from './errors.ts';

/** An operator may do everything; a customer sees the tenants whose `spec.owner` is its own id. */
export type Identity =
  | { readonly role: 'operator'; readonly subject: string }
  | { readonly role: 'customer'; readonly subject: string; readonly customer: string };

export interface Authenticator {
  /**
   * Reads an `Authorization` header. Throws ApiError `unauthorized` (with `WWW-Authenticate`), or `unavailable`
   * when the keys cannot be fetched: that is no fault of the caller's token.
   */
  authenticate(authorization: string | undefined): Promise<Identity>;
}

/** What tokens are checked with. */
export type TokenKey =
  { readonly kind: 'secret'; readonly secret: string } | { readonly kind: 'jwks'; readonly url: string };

/** Two clocks may differ by this much before a token counts as expired or not yet valid. */
const CLOCK_TOLERANCE_SECONDS = 5;
/** HS256 with a key shorter than its hash can be guessed faster than it should be (RFC 7518, section 3.2). */
const SHORTEST_SECRET_BYTES = 32;
const JWKS_TIMEOUT_MS = 5_000;
const PUBLIC_KEY_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

const claimsSchema = z.discriminatedUnion('role', [
  z.object({ role: z.literal('operator'), sub: z.string().min(1).max(256) }),
  z.object({
    role: z.literal('customer'),
    sub: z.string().min(1).max(256),
    customer: z.string().min(1).max(128),
  }),
]);

/** Throws when the secret is too short or the address is not one. */
export function createAuthenticator(options: {
  readonly key: TokenKey;
  readonly issuer: string;
  /** When given, a token must be meant for it. */
  readonly audience?: string;
  readonly clock: Clock;
}): Authenticator {
  const verify = createVerifier(options.key);
  return {
    async authenticate(authorization) {
      const token = bearerToken(authorization);
      const payload = await verify(token, {
        issuer: options.issuer,
        ...(options.audience !== undefined && { audience: options.audience }),
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(options.clock.now()),
      }).catch((error: unknown) => {
        throw refusal(error);
      });
      return identityOf(payload);
    },
  };
}

/** Signs a token with a shared secret: the development account, and tests. */
export async function signToken(options: {
  readonly secret: string;
  readonly issuer: string;
  readonly audience?: string;
  readonly identity: Identity;
  readonly lifetimeSeconds: number;
  readonly clock: Clock;
}): Promise<string> {
  const { identity } = options;
  const nowSeconds = Math.floor(options.clock.now() / 1000);
  const token = new SignJWT({
    role: identity.role,
    ...(identity.role === 'customer' && { customer: identity.customer }),
  })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(identity.subject)
    .setIssuer(options.issuer)
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + options.lifetimeSeconds);
  if (options.audience !== undefined) token.setAudience(options.audience);
  return token.sign(secretBytes(options.secret));
}

type Verify = (token: string, checks: JWTVerifyOptions) => Promise<JWTPayload>;

function createVerifier(key: TokenKey): Verify {
  switch (key.kind) {
    case 'secret': {
      const bytes = secretBytes(key.secret);
      return async (token, checks) =>
        (await jwtVerify(token, bytes, { ...checks, algorithms: ['HS256'] })).payload;
    }
    case 'jwks': {
      const keys = createRemoteJWKSet(new URL(key.url), { timeoutDuration: JWKS_TIMEOUT_MS });
      return async (token, checks) =>
        (await jwtVerify(token, keys, { ...checks, algorithms: PUBLIC_KEY_ALGORITHMS })).payload;
    }
  }
}

function secretBytes(secret: string): Uint8Array {
  const bytes = new TextEncoder().encode(secret);
  if (bytes.length < SHORTEST_SECRET_BYTES)
    throw new Error(`cannot use JWT_SECRET: it is shorter than ${SHORTEST_SECRET_BYTES} bytes`);
  return bytes;
}

function bearerToken(authorization: string | undefined): string {
  const token = /^Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+) *$/i.exec(
    authorization ?? '',
  )?.[1];
  if (token !== undefined) return token;
  throw authorization === undefined
    ? unauthorized('cannot authenticate: there is no bearer token')
    : unauthorized('cannot authenticate: the token is not a signed JSON Web Token', 'invalid_token');
}

function identityOf(payload: JWTPayload): Identity {
  const claims = claimsSchema.safeParse(payload);
  if (!claims.success)
    throw unauthorized(
      'cannot authenticate: the token lacks the claims sub, role or customer',
      'invalid_token',
    );
  const { data } = claims;
  return data.role === 'operator'
    ? { role: data.role, subject: data.sub }
    : { role: data.role, subject: data.sub, customer: data.customer };
}

/** What is wrong with the token is told in one of two ways only: more would help whoever forges one. */
function refusal(error: unknown): ApiError {
  if (error instanceof errors.JWTExpired)
    return unauthorized('cannot authenticate: the token has expired', 'invalid_token');
  if (error instanceof errors.JOSEError && isVerdictOnToken(error))
    return unauthorized('cannot authenticate: the token is not valid', 'invalid_token');
  return new ApiError('unavailable', 'cannot authenticate: the signing keys cannot be fetched', {
    headers: { 'retry-after': '5' },
    cause: error,
  });
}

/** jose tells a token that it refuses by a code; without a verdict, the fetch of the keys failed. */
function isVerdictOnToken(error: errors.JOSEError): boolean {
  const notVerdicts = [errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code];
  return !notVerdicts.includes(error.code);
}

function unauthorized(message: string, problem?: 'invalid_token'): ApiError {
  const challenge = problem === undefined ? 'Bearer' : `Bearer error="${problem}"`;
  return new ApiError('unauthorized', message, { headers: { 'www-authenticate': challenge } });
}
