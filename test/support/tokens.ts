/** Tokens of an issuer outside that shares a secret with Landlord. */
import { SignJWT } from 'jose';
import type { Identity } from '../../src/api/auth.ts';
import type { Clock } from '../../src/clock.ts';

export async function signToken(options: {
  readonly secret: string;
  readonly issuer: string;
  readonly audience?: string;
  readonly identity: Identity;
  readonly lifetimeSeconds: number;
  readonly clock: Clock;
}): Promise<string> {
  const { subject, ...claims } = options.identity;
  const nowSeconds = Math.floor(options.clock.now() / 1000);
  const token = new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(subject)
    .setIssuer(options.issuer)
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + options.lifetimeSeconds);
  if (options.audience !== undefined) token.setAudience(options.audience);
  return token.sign(new TextEncoder().encode(options.secret));
}
