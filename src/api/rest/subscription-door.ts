/**
 * What pays for a tenant? To read the subscription, to order one for a tenant that has none that is good, and to
 * cancel it at the end of what is paid. None of them changes the tenant: that follows from what Paddle tells.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { isGood, standingOf } from '../../accounts/standing.ts';
import type { Subscription } from '../../accounts/subscriptions.ts';
import { findTenant, requireIdentity, type GateDependencies } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { acceptJson, parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import { subscribeSchema, type subscriptionAnswerSchema } from './account-schemas.ts';
import { billingFailure, placeOrder } from './checkout-door.ts';
import { verbSchema } from './requests.ts';
import { billingOf } from './webhook-door.ts';

export type SubscriptionDependencies = GateDependencies & Pick<ApiDependencies, 'auth' | 'store'>;

const SUBSCRIPTION = '/api/v1/tenants/:id/subscription';
const detailSchema = z.object({ detail: z.enum(['0', '1']).optional() });

export function openSubscriptionDoor(scope: FastifyInstance, dependencies: SubscriptionDependencies): void {
  const { accounts } = dependencies;
  const routes = collectRoutes(scope);
  scope.addHook('onRequest', requireIdentity(dependencies.auth));
  acceptJson(scope, ['application/json']);

  scope.get(SUBSCRIPTION, async (request) => {
    const { metadata } = await findTenant(dependencies, request);
    return describe(dependencies, await subscriptionOf(dependencies, metadata.uid));
  });

  scope.post(SUBSCRIPTION, async (request) => {
    const { metadata, spec } = await findTenant(dependencies, request);
    const { price_id, redirect_uri } = parse(subscribeSchema, request.body, 'the body');
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
  });

  scope.post(`${SUBSCRIPTION}/cancel`, async (request, reply) => {
    const answer = await cancel(dependencies, request);
    const { detail } = parse(detailSchema, request.query, 'the query');
    // The CLI decodes the answer as nothing at all, which in JSON is null.
    return detail === '1' ? answer : reply.type('application/json').serializer(String).send('null');
  });

  refuseOtherMethods(scope, routes);
}

type SubscriptionAnswer = z.infer<typeof subscriptionAnswerSchema>;

/** To cancel what is canceled already, or will be, is no error and asks nobody. */
async function cancel(
  dependencies: SubscriptionDependencies,
  request: FastifyRequest,
): Promise<SubscriptionAnswer> {
  const { metadata } = await findTenant(dependencies, request);
  parse(verbSchema, request.body, 'the body');
  const { paddle } = billingOf(dependencies);
  const subscription = await subscriptionOf(dependencies, metadata.uid);
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
