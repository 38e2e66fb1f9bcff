/** What would the loop do now? The same observation and the same plan as in a pass, without acting on it. */
import type { Clock } from '../../clock.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { observe, type ObserveDependencies } from './observe.ts';
import { planTenant } from './plan.ts';
import { PARTS, type Plan, type Step } from './steps.ts';

/** A plan in the words of the API. */
export interface TenantPlanView {
  readonly generation: number;
  readonly converged: boolean;
  readonly steps: readonly Pick<Step, 'kind' | 'part' | 'target' | 'why' | 'needs'>[];
  readonly waits: readonly { part: string; reason: string; message: string; retryAfterMs: number }[];
  readonly problems: readonly { part: string; reason: string; message: string }[];
}

/** Observes the tenant and plans; changes nothing anywhere. */
export async function previewPlan(
  dependencies: ObserveDependencies & { readonly clock: Clock },
  tenant: Tenant,
  signal: AbortSignal,
): Promise<TenantPlanView> {
  const { settings, clock } = dependencies;
  const observedAt = clock.now();
  const observed = await observe(dependencies, tenant, signal);
  return viewOf(tenant, planTenant({ tenant, observed, settings, now: clock.now(), observedAt }));
}

function viewOf(tenant: Tenant, plan: Plan): TenantPlanView {
  return {
    generation: tenant.metadata.generation,
    converged: plan.converged,
    steps: plan.steps.map(({ kind, part, target, why, needs }) => ({ kind, part, target, why, needs })),
    waits: PARTS.flatMap((part) => {
      const wait = plan.parts[part].wait;
      if (wait === undefined) return [];
      return [{ part, reason: wait.reason, message: wait.message, retryAfterMs: wait.retryAfterMs }];
    }),
    problems: PARTS.flatMap((part) => {
      const problem = plan.parts[part].problem;
      return problem === undefined ? [] : [{ part, ...problem }];
    }),
  };
}
