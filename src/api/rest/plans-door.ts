/**
 * What can be bought here? Anybody may read the plans, under both paths that clients know; an operator may change
 * them without a restart.
 */
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { planListSchema, type Plan } from '../../accounts/plans.ts';
import { requireOperator } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { acceptJson, parse } from '../edge.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import type { plansAnswerSchema } from './account-schemas.ts';

const PATHS = ['/api/v1/plans', '/api/v1/checkout/plans'] as const;

type PlansAnswer = z.infer<typeof plansAnswerSchema>;

export function openPlansDoor(
  scope: FastifyInstance,
  { accounts, auth }: Pick<ApiDependencies, 'accounts' | 'auth'>,
): void {
  const routes = collectRoutes(scope);
  acceptJson(scope, ['application/json']);
  for (const path of PATHS)
    scope.get(path, async (): Promise<PlansAnswer> => (await accounts.plans.offered()).flatMap(planView));

  scope.put(PATHS[0], { onRequest: requireOperator(auth) }, async (request): Promise<PlansAnswer> => {
    await accounts.plans.apply(parse(planListSchema, request.body, 'the body'));
    return (await accounts.plans.offered()).flatMap(planView);
  });
  refuseOtherMethods(scope, routes);
}

/** An entry for each price, since a price is what is bought. */
function planView(plan: Plan): PlansAnswer {
  return plan.prices.map(({ id, amount, currency, interval }) => ({
    id: plan.id,
    name: plan.prices.length === 1 ? plan.name : `${plan.name} (by the ${interval})`,
    paddle_price_id: id,
    memory_mb_default: plan.memoryMb,
    volume_gb: plan.volumeGb,
    max_tenants: plan.maxTenants ?? null,
    price: { amount, currency, interval },
  }));
}
