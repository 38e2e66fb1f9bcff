/**
 * How does somebody buy a tenant with the CLI? Pick a plan, order, pay in the browser, and come back. What the browser
 * brings back is judged in a fixed order; only `pending` leads to the events, and so to the first deploy.
 */
import { z } from 'zod';
import { listenForBrowser } from './callback.ts';
import { CliError } from './http.ts';
import type { Browser } from './login.ts';
import { followCheckout, type CheckoutEvent, type Watcher } from './provisioning.ts';
import { defaulted, i32, option } from './serde.ts';
import type { Session } from './session.ts';

const text = z.string();
const planSchema = z.object({
  id: text,
  name: text,
  paddle_price_id: text,
  memory_mb_default: defaulted(i32, 0),
  volume_gb: defaulted(i32, 0),
  max_tenants: option(i32),
});
const orderedSchema = z.object({ checkout_url: text, transaction_id: text, checkout_session_id: text });

export type Plan = z.infer<typeof planSchema>;
export type Ordered = z.infer<typeof orderedSchema>;

export async function plans({ http, asOperator }: Session): Promise<Plan[]> {
  const listed = await http.decode(
    asOperator({ method: 'GET', path: '/api/v1/checkout/plans' }),
    z.array(planSchema),
  );
  if (listed.length === 0) throw new CliError('No plans available');
  return listed;
}

export interface Purchase {
  readonly tenantId: string;
  readonly needsDeploy: boolean;
  readonly ordered: Ordered;
  readonly events: readonly CheckoutEvent[];
}

/** Orders, has the person pay, and follows what comes of it. Throws CliError. */
export async function buy(
  session: Session,
  order: { readonly priceId: string; readonly region: string },
  means: Watcher & { readonly browser: (ordered: Ordered) => ReturnType<Browser> },
): Promise<Purchase> {
  const callback = await listenForBrowser();
  try {
    const json = { price_id: order.priceId, region: order.region, redirect_uri: callback.redirectUri };
    const call = session.asOperator({ method: 'POST', path: '/api/v1/checkout', json });
    const ordered = await session.http.decode(call, orderedSchema);
    await means.browser(ordered);
    const outcome = outcomeOf(await callback.visited);
    if (outcome.kind === 'completed')
      return { tenantId: outcome.tenantId, needsDeploy: false, ordered, events: [] };
    return { ordered, ...(await followCheckout(session, outcome.checkoutId, means)) };
  } finally {
    await callback.close();
  }
}

export type Outcome =
  | { readonly kind: 'completed'; readonly tenantId: string }
  | { readonly kind: 'pending'; readonly checkoutId: string };

/** What the browser's way back means. Throws CliError. */
export function outcomeOf(query: URLSearchParams): Outcome {
  const [error, transactionId, tenantId] = ['error', 'transaction_id', 'tenant_id'].map((name) =>
    query.get(name),
  );
  const state = query.get('status');
  if (error) throw new CliError(error);
  if (transactionId && tenantId) {
    if (state === 'completed') return { kind: 'completed', tenantId };
    throw new CliError(`Checkout not completed: ${state ?? 'no status'}`);
  }
  const checkoutId = query.get('checkout_session_id');
  if (state === 'pending' && checkoutId !== null) return { kind: 'pending', checkoutId };
  throw new CliError('Checkout failed');
}
