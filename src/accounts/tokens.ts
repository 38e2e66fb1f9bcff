/**
 * What stands in Landlord's own tokens? Signed JSON Web Tokens whose issuer and audience are Landlord's public
 * address. A session token is what a login ends in; an access token is what one is exchanged for (RFC 8693): it
 * lives for minutes and cannot be exchanged again.
 */
import { SignJWT } from 'jose';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { LONGEST_TOKEN_MS } from './key-schedule.ts';
import { ALGORITHM, type SigningKeys } from './signing-keys.ts';

/** How long a login lasts. */
export const SESSION_LIFETIME_MS = LONGEST_TOKEN_MS;
/** The CLI fetches another one 30 seconds before the end. */
export const ACCESS_LIFETIME_SECONDS = 300;

const word = z.string().min(1).max(256);

/** What a token of ours says of its bearer: a login, of which the database knows more, or a fixed role. */
export const ownClaimsSchema = z.intersection(
  z.object({ sub: word, token_use: z.enum(['session', 'access']) }),
  z.union([
    z.object({ sid: z.uuid(), role: z.undefined().optional() }),
    z.object({ sid: z.undefined().optional(), role: z.literal('operator') }),
    z.object({ sid: z.undefined().optional(), role: z.literal('customer'), customer: word.optional() }),
  ]),
);

export type OwnClaims = z.infer<typeof ownClaimsSchema>;

/** Whom a token is for, before it says of which use it is. */
export type TokenBearer =
  | { readonly subject: string; readonly sessionId: string }
  | { readonly subject: string; readonly role: 'operator' }
  | { readonly subject: string; readonly role: 'customer'; readonly customer?: string };

export interface TokenIssuer {
  /** `expiresAt` is in milliseconds since the epoch; throws RangeError when it lies beyond the longest lifetime. */
  session(bearer: TokenBearer, expiresAt: number): Promise<string>;
  access(bearer: TokenBearer): Promise<{ readonly token: string; readonly expiresInSeconds: number }>;
}

export function createTokenIssuer(options: {
  readonly keys: Pick<SigningKeys, 'signer'>;
  /** Landlord's public address, known once it listens. */
  readonly issuer: () => string;
  readonly clock: Clock;
}): TokenIssuer {
  const { keys, issuer, clock } = options;

  async function sign(bearer: TokenBearer, use: 'session' | 'access', expiresAt: number): Promise<string> {
    const nowSeconds = Math.floor(clock.now() / 1_000);
    const { kid, key } = await keys.signer();
    return new SignJWT({ ...claimsOf(bearer), token_use: use })
      .setProtectedHeader({ alg: ALGORITHM, kid, typ: 'JWT' })
      .setSubject(bearer.subject)
      .setIssuer(issuer())
      .setAudience(issuer())
      .setIssuedAt(nowSeconds)
      .setExpirationTime(Math.floor(expiresAt / 1_000))
      .sign(key);
  }

  return {
    session(bearer, expiresAt) {
      if (expiresAt - clock.now() > LONGEST_TOKEN_MS)
        throw new RangeError('cannot issue a token: it would outlive the key that signs it');
      return sign(bearer, 'session', expiresAt);
    },
    async access(bearer) {
      const token = await sign(bearer, 'access', clock.now() + ACCESS_LIFETIME_SECONDS * 1_000);
      return { token, expiresInSeconds: ACCESS_LIFETIME_SECONDS };
    },
  };
}

function claimsOf(bearer: TokenBearer): Record<string, unknown> {
  if ('sessionId' in bearer) return { sid: bearer.sessionId };
  if (bearer.role === 'operator') return { role: bearer.role };
  return { role: bearer.role, ...(bearer.customer !== undefined && { customer: bearer.customer }) };
}
