/**
 * How does a buyer see the tenant being built? The browser comes back from the payment before or after Paddle's word
 * of it reaches us, so every subscriber first waits for the tenant and is then told its whole history: what happened
 * before it looked, and what happens.
 */
import { encode, encodeComment } from 'eventsource-encoder';
import type { Checkout } from '../../accounts/checkouts.ts';
import type { Subscription } from '../../accounts/subscriptions.ts';
import { sleep } from '../../clock.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { Stream } from '../streams.ts';
import { PROVISIONING_FAILED } from './event-names.ts';
import { HEARTBEAT_MS, writeEvents } from './events.ts';

/** The table of subscriptions is looked at this often while nothing is paid: one row by its index. */
const LOOK_INTERVAL_MS = 1_000;

export type CheckoutStream = Pick<
  ApiDependencies,
  'accounts' | 'store' | 'events' | 'clock' | 'subdomainSuffix'
> & { readonly checkout: Checkout };

/** Writes until the infrastructure stands, provisioning fails for good, or the stream is over. */
export async function writeCheckoutEvents(request: CheckoutStream, stream: Stream): Promise<void> {
  const { checkout, store } = request;
  const extra = { checkout_session_id: checkout.id, tenant_name: checkout.tenantName };
  const subscription = await settled(request, stream);
  if (subscription === undefined) return;
  const tenant =
    subscription.tenantUid === undefined ? undefined : await store.getByUid(subscription.tenantUid);
  const payload = { ...extra, tenant_id: subscription.tenantUid ?? '' };
  if (tenant === undefined) {
    const message = subscription.problem ?? 'the tenant was deleted';
    const failed = { ...payload, event_type: PROVISIONING_FAILED, status: 'failed', message };
    await stream.write(encode({ event: 'provisioning', data: JSON.stringify(failed) }));
    return;
  }
  const created = {
    ...payload,
    event_type: 'subscription_created',
    status: 'pending',
    message: 'the payment has arrived',
  };
  await stream.write(encode({ event: 'provisioning', data: JSON.stringify(created) }));
  await writeEvents({ ...request, tenant, afterId: 0, follow: false, extra }, stream);
}

/** The subscription once it is known what came of it; undefined when the stream ends before. */
async function settled(
  { accounts, checkout, clock }: CheckoutStream,
  stream: Stream,
): Promise<Subscription | undefined> {
  for (let waitedMs = LOOK_INTERVAL_MS; ; waitedMs += LOOK_INTERVAL_MS) {
    const subscription = await accounts.subscriptions.ofCheckout(checkout.id);
    if (subscription?.tenantUid !== undefined || subscription?.problem !== undefined) return subscription;
    await sleep(clock, LOOK_INTERVAL_MS, stream.signal);
    if (stream.signal.aborted) return undefined;
    if (waitedMs % HEARTBEAT_MS === 0) await stream.write(encodeComment('heartbeat'));
  }
}
