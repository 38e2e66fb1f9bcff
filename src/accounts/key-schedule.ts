/**
 * Which key signs now, which ones verify, and is it time for a new one? Pure: keys are only ids and times here.
 * A key is published before it signs, because whoever caches the key set learns of it late; and it stays published
 * until the last token that it signed has expired.
 */

const DAY_MS = 86_400_000;
/** How long one key signs. */
export const SIGNING_PERIOD_MS = 30 * DAY_MS;
/** How long before it signs a key is published. */
export const LEAD_MS = DAY_MS;
/** No token may live longer than this. */
export const LONGEST_TOKEN_MS = 30 * DAY_MS;

export interface KeyTimes {
  readonly kid: string;
  /** Milliseconds since the epoch. */
  readonly signsFrom: number;
}

/** The key that signs at `nowMs`: the newest whose time has come. */
export function signingKey<T extends KeyTimes>(keys: readonly T[], nowMs: number): T | undefined {
  return newest(keys.filter(({ signsFrom }) => signsFrom <= nowMs));
}

/** Keys whose tokens may still be valid, or that will sign soon. */
export function publishedKeys<T extends KeyTimes>(keys: readonly T[], nowMs: number): T[] {
  return keys.filter((key) => nowMs < retiresAt(key, keys));
}

/** When the next key must begin to sign, if it is time to make it; undefined when there is nothing to do. */
export function nextKeyFrom(keys: readonly KeyTimes[], nowMs: number): number | undefined {
  const last = newest(keys);
  if (last === undefined) return nowMs;
  const due = last.signsFrom + SIGNING_PERIOD_MS;
  if (nowMs < due - LEAD_MS) return undefined;
  // After a long sleep the due time has passed: verifiers get their lead all the same while the old key goes on.
  return Math.max(due, nowMs + LEAD_MS);
}

/** A key signs until its successor does, however late that was made. */
function retiresAt(key: KeyTimes, keys: readonly KeyTimes[]): number {
  const successors = keys.filter(({ signsFrom }) => signsFrom > key.signsFrom);
  if (successors.length === 0) return Infinity;
  return Math.min(...successors.map(({ signsFrom }) => signsFrom)) + LONGEST_TOKEN_MS;
}

function newest<T extends KeyTimes>(keys: readonly T[]): T | undefined {
  return keys.reduce<T | undefined>(
    (best, key) =>
      best === undefined ||
      key.signsFrom > best.signsFrom ||
      (key.signsFrom === best.signsFrom && key.kid > best.kid)
        ? key
        : best,
    undefined,
  );
}
