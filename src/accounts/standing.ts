/**
 * May a subscription be served? Good, within its grace, or lapsed. One answer for everybody who asks: the API's gate
 * and the reconciler that suspends tenants. Pure.
 */
import type { SubscriptionStatus } from './paddle-events.ts';

/** How long a tenant goes on running after its subscription has stopped being good, in days. */
export interface Grace {
  readonly pastDueDays: number;
  readonly pausedDays: number;
  readonly canceledDays: number;
}

export type Standing =
  | { readonly kind: 'good' }
  /** Not good, and still served until `until` (milliseconds since the epoch). */
  | { readonly kind: 'grace'; readonly until: number }
  | { readonly kind: 'lapsed' };

const DAY_MS = 86_400_000;

/**
 * Grace counts from the moment in which the subscription stopped being good, whatever became of it later: being
 * canceled while past due gives nobody new days.
 */
export function standingOf(
  subscription: { readonly status: SubscriptionStatus; readonly lapsedAt: number | undefined },
  grace: Grace,
  nowMs: number,
): Standing {
  const { status, lapsedAt } = subscription;
  if (isGood(status) || lapsedAt === undefined) return { kind: 'good' };
  const until = lapsedAt + graceDays(status, grace) * DAY_MS;
  return nowMs < until ? { kind: 'grace', until } : { kind: 'lapsed' };
}

export function isGood(status: SubscriptionStatus): status is 'active' | 'trialing' {
  return status === 'active' || status === 'trialing';
}

function graceDays(status: Exclude<SubscriptionStatus, 'active' | 'trialing'>, grace: Grace): number {
  switch (status) {
    case 'past_due':
      return grace.pastDueDays;
    case 'paused':
      return grace.pausedDays;
    case 'canceled':
      return grace.canceledDays;
  }
}
