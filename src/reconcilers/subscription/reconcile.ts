/**
 * How does a tenant follow its subscription? One pass: compute the subscription from all that Paddle told, look at the
 * plan, the order and the tenant, plan, act. A crash anywhere leaves what the next pass finds; two passes at once, of
 * two replicas, meet at the tenant's name or at its version, and one of them looks again.
 */
import type { Checkouts } from '../../accounts/checkouts.ts';
import type { PlanBook } from '../../accounts/plans.ts';
import type { Subscription, Subscriptions } from '../../accounts/subscriptions.ts';
import type { Clock } from '../../clock.ts';
import { TerminalError, TransientError, type ReconcileResult } from '../../controller/outcome.ts';
import type { Reconcile, ReconcileContext } from '../../controller/pass.ts';
import { DatabaseError } from '../../database/errors.ts';
import {
  AlreadyExistsError,
  ConflictError,
  InvalidError,
  NotFoundError,
  type EventStore,
  type NewTenant,
  type TenantStore,
} from '../../store/store.ts';
import { SUBSCRIPTION_ANNOTATION } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { NAMESPACE, planSubscription, type Observed, type SubscriptionStep } from './plan.ts';

export interface SubscriptionReconcilerDependencies {
  readonly subscriptions: Pick<Subscriptions, 'refresh' | 'ofTenant' | 'setTenant' | 'setProblem'>;
  readonly plans: Pick<PlanBook, 'find'>;
  readonly checkouts: Pick<Checkouts, 'find'>;
  readonly store: Pick<TenantStore, 'get' | 'getByUid' | 'create' | 'update'>;
  readonly events: Pick<EventStore, 'record'>;
  readonly clock: Clock;
}

/** A look that nothing asked for, spread by ±10 %: what a lost wake-up left undone is done by then. */
const SWEEP_INTERVAL_MS = 15 * 60_000;

/** The key is the subscription's id. */
export function createSubscriptionReconciler(dependencies: SubscriptionReconcilerDependencies): Reconcile {
  return async function reconcile(id, context): Promise<ReconcileResult> {
    try {
      const subscription = await dependencies.subscriptions.refresh(id);
      if (subscription === undefined) return {};
      const observed = await observe(dependencies, subscription);
      const { step, lookAgainAt } = planSubscription(observed, dependencies.clock.now());
      context.signal.throwIfAborted();
      if (step === undefined) return { requeueAfterMs: nextLookMs(dependencies, lookAgainAt) };
      await act(dependencies, { subscription, step, context });
      return { requeueAfterMs: 0 };
    } catch (error) {
      return failed(id, error);
    }
  };
}

async function observe(
  dependencies: SubscriptionReconcilerDependencies,
  subscription: Subscription,
): Promise<Observed> {
  const { plans, checkouts, store, subscriptions } = dependencies;
  const { id, planId, checkoutId, tenantUid } = subscription;
  const [plan, checkout] = await Promise.all([
    planId === undefined ? undefined : plans.find(planId),
    checkoutId === undefined ? undefined : checkouts.find(checkoutId),
  ]);
  const known = tenantUid ?? checkout?.forTenant;
  if (known !== undefined) {
    const tenant = await store.getByUid(known);
    const decisive = tenantUid === undefined ? undefined : await subscriptions.ofTenant(tenantUid);
    return { subscription, plan, checkout, tenant, overruled: (decisive?.id ?? id) !== id };
  }
  const named = checkout && (await store.get({ namespace: NAMESPACE, name: checkout.tenantName }));
  return { subscription, plan, checkout, tenant: ownOf(named, id), overruled: false };
}

/** A tenant of the ordered name counts only when it was made for this subscription. */
function ownOf(tenant: Tenant | undefined, id: string): Tenant | undefined {
  return tenant?.metadata.annotations?.[SUBSCRIPTION_ANNOTATION] === id ? tenant : undefined;
}

async function act(
  { subscriptions, store, events }: SubscriptionReconcilerDependencies,
  turn: {
    readonly subscription: Subscription;
    readonly step: SubscriptionStep;
    readonly context: ReconcileContext;
  },
): Promise<void> {
  const { subscription, step, context } = turn;
  context.log.info({ step: step.kind }, step.why);
  switch (step.kind) {
    case 'createTenant': {
      const uid = await createTenant({ subscriptions, store }, subscription.id, step.tenant);
      return subscriptions.setTenant(subscription.id, uid);
    }
    case 'attachTenant':
      return subscriptions.setTenant(subscription.id, step.uid);
    case 'updateTenant': {
      const { metadata } = await store.update(step.update);
      await events.record(metadata.uid, step.events);
      return;
    }
    case 'reportProblem':
      return subscriptions.setProblem(subscription.id, step.problem);
    default:
      return step satisfies never;
  }
}

/** Makes the tenant, or finds that another replica was faster. What cannot be made is told to the customer as well. */
async function createTenant(
  { subscriptions, store }: Pick<SubscriptionReconcilerDependencies, 'subscriptions' | 'store'>,
  id: string,
  tenant: NewTenant,
): Promise<string> {
  try {
    return (await store.create(tenant)).metadata.uid;
  } catch (error) {
    const other = error instanceof AlreadyExistsError ? await store.get(tenant.metadata) : undefined;
    const own = ownOf(other, id);
    if (own !== undefined) return own.metadata.uid;
    if (error instanceof AlreadyExistsError || error instanceof InvalidError)
      await subscriptions.setProblem(
        id,
        `cannot provide a tenant for subscription "${id}": ${error.message}`,
      );
    throw error;
  }
}

function failed(id: string, error: unknown): ReconcileResult {
  // Somebody else wrote the tenant in between: what to do now is decided by what is there now.
  if (error instanceof ConflictError || error instanceof NotFoundError) return { requeueAfterMs: 0 };
  if (error instanceof InvalidError || error instanceof AlreadyExistsError)
    throw new TerminalError('TenantRefused', `cannot follow subscription "${id}": ${error.message}`, {
      cause: error,
      recheckAfterMs: SWEEP_INTERVAL_MS,
    });
  if (error instanceof DatabaseError && (error.kind === 'unavailable' || error.kind === 'busy'))
    throw new TransientError('DatabaseUnavailable', `cannot follow subscription "${id}": ${error.message}`, {
      cause: error,
    });
  throw error;
}

function nextLookMs({ clock }: SubscriptionReconcilerDependencies, lookAgainAt: number | undefined): number {
  const sweepMs = SWEEP_INTERVAL_MS * (0.9 + 0.2 * clock.random());
  return lookAgainAt === undefined ? sweepMs : Math.min(sweepMs, Math.max(lookAgainAt - clock.now(), 0));
}
