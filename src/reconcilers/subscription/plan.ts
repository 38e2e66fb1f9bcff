/**
 * What follows from a subscription for the tenant that it pays for? Pure: from what was observed to steps as data. A
 * paid one makes a tenant, once; a lapsed one suspends it, a renewed one resumes what it had suspended, another plan
 * resizes it. A tenant that its owner has deleted is never made again.
 */
import type { Checkout } from '../../accounts/checkouts.ts';
import type { Plan } from '../../accounts/plans.ts';
import { standingOf } from '../../accounts/standing.ts';
import type { Subscription } from '../../accounts/subscriptions.ts';
import type { NewTenant, TenantEvent, TenantUpdate } from '../../store/store.ts';
import { FINALIZER, LAPSED_ANNOTATION, SUBSCRIPTION_ANNOTATION } from '../../tenant/names.ts';
import type { Tenant, TenantSpec } from '../../tenant/schema.ts';

/** Where tenants of customers live. */
export const NAMESPACE = 'default';

export interface Observed {
  readonly subscription: Subscription;
  /** Of its price; undefined when no plan has that price. */
  readonly plan: Plan | undefined;
  /** The order that it came from; undefined when it was made in Paddle's dashboard. */
  readonly checkout: Checkout | undefined;
  /** The tenant that it pays for or, before that is written down, the one that was ordered. */
  readonly tenant: Tenant | undefined;
  /** True when another subscription decides over the tenant. */
  readonly overruled: boolean;
}

export type SubscriptionStep =
  | { readonly kind: 'createTenant'; readonly tenant: NewTenant; readonly why: string }
  /** Write down that it pays for this tenant. */
  | { readonly kind: 'attachTenant'; readonly uid: string; readonly why: string }
  | {
      readonly kind: 'updateTenant';
      readonly update: TenantUpdate;
      readonly events: readonly TenantEvent[];
      readonly why: string;
    }
  /** Tell the customer why there is no tenant. */
  | { readonly kind: 'reportProblem'; readonly problem: string; readonly why: string };

export interface SubscriptionPlan {
  /** At most one: what follows is planned after a new look. */
  readonly step: SubscriptionStep | undefined;
  /** When time alone changes something, in milliseconds since the epoch. */
  readonly lookAgainAt: number | undefined;
}

const NOTHING: SubscriptionPlan = { step: undefined, lookAgainAt: undefined };

export function planSubscription(observed: Observed, nowMs: number): SubscriptionPlan {
  const { subscription, tenant } = observed;
  if (!subscription.paid) return NOTHING;
  if (subscription.tenantUid === undefined) return { ...NOTHING, step: provision(observed, nowMs) };
  if (tenant === undefined || tenant.metadata.deletionTimestamp !== undefined) return NOTHING;
  return observed.overruled ? NOTHING : follow(observed, tenant, nowMs);
}

/** From "paid" to "there is a tenant, and it is written down". */
function provision(observed: Observed, nowMs: number): SubscriptionStep | undefined {
  const { subscription, plan, checkout, tenant } = observed;
  if (checkout === undefined)
    return problem(subscription, 'it was not ordered here, so that nothing says where it shall run');
  if (tenant !== undefined) {
    if (tenant.spec.owner !== subscription.customer)
      return problem(subscription, `tenant "${tenant.metadata.name}" belongs to another customer`);
    return {
      kind: 'attachTenant',
      uid: tenant.metadata.uid,
      why: `subscription "${subscription.id}" pays for it`,
    };
  }
  if (checkout.forTenant !== undefined)
    return problem(subscription, `tenant "${checkout.tenantName}", for which it was ordered, is gone`);
  if (plan === undefined) return problem(subscription, `no plan has the price "${subscription.priceId}"`);
  if (standingOf(subscription, plan.grace, nowMs).kind === 'lapsed') return undefined;
  return {
    kind: 'createTenant',
    tenant: newTenant(subscription, plan, checkout),
    why: `subscription "${subscription.id}" is paid`,
  };
}

function newTenant(subscription: Subscription, plan: Plan, checkout: Checkout): NewTenant {
  return {
    metadata: {
      namespace: NAMESPACE,
      name: checkout.tenantName,
      annotations: { [SUBSCRIPTION_ANNOTATION]: subscription.id },
      finalizers: [FINALIZER],
    },
    spec: {
      owner: subscription.customer,
      plan: plan.id,
      region: checkout.region,
      memoryMb: plan.memoryMb,
      volumeGb: plan.volumeGb,
    },
  };
}

function problem(subscription: Subscription, cause: string): SubscriptionStep | undefined {
  const message = `cannot provide a tenant for subscription "${subscription.id}": ${cause}`;
  if (subscription.problem === message) return undefined;
  return { kind: 'reportProblem', problem: message, why: cause };
}

/** Keeps the tenant as its subscription wants it; everything that differs is one write. */
function follow({ subscription, plan }: Observed, tenant: Tenant, nowMs: number): SubscriptionPlan {
  // Without a plan nobody has said how long the grace is; the operator is told by the sweep's log, nobody suffers.
  if (plan === undefined) return NOTHING;
  const standing = standingOf(subscription, plan.grace, nowMs);
  const changes =
    standing.kind === 'lapsed'
      ? suspension(subscription, tenant)
      : [...resumption(subscription, tenant), ...resizing(plan, tenant)];
  const lookAgainAt = standing.kind === 'grace' ? standing.until : undefined;
  const { [SUBSCRIPTION_ANNOTATION]: named } = tenant.metadata.annotations ?? {};
  const renamed =
    named === subscription.id ? [] : [{ annotations: { [SUBSCRIPTION_ANNOTATION]: subscription.id } }];
  return { step: updateOf(tenant, [...renamed, ...changes]), lookAgainAt };
}

interface TenantChange {
  readonly spec?: Partial<TenantSpec>;
  /** Undefined removes one. */
  readonly annotations?: Readonly<Record<string, string | undefined>>;
  readonly event?: TenantEvent;
}

function suspension({ id, status }: Subscription, tenant: Tenant): TenantChange[] {
  const mark = tenant.metadata.annotations?.[LAPSED_ANNOTATION];
  if (tenant.spec.state === 'Suspended' && (mark === undefined || mark === status)) return [];
  return [
    {
      spec: { state: 'Suspended' },
      annotations: { [LAPSED_ANNOTATION]: status },
      event: {
        type: 'Warning',
        reason: 'SubscriptionLapsed',
        message: `suspended, because subscription "${id}" is ${status}; data is kept, renew it to go on`,
      },
    },
  ];
}

function resumption({ id, status }: Subscription, tenant: Tenant): TenantChange[] {
  if (tenant.metadata.annotations?.[LAPSED_ANNOTATION] === undefined) return [];
  return [
    {
      spec: { state: 'Running' },
      annotations: { [LAPSED_ANNOTATION]: undefined },
      event: {
        type: 'Normal',
        reason: 'SubscriptionRenewed',
        message: `resumed, because subscription "${id}" is ${status} again`,
      },
    },
  ];
}

function resizing(plan: Plan, tenant: Tenant): TenantChange[] {
  if (tenant.spec.plan === plan.id) return [];
  return [
    {
      // A volume may grow and never shrink.
      spec: {
        plan: plan.id,
        memoryMb: plan.memoryMb,
        volumeGb: Math.max(tenant.spec.volumeGb, plan.volumeGb),
      },
      event: {
        type: 'Normal',
        reason: 'PlanChanged',
        message: `the plan is "${plan.id}" now: ${plan.memoryMb} MB of memory`,
      },
    },
  ];
}

function updateOf(tenant: Tenant, changes: readonly TenantChange[]): SubscriptionStep | undefined {
  if (changes.length === 0) return undefined;
  const annotations: Record<string, string | undefined> = { ...tenant.metadata.annotations };
  for (const change of changes) Object.assign(annotations, change.annotations);
  const kept = Object.entries(annotations).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const events = changes.flatMap(({ event }) => event ?? []);
  return {
    kind: 'updateTenant',
    update: {
      metadata: { ...tenant.metadata, annotations: Object.fromEntries(kept) },
      spec: changes.reduce<TenantSpec>((spec, change) => ({ ...spec, ...change.spec }), tenant.spec),
    },
    events,
    why:
      events.map(({ message }) => message).join('; ') || 'the subscription that pays for it is another one',
  };
}
