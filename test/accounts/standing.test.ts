/** Is a subscription served for as long as its plan says, and no longer? */
import { describe, expect, it } from 'vitest';
import type { SubscriptionStatus } from '../../src/accounts/paddle-events.ts';
import { standingOf } from '../../src/accounts/standing.ts';

const DAY_MS = 86_400_000;
const grace = { pastDueDays: 7, pausedDays: 0, canceledDays: 3 };
const lapsedAt = Date.parse('2026-01-01T00:00:00Z');

const cases: readonly { status: SubscriptionStatus; day: number; want: string }[] = [
  { status: 'active', day: 100, want: 'good' },
  { status: 'trialing', day: 100, want: 'good' },
  { status: 'past_due', day: 0, want: 'grace' },
  { status: 'past_due', day: 6.99, want: 'grace' },
  { status: 'past_due', day: 7, want: 'lapsed' },
  { status: 'paused', day: 0, want: 'lapsed' },
  { status: 'canceled', day: 2, want: 'grace' },
  { status: 'canceled', day: 3, want: 'lapsed' },
];

describe('standing', () => {
  it.each(cases)('of one that is $status since $day days is $want', ({ status, day, want }) => {
    expect(standingOf({ status, lapsedAt }, grace, lapsedAt + day * DAY_MS).kind).toBe(want);
  });

  it('tells until when the grace lasts', () => {
    expect(standingOf({ status: 'past_due', lapsedAt }, grace, lapsedAt)).toEqual({
      kind: 'grace',
      until: lapsedAt + 7 * DAY_MS,
    });
  });
});
