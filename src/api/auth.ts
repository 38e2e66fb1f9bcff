/**
 * Who is calling? A JSON Web Token as bearer. Its header names a key of Landlord's own, or else it comes from the
 * issuer that the operator trusts: signed with a shared secret (HS256), or with a private key whose public half
 * stands at a JWKS address. The algorithms are pinned to the kind of key, so that a public key can never be passed
 * off as a shared secret.
 */
import {
  createRemoteJWKSet,
  decodeProtectedHeader,
  errors,
  jwtVerify,
  type JWTPayload,
  type JWTVerifyOptions,
} from 'jose';
import { z } from 'zod';
import type { Accounts } from '../accounts/accounts.ts';
import { ALGORITHM } from '../accounts/signing-keys.ts';
import { ownClaimsSchema } from '../accounts/tokens.ts';
import type { Clock } from '../clock.ts';
import { ApiError } from './errors.ts';
import { rememberVerified } from './token-cache.ts';

/**
 * An operator may do everything; anybody else sees the tenants whose `spec.owner` is their customer id, and none
 * before they have one.
 */
export interface Identity {
  readonly role: 'operator' | 'customer';
  /** The user's id in a token of Landlord's own; whatever the issuer says in any other. */
  readonly subject: string;
  /** Whom they are billed as. */
  readonly customer?: string;
  readonly email?: string;
  readonly name?: string;
  /** The login that the token stands for. */
  readonly sessionId?: string;
  /** True for a token that another one was exchanged for. */
  readonly exchanged?: boolean;
}

export interface Authenticator {
  /**
   * Reads an `Authorization` header. Throws ApiError `unauthorized` (with `WWW-Authenticate`), or `unavailable`
   * when the keys cannot be fetched: that is no fault of the caller's token.
   */
  authenticate(authorization: string | undefined): Promise<Identity>;
  /** The same for a bare token. */
  identify(token: string): Promise<Identity>;
}

/** What tokens of Landlord's own are checked with. */
export type OwnTokens = Pick<Accounts, 'keys' | 'users' | 'settings'>;

/** What tokens are checked with. */
export type TokenKey =
  { readonly kind: 'secret'; readonly secret: string } | { readonly kind: 'jwks'; readonly url: string };

/** Two clocks may differ by this much before a token counts as expired or not yet valid. */
const CLOCK_TOLERANCE_SECONDS = 5;
/** HS256 with a key shorter than its hash can be guessed faster than it should be (RFC 7518, section 3.2). */
const SHORTEST_SECRET_BYTES = 32;
const JWKS_TIMEOUT_MS = 5_000;
const PUBLIC_KEY_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

const profileClaims = { email: z.string().max(254).optional(), name: z.string().max(256).optional() };
const claimsSchema = z.discriminatedUnion('role', [
  z.object({ role: z.literal('operator'), sub: z.string().min(1).max(256), ...profileClaims }),
  z.object({
    role: z.literal('customer'),
    sub: z.string().min(1).max(256),
    customer: z.string().min(1).max(128),
    ...profileClaims,
  }),
]);

/** Throws when the secret is too short or the address is not one. */
export function createAuthenticator(options: {
  /** Of the issuer outside; absent: only Landlord's own tokens count. */
  readonly key?: TokenKey | undefined;
  /** `iss` of the tokens from outside. */
  readonly issuer: string;
  /** When given, a token from outside must be meant for it. */
  readonly audience?: string;
  readonly own?: OwnTokens;
  readonly clock: Clock;
}): Authenticator {
  const { own, clock } = options;
  const verify = options.key && createVerifier(options.key);
  const checks = (): JWTVerifyOptions => ({
    requiredClaims: ['exp', 'sub'],
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    currentDate: new Date(clock.now()),
  });

  const verified = rememberVerified(clock, async (token): Promise<Verified> => {
    const kid = keyIdOf(token);
    const ownKey = kid === undefined ? undefined : await own?.keys.verifier(kid);
    if (own !== undefined && ownKey !== undefined) {
      const issuer = own.settings.publicUrl();
      const ownChecks = { ...checks(), issuer, audience: issuer, algorithms: [ALGORITHM] };
      const { payload } = await jwtVerify(token, ownKey, ownChecks).catch(refuse);
      return { payload, own };
    }
    if (verify === undefined)
      throw unauthorized('cannot authenticate: the token is not valid', 'invalid_token');
    const { issuer, audience } = options;
    const payload = await verify(token, {
      ...checks(),
      issuer,
      ...(audience !== undefined && { audience }),
    }).catch(refuse);
    return { payload };
  });

  async function identify(token: string): Promise<Identity> {
    const { payload, own: ours } = await verified(token);
    return ours === undefined ? outsideIdentity(payload) : ownIdentity(ours, payload);
  }

  return { identify, authenticate: async (authorization) => identify(bearerToken(authorization)) };
}

/** A token whose signature is right, and whose it is. */
interface Verified {
  readonly payload: JWTPayload;
  /** Present: one of Landlord's own. */
  readonly own?: OwnTokens;
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

/** The id of the key that a token claims to be signed with, before anything of it is believed. */
function keyIdOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).kid;
  } catch {
    return undefined;
  }
}

/** A login is looked up each time, so that it ends when it is ended, and a role when it is taken away. */
async function ownIdentity(own: OwnTokens, payload: JWTPayload): Promise<Identity> {
  const claims = ownClaimsSchema.safeParse(payload);
  if (!claims.success) throw unauthorized('cannot authenticate: the token is not valid', 'invalid_token');
  const { sub: subject, token_use: use } = claims.data;
  const exchanged = use === 'access' ? { exchanged: true } : {};
  if (claims.data.sid === undefined) {
    const { role } = claims.data;
    const customer = role === 'customer' ? claims.data.customer : undefined;
    return { role, subject, ...(customer !== undefined && { customer }), ...exchanged };
  }
  const user = await own.users.ofSession(claims.data.sid);
  if (user === undefined)
    throw unauthorized('cannot authenticate: the login has ended; log in again', 'invalid_token');
  return {
    role: own.settings.operators.includes(user.email) ? 'operator' : 'customer',
    subject: user.id,
    email: user.email,
    sessionId: claims.data.sid,
    ...(user.name !== undefined && { name: user.name }),
    ...(user.customer !== undefined && { customer: user.customer }),
    ...exchanged,
  };
}

function outsideIdentity(payload: JWTPayload): Identity {
  const claims = claimsSchema.safeParse(payload);
  if (!claims.success)
    throw unauthorized(
      'cannot authenticate: the token lacks the claims sub, role or customer',
      'invalid_token',
    );
  const { role, sub: subject, email, name } = claims.data;
  return {
    role,
    subject,
    ...(claims.data.role === 'customer' && { customer: claims.data.customer }),
    ...(email !== undefined && { email }),
    ...(name !== undefined && { name }),
  };
}

function refuse(error: unknown): never {
  throw refusal(error);
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
