/**
 * What can be bought here? Anybody may read the plans, under both paths that clients know; an operator may change
 * them without a restart.
 */
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { planListSchema, type Plan } from '../../accounts/plans.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { openDoor, type DoorParts } from '../door.ts';
import type { Routes } from '../routes.ts';
import { plansAnswerSchema } from './account-schemas.ts';

const PATHS = ['/api/v1/plans', '/api/v1/checkout/plans'] as const;

/** Heading of the reference for all that is about paying. */
export const TAG = 'Billing';

type PlansAnswer = z.infer<typeof plansAnswerSchema>;

export function openPlansDoor(scope: FastifyInstance, parts: DoorParts): void {
  openDoor(scope, parts, { declare: (routes) => planRoutes(routes, parts) });
}

function planRoutes(routes: Routes, { accounts }: Pick<ApiDependencies, 'accounts'>): void {
  const offered = async (): Promise<PlansAnswer> => (await accounts.plans.offered()).flatMap(planView);
  for (const path of PATHS)
    routes.add(
      {
        method: 'GET',
        path,
        summary: 'Plans on offer, one entry for each price',
        tag: TAG,
        access: 'public',
        answers: { 200: plansAnswerSchema },
      },
      offered,
    );
  routes.add(
    {
      method: 'PUT',
      path: PATHS[0],
      summary: 'Replace the plans',
      tag: TAG,
      access: 'operator',
      body: planListSchema,
      answers: { 200: plansAnswerSchema },
    },
    async ({ body }) => {
      await accounts.plans.apply(body);
      return offered();
    },
  );
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
