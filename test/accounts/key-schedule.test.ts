/** Does every token verify until it expires, whenever keys change? Over years, with sleeps of any length. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  LEAD_MS,
  LONGEST_TOKEN_MS,
  nextKeyFrom,
  publishedKeys,
  signingKey,
  SIGNING_PERIOD_MS,
  type KeyTimes,
} from '../../src/accounts/key-schedule.ts';

const DAY_MS = 86_400_000;

/** What a daemon has done after it was asked at each of these times. */
function run(times: readonly number[]): KeyTimes[] {
  const keys: KeyTimes[] = [];
  for (const now of times) {
    const signsFrom = nextKeyFrom(keys, now);
    if (signsFrom !== undefined) keys.push({ kid: `k${keys.length}`, signsFrom });
  }
  return keys;
}

/** Ever later times, up to three months apart. */
const visits = fc
  .array(fc.integer({ min: 1, max: 90 * DAY_MS }), { minLength: 1, maxLength: 60 })
  .map((gaps) => gaps.reduce<number[]>((times, gap) => [...times, (times.at(-1) ?? 0) + gap], []));

describe('the schedule of signing keys', () => {
  it('makes the first key at once, and one a month for a daemon that is always there', () => {
    const days = Array.from({ length: 365 }, (_unused, day) => day * DAY_MS);
    expect(run(days).map(({ signsFrom }) => signsFrom / DAY_MS)).toEqual(
      Array.from({ length: 13 }, (_unused, month) => month * 30),
    );
    expect(SIGNING_PERIOD_MS).toBe(30 * DAY_MS);
  });

  it('always has a key to sign with, and publishes it as long as its last token lives', () => {
    fc.assert(
      fc.property(visits, fc.integer({ min: 0, max: LONGEST_TOKEN_MS - 1 }), (times, ageMs) => {
        times.forEach((now, visit) => {
          const signer = signingKey(run(times.slice(0, visit + 1)), now);
          expect(signer).toBeDefined();
          // Whatever is made until then, a token that was signed now still verifies.
          const later = run([...times.filter((time) => time <= now + ageMs)]);
          expect(publishedKeys(later, now + ageMs)).toContainEqual(signer);
        });
      }),
    );
  });

  it('publishes every key but the first for its lead before it signs', () => {
    fc.assert(
      fc.property(visits, (times) => {
        times.forEach((now, visit) => {
          const before = run(times.slice(0, visit));
          const [made] = run(times.slice(0, visit + 1)).slice(before.length);
          if (made !== undefined && before.length > 0)
            expect(made.signsFrom - now).toBeGreaterThanOrEqual(LEAD_MS);
        });
      }),
    );
  });

  it('lets old keys go', () => {
    const keys = run(Array.from({ length: 365 }, (_unused, day) => day * DAY_MS));
    expect(publishedKeys(keys, 365 * DAY_MS).length).toBeLessThanOrEqual(3);
  });
});
