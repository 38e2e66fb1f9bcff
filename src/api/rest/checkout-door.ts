/**
 * How does a customer order, follow and end what they pay for? Orders go to Paddle, which tells where to pay; the
 * tenant comes from Paddle's word alone. The two routes of the browser on its way to the payment and back ask for no
 * token: a checkout's id cannot be guessed, and they tell nothing but where to go on.
 */
import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Billing } from '../../accounts/accounts.ts';
import type { Checkout, Order } from '../../accounts/checkouts.ts';
import { PaddleError } from '../../accounts/paddle.ts';
import type { Plan } from '../../accounts/plans.ts';
import { allowedRedirect, withParameters } from '../../accounts/redirects.ts';
import { AccountError } from '../../accounts/users.ts';
import { identityOf } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { openDoor, type DoorParts } from '../door.ts';
import { ApiError, type ErrorCode } from '../errors.ts';
import type { Routes } from '../routes.ts';
import type { Streams } from '../streams.ts';
import { checkoutAnswerSchema, checkoutSchema } from './account-schemas.ts';
import { writeCheckoutEvents } from './checkout-events.ts';
import { redirectRefused, redirectTo } from './login-door.ts';
import { paymentPage } from './payment-page.ts';
import { TAG } from './plans-door.ts';
import { billingOf } from './webhook-door.ts';

export type CheckoutDependencies = DoorParts &
  Pick<ApiDependencies, 'events' | 'subdomainSuffix'> & { readonly streams: Streams };

/** What can be wrong with an order. */
export const ORDER_ERRORS: readonly ErrorCode[] = [
  'billing_disabled',
  'billing_refused',
  'forbidden',
  'plan_limit_reached',
];
const checkoutParamsSchema = z.object({ checkout: z.string().max(64) });
const CHECKOUT = '/api/v1/checkout';
/** The CLI gives up after five minutes; people pay slower. */
const EVENTS_LIFETIME_MS = 30 * 60_000;

/** Registers what needs a token. */
export function openCheckoutDoor(scope: FastifyInstance, dependencies: CheckoutDependencies): void {
  openDoor(scope, dependencies, {
    declare(routes) {
      orderRoute(routes, dependencies);
      eventsRoute(routes, dependencies);
    },
  });
}

function orderRoute(routes: Routes, dependencies: CheckoutDependencies): void {
  routes.add(
    {
      method: 'POST',
      path: CHECKOUT,
      summary: 'Order a tenant, and learn where to pay',
      tag: TAG,
      access: 'caller',
      body: checkoutSchema,
      answers: { 200: checkoutAnswerSchema },
      errors: ORDER_ERRORS,
    },
    ({ body: { price_id, region, redirect_uri, name }, request }) => {
      const { regions } = dependencies.accounts.settings;
      if (!regions.includes(region))
        throw new ApiError(
          'invalid_request',
          `cannot read the body: region: must be one of ${regions.join(', ')}`,
        );
      const wish = { priceId: price_id, region, redirectUri: redirect_uri, forTenant: undefined };
      return placeOrder(dependencies, request, { ...wish, name: name ?? undefined });
    },
  );
}

function eventsRoute(routes: Routes, dependencies: CheckoutDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: `${CHECKOUT}/:checkout/events`,
      summary: 'How the order becomes a tenant: what has happened, then what happens',
      tag: TAG,
      access: 'caller',
      params: checkoutParamsSchema,
      answers: {},
      streams: true,
      errors: ['checkout_not_found', 'billing_disabled'],
    },
    async ({ identity: { role, customer, subject }, params, reply }) => {
      const checkout = await findCheckout(dependencies, params.checkout);
      if (role !== 'operator' && checkout.customer !== customer) throw checkoutNotFound(checkout.id);
      const options = {
        kind: 'events',
        contentType: 'text/event-stream',
        lifetimeMs: EVENTS_LIFETIME_MS,
      } as const;
      await dependencies.streams.serve(reply, { ...options, holder: subject }, (stream) =>
        writeCheckoutEvents({ ...dependencies, checkout }, stream),
      );
      return reply;
    },
  );
}

/** Registers what a browser visits on its way. */
export function openPaymentDoor(scope: FastifyInstance, dependencies: DoorParts): void {
  openDoor(scope, dependencies, { declare: (routes) => paymentRoutes(routes, dependencies) });
}

function paymentRoutes(routes: Routes, dependencies: Pick<ApiDependencies, 'accounts'>): void {
  const common = {
    method: 'GET',
    tag: TAG,
    access: 'public',
    params: checkoutParamsSchema,
    errors: ['checkout_not_found', 'billing_disabled'],
  } as const;
  routes.add(
    {
      ...common,
      path: `${CHECKOUT}/:checkout/pay`,
      summary: 'The page on which the buyer pays',
      answers: { 200: { contentType: 'text/html', description: 'For browsers.' } },
    },
    async ({ params, reply }) => {
      const { clientToken, environment } = billingOf(dependencies);
      const { id } = await findCheckout(dependencies, params.checkout);
      if (clientToken === undefined) throw checkoutNotFound(id);
      const nonce = randomBytes(16).toString('base64url');
      const returnUrl = `${dependencies.accounts.settings.publicUrl()}${CHECKOUT}/${id}/return`;
      const { html, policy } = paymentPage({ clientToken, environment, returnUrl, nonce });
      return reply.header('content-security-policy', policy).type('text/html; charset=utf-8').send(html);
    },
  );
  routes.add(
    {
      ...common,
      path: `${CHECKOUT}/:checkout/return`,
      summary: 'Where the buyer comes back to',
      answers: {
        200: { contentType: 'text/plain', description: 'There is nowhere to go on to.' },
        302: { description: 'On to where the order came from.' },
      },
    },
    async ({ params, reply }) => {
      const { id, redirectUri } = await findCheckout(dependencies, params.checkout);
      if (redirectUri === undefined)
        return reply.type('text/plain').send('Paid. You can close this window.\n');
      // Pending, and never with the tenant's id: only so does the CLI follow the events and deploy afterwards.
      const parameters = { status: 'pending', checkout_session_id: id };
      return redirectTo(reply, withParameters(new URL(redirectUri), parameters));
    },
  );
}

export interface Wish {
  readonly priceId: string;
  readonly region: string;
  readonly redirectUri: string | null | undefined;
  readonly forTenant: string | undefined;
  /** Of the tenant; the plan's name when absent. */
  readonly name: string | undefined;
}

/** Orders, and answers where to pay. Throws ApiError. */
export async function placeOrder(
  dependencies: Pick<ApiDependencies, 'accounts'>,
  request: FastifyRequest,
  wish: Wish,
): Promise<z.infer<typeof checkoutAnswerSchema>> {
  const { accounts } = dependencies;
  const billing = billingOf(dependencies);
  const plan = await accounts.plans.offeredAt(wish.priceId);
  if (plan === undefined)
    throw new ApiError(
      'invalid_request',
      'cannot read the body: price_id: is not the price of a plan on offer',
    );
  const redirect = wish.redirectUri
    ? allowedRedirect(wish.redirectUri, accounts.settings.redirectHosts)
    : undefined;
  if (wish.redirectUri && redirect === undefined) throw redirectRefused();
  try {
    const customer = await customerOf(dependencies, billing, request);
    if (wish.forTenant === undefined) await refuseTooMany(accounts, customer, plan);
    const order: Order = { ...wish, customer, redirectUri: redirect?.href, name: wish.name ?? plan.id };
    const pageUrl = (id: string): string | undefined =>
      billing.clientToken && `${accounts.settings.publicUrl()}${CHECKOUT}/${id}/pay`;
    const { checkout, checkoutUrl, transactionId } = await billing.checkouts.place(order, pageUrl);
    return { checkout_url: checkoutUrl, transaction_id: transactionId, checkout_session_id: checkout.id };
  } catch (error) {
    throw billingFailure(error);
  }
}

/** Whatever went wrong with Paddle, as an answer; everything else stays what it is. */
export function billingFailure(error: unknown): unknown {
  if (error instanceof AccountError) return new ApiError('billing_refused', error.message, { cause: error });
  if (!(error instanceof PaddleError)) return error;
  if (error.kind === 'refused') return new ApiError('billing_refused', error.message, { cause: error });
  return new ApiError('unavailable', error.message, { headers: { 'retry-after': '5' }, cause: error });
}

/** Whom the caller is billed as; Paddle makes the customer at the first order. */
async function customerOf(
  { accounts }: Pick<ApiDependencies, 'accounts'>,
  { paddle }: Billing,
  request: FastifyRequest,
): Promise<string> {
  const { customer, email, name, subject, sessionId } = identityOf(request);
  if (customer !== undefined) return customer;
  if (sessionId === undefined || email === undefined)
    throw new ApiError('forbidden', 'cannot order: this token is nobody’s login; log in with the CLI first');
  return accounts.users.setCustomer(subject, await paddle.customerOf({ email, name }));
}

async function refuseTooMany(
  { subscriptions }: ApiDependencies['accounts'],
  customer: string,
  { id, name, maxTenants = Infinity }: Plan,
): Promise<void> {
  if ((await subscriptions.countOf(customer, id)) < maxTenants) return;
  throw new ApiError(
    'plan_limit_reached',
    `cannot order: the plan "${name}" allows ${maxTenants} ${maxTenants === 1 ? 'tenant' : 'tenants'}, and you have that`,
  );
}

async function findCheckout(dependencies: Pick<ApiDependencies, 'accounts'>, id: string): Promise<Checkout> {
  const { checkouts } = billingOf(dependencies);
  const found = z.uuid().safeParse(id).success ? await checkouts.find(id.toLowerCase()) : undefined;
  if (found === undefined) throw checkoutNotFound(id);
  return found;
}

function checkoutNotFound(id: string): ApiError {
  return new ApiError('checkout_not_found', `cannot find checkout "${id}": it does not exist`);
}
