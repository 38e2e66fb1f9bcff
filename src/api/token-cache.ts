/**
 * Must every request's token be verified anew? No: one that was valid a moment ago is, unless it has expired since.
 * Verifying costs more than everything else that a read does besides its query. It is remembered for a short time
 * only, so that a key that was withdrawn does not live on here.
 */
import { decodeJwt } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import type { Authenticator, Identity } from './auth.ts';

const REMEMBER_MS = 30_000;
const MOST_TOKENS = 10_000;

interface Remembered {
  readonly identity: Identity;
  readonly untilMs: number;
}

/** The same authenticator, with a memory for what it has let in. What it refuses is asked again each time. */
export function rememberTokens(authenticator: Authenticator, clock: Clock): Authenticator {
  const remembered = new LRUCache<string, Remembered>({ max: MOST_TOKENS });
  return {
    async authenticate(authorization) {
      const now = clock.now();
      const known = authorization === undefined ? undefined : remembered.get(authorization);
      // A clock that was set back makes no token younger: nothing is valid for longer than it was remembered for.
      if (known !== undefined && now < known.untilMs && now > known.untilMs - REMEMBER_MS - 1)
        return known.identity;
      const identity = await authenticator.authenticate(authorization);
      if (authorization !== undefined)
        remembered.set(authorization, {
          identity,
          untilMs: Math.min(now + REMEMBER_MS, expiryMs(authorization)),
        });
      return identity;
    },
  };
}

/** Of a token that was verified. */
function expiryMs(authorization: string): number {
  return (decodeJwt(authorization.replace(/^\S+\s+/, '')).exp ?? 0) * 1000;
}
