/**
 * Must every request's token be verified anew? No: a signature that was right a moment ago still is. Verifying costs
 * more than everything else that a read does besides its query. Only the signature is remembered, and for a short time,
 * so that a key that was withdrawn does not live on here; whether a login has ended is asked each time.
 */
import type { JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';

const REMEMBER_MS = 30_000;
const MOST_TOKENS = 10_000;

/** The same verification, with a memory for what it has found right. What it refuses is looked at each time. */
export function rememberVerified<T extends { readonly payload: JWTPayload }>(
  clock: Clock,
  verify: (token: string) => Promise<T>,
): (token: string) => Promise<T> {
  const remembered = new LRUCache<string, { readonly verified: T; readonly sinceMs: number }>({
    max: MOST_TOKENS,
  });
  return async (token) => {
    const now = clock.now();
    const known = remembered.get(token);
    if (known !== undefined && isFresh(known.sinceMs, now) && now < expiryMs(known.verified))
      return known.verified;
    const verified = await verify(token);
    remembered.set(token, { verified, sinceMs: now });
    return verified;
  };
}

/** A clock that was set back makes nothing fresh. */
function isFresh(sinceMs: number, now: number): boolean {
  return now >= sinceMs && now < sinceMs + REMEMBER_MS;
}

function expiryMs({ payload }: { readonly payload: JWTPayload }): number {
  return (payload.exp ?? 0) * 1000;
}
