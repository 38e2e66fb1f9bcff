/**
 * What is the state of a subscription, after all that Paddle told of it? A pure fold over every notification, sorted
 * by the time at which it happened: so neither the order nor the number of deliveries can matter.
 */
import type { SubscriptionEvent, SubscriptionStatus } from './paddle-events.ts';
import { isGood } from './standing.ts';

/** All times are milliseconds since the epoch. */
export interface SubscriptionState {
  /** Paddle's customer. */
  readonly customerId: string;
  readonly priceId: string;
  readonly status: SubscriptionStatus;
  /** Transactions that were paid, oldest first. A subscription without one gives nobody a tenant. */
  readonly paidTransactions: readonly string[];
  /** Since when it has not been good without interruption. */
  readonly lapsedAt: number | undefined;
  readonly periodStart: number | undefined;
  readonly periodEnd: number | undefined;
  /** When a cancellation that was asked for takes effect. */
  readonly cancelsAt: number | undefined;
  /** Time of the newest event. */
  readonly asOf: number;
}

/** Undefined when nothing was told. Equal events count once. */
export function projectSubscription(events: readonly SubscriptionEvent[]): SubscriptionState | undefined {
  let state: SubscriptionState | undefined;
  const seen = new Set<string>();
  for (const event of [...events].sort(byTime)) {
    if (seen.has(event.id)) continue;
    seen.add(event.id);
    state = event.kind === 'paid' ? afterPayment(state, event) : afterChange(state, event);
  }
  return state;
}

/** Paddle's ids grow with time, which decides between two that happened in the same millisecond. */
function byTime(a: SubscriptionEvent, b: SubscriptionEvent): number {
  return a.occurredAt - b.occurredAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** A payment says that there is a subscription; of its status it says nothing that Paddle does not tell apart. */
function afterPayment(
  state: SubscriptionState | undefined,
  { transaction, occurredAt }: Extract<SubscriptionEvent, { kind: 'paid' }>,
): SubscriptionState {
  const before = state ?? {
    customerId: transaction.customer_id,
    priceId: firstPrice(transaction.items),
    status: 'active',
    paidTransactions: [],
    lapsedAt: undefined,
    periodStart: undefined,
    periodEnd: undefined,
    cancelsAt: undefined,
  };
  return { ...before, paidTransactions: [...before.paidTransactions, transaction.id], asOf: occurredAt };
}

function afterChange(
  state: SubscriptionState | undefined,
  { subscription, occurredAt }: Extract<SubscriptionEvent, { kind: 'subscription' }>,
): SubscriptionState {
  const { status, scheduled_change: change, current_billing_period: period } = subscription;
  return {
    customerId: subscription.customer_id,
    priceId: firstPrice(subscription.items),
    status,
    paidTransactions: state?.paidTransactions ?? [],
    lapsedAt: isGood(status) ? undefined : (state?.lapsedAt ?? occurredAt),
    periodStart: period ? Date.parse(period.starts_at) : state?.periodStart,
    periodEnd: period ? Date.parse(period.ends_at) : state?.periodEnd,
    cancelsAt: change?.action === 'cancel' ? Date.parse(change.effective_at) : undefined,
    asOf: occurredAt,
  };
}

/** A subscription of ours has one price; the schema has seen to it that there is at least one. */
function firstPrice(items: readonly { readonly price: { readonly id: string } }[]): string {
  return items[0]?.price.id ?? '';
}
