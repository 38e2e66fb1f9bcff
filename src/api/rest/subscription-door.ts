/**
 * What pays for a tenant? To read the subscription, to order one for a tenant that has none that is good, and to
 * cancel it at the end of what is paid. None of them changes the tenant: that follows from what Paddle tells.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { isGood, standingOf } from '../../accounts/standing.ts';
import type { Subscription } from '../../accounts/subscriptions.ts';
import { openDoor, type DoorParts } from '../door.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import { checkoutAnswerSchema, subscribeSchema, subscriptionAnswerSchema } from './account-schemas.ts';
import { billingFailure, ORDER_ERRORS, placeOrder } from './checkout-door.ts';
import { TAG } from './plans-door.ts';
import { verbSchema } from './requests.ts';
import { billingOf } from './webhook-door.ts';

export type SubscriptionDependencies = DoorParts;

const SUBSCRIPTION = '/api/v1/tenants/:id/subscription';
const detailSchema = z.object({ detail: z.enum(['0', '1']).optional() });

export function openSubscriptionDoor(scope: FastifyInstance, dependencies: SubscriptionDependencies): void {
  openDoor(scope, dependencies, {
    declare(routes) {
      subscriptionRoutes(routes, dependencies);
      cancelRoute(routes, dependencies);
    },
  });
}

function subscriptionRoutes(routes: Routes, dependencies: SubscriptionDependencies): void {
  const { accounts } = dependencies;
  routes.add(
    {
      method: 'GET',
      path: SUBSCRIPTION,
      summary: 'The subscription that pays for the tenant',
      tag: TAG,
      access: 'owner',
      answers: { 200: subscriptionAnswerSchema },
      errors: ['subscription_not_found'],
    },
    async ({ tenant: { metadata } }) =>
      describe(dependencies, await subscriptionOf(dependencies, metadata.uid)),
  );
  routes.add(
    {
      method: 'POST',
      path: SUBSCRIPTION,
      summary: 'Order a subscription for a tenant that has none that is good',
      tag: TAG,
      access: 'owner',
      body: subscribeSchema,
      answers: { 200: checkoutAnswerSchema },
      errors: ['already_subscribed', ...ORDER_ERRORS],
    },
    async ({ tenant: { metadata, spec }, body: { price_id, redirect_uri }, request }) => {
      const present = await accounts.subscriptions.ofTenant(metadata.uid);
      if (present !== undefined && isGood(present.status))
        throw new ApiError(
          'already_subscribed',
          `cannot order for tenant "${metadata.uid}": subscription "${present.id}" pays for it already`,
        );
      return placeOrder(dependencies, request, {
        priceId: price_id,
        region: spec.region,
        redirectUri: redirect_uri,
        forTenant: metadata.uid,
        name: metadata.name,
      });
    },
  );
}

function cancelRoute(routes: Routes, dependencies: SubscriptionDependencies): void {
  routes.add(
    {
      method: 'POST',
      path: `${SUBSCRIPTION}/cancel`,
      summary: 'End the subscription at the end of what is paid',
      tag: TAG,
      access: 'owner',
      query: detailSchema,
      body: verbSchema,
      answers: { 200: subscriptionAnswerSchema.nullable() },
      errors: ['subscription_not_found', 'billing_refused', 'billing_disabled'],
    },
    async ({ tenant, query: { detail }, reply }) => {
      const answer = await cancel(dependencies, tenant.metadata.uid);
      // The CLI decodes the answer as nothing at all, which in JSON is null.
      return detail === '1' ? answer : reply.type('application/json').serializer(String).send('null');
    },
  );
}

type SubscriptionAnswer = z.infer<typeof subscriptionAnswerSchema>;

/** To cancel what is canceled already, or will be, is no error and asks nobody. */
async function cancel(dependencies: SubscriptionDependencies, uid: string): Promise<SubscriptionAnswer> {
  const { paddle } = billingOf(dependencies);
  const subscription = await subscriptionOf(dependencies, uid);
  if (subscription.status !== 'canceled' && subscription.cancelsAt === undefined)
    await paddle.cancel(subscription.id).catch((error: unknown) => {
      throw billingFailure(error);
    });
  return describe(dependencies, subscription);
}

async function subscriptionOf({ accounts }: SubscriptionDependencies, uid: string): Promise<Subscription> {
  const subscription = await accounts.subscriptions.ofTenant(uid);
  if (subscription !== undefined) return subscription;
  throw new ApiError(
    'subscription_not_found',
    `cannot find the subscription of tenant "${uid}": it has none`,
  );
}

async function describe(
  { accounts, clock }: SubscriptionDependencies,
  subscription: Subscription,
): Promise<SubscriptionAnswer> {
  const { planId, periodStart, periodEnd, cancelsAt } = subscription;
  const plan = planId === undefined ? undefined : await accounts.plans.find(planId);
  const standing = plan && standingOf(subscription, plan.grace, clock.now());
  return {
    data: {
      id: subscription.id,
      status: subscription.status,
      ...(planId !== undefined && { plan_id: planId }),
      price_id: subscription.priceId,
      ...(periodStart !== undefined && { current_period_start: instant(periodStart) }),
      ...(periodEnd !== undefined && { current_period_end: instant(periodEnd) }),
      ...(cancelsAt !== undefined && { cancels_at: instant(cancelsAt) }),
      ...(standing?.kind === 'grace' && { grace_until: instant(standing.until) }),
    },
  };
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}
