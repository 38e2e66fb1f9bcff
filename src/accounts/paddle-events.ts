/**
 * What does Paddle tell us, as it stands on the wire? Only what a decision needs is read; everything else of a
 * notification is kept as it came. https://developer.paddle.com/webhooks/overview
 */
import { z } from 'zod';

/** Paddle's own words, which the CLI knows as a closed list: `canceled` has one l. */
export const SUBSCRIPTION_STATUSES = ['active', 'trialing', 'past_due', 'paused', 'canceled'] as const;
export type SubscriptionStatus = (typeof SUBSCRIPTION_STATUSES)[number];

const id = z.string().min(1).max(128);
const time = z.iso.datetime({ offset: true });
const items = z.array(z.object({ price: z.object({ id }) })).min(1);

const subscriptionSchema = z.object({
  id,
  status: z.enum(SUBSCRIPTION_STATUSES),
  customer_id: id,
  items,
  current_billing_period: z.object({ starts_at: time, ends_at: time }).nullish(),
  scheduled_change: z.object({ action: z.string(), effective_at: time }).nullish(),
});

const transactionSchema = z.object({
  id,
  customer_id: id,
  subscription_id: id,
  items,
});

/** What any notification has. */
export const notificationSchema = z.object({
  event_id: id,
  event_type: z.string().min(1).max(128),
  occurred_at: time,
  data: z.looseObject({ id: id.optional(), subscription_id: id.nullish() }),
});

export type Notification = z.infer<typeof notificationSchema>;

/** A notification as it counts for one subscription. */
export type SubscriptionEvent = {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly occurredAt: number;
} & (
  | { readonly kind: 'paid'; readonly transaction: z.infer<typeof transactionSchema> }
  | { readonly kind: 'subscription'; readonly subscription: z.infer<typeof subscriptionSchema> }
);

const PAID = 'transaction.completed';

/** The subscription that something follows for, or undefined when nothing follows from the notification. */
export function subscriptionOf({ event_type: type, data }: Notification): string | undefined {
  if (type === PAID) return data.subscription_id ?? undefined;
  return type.startsWith('subscription.') ? data.id : undefined;
}

/** Reads a notification that has a subscription. Throws ZodError when Paddle says something that we do not know. */
export function readSubscriptionEvent(notification: Notification): SubscriptionEvent {
  const { event_id, event_type, occurred_at, data } = notification;
  const head = { id: event_id, occurredAt: Date.parse(occurred_at) };
  return event_type === PAID
    ? { ...head, kind: 'paid', transaction: transactionSchema.parse(data) }
    : { ...head, kind: 'subscription', subscription: subscriptionSchema.parse(data) };
}
