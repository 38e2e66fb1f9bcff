/** What follows from a subscription? Each case is a sentence; plans are pure, so nothing is started. */
import { describe, expect, it } from 'vitest';
import type { Checkout } from '../../../src/accounts/checkouts.ts';
import type { Plan } from '../../../src/accounts/plans.ts';
import type { Subscription } from '../../../src/accounts/subscriptions.ts';
import { planSubscription, type Observed } from '../../../src/reconcilers/subscription/plan.ts';
import { LAPSED_ANNOTATION, SUBSCRIPTION_ANNOTATION } from '../../../src/tenant/names.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { tenantWith, UID } from '../../api/tenants.ts';

const DAY_MS = 86_400_000;
const now = Date.parse('2026-03-01T00:00:00Z');

const plan: Plan = {
  id: 'pro',
  name: 'Pro',
  memoryMb: 1024,
  volumeGb: 10,
  prices: [{ id: 'pri_1', amount: 1, currency: 'USD', interval: 'month' }],
  grace: { pastDueDays: 7, pausedDays: 0, canceledDays: 3 },
};
const checkout: Checkout = {
  id: '7d444840-9dc0-11d1-b245-5ffdce74fad2',
  customer: 'ctm_1',
  priceId: 'pri_1',
  region: 'lhr',
  redirectUri: undefined,
  tenantName: 'pro-12345678',
  forTenant: undefined,
};
const subscription: Subscription = {
  id: 'sub_1',
  customer: 'ctm_1',
  planId: 'pro',
  priceId: 'pri_1',
  status: 'active',
  paid: true,
  lapsedAt: undefined,
  periodStart: undefined,
  periodEnd: undefined,
  cancelsAt: undefined,
  checkoutId: checkout.id,
  tenantUid: UID,
  problem: undefined,
};

const tenant = (parts: { spec?: object; annotations?: object; deleted?: boolean } = {}): Tenant =>
  tenantWith({
    metadata: {
      annotations: { [SUBSCRIPTION_ANNOTATION]: 'sub_1', ...parts.annotations },
      ...(parts.deleted === true && { deletionTimestamp: '2026-02-01T00:00:00Z' }),
    },
    spec: { plan: 'pro', memoryMb: 1024, volumeGb: 10, ...parts.spec },
  });

function observed(
  parts: Partial<Omit<Observed, 'subscription'>> & { subscription?: Partial<Subscription> } = {},
): Observed {
  return {
    plan,
    checkout,
    tenant: tenant(),
    overruled: false,
    ...parts,
    subscription: { ...subscription, ...parts.subscription },
  };
}

const fresh = { tenantUid: undefined };
const lapsed = { status: 'past_due', lapsedAt: now - 8 * DAY_MS } as const;

describe('nothing follows', () => {
  const cases: readonly { name: string; seen: Observed }[] = [
    { name: 'while all is as it shall be', seen: observed() },
    {
      name: 'before anything is paid',
      seen: observed({ subscription: { ...fresh, paid: false }, tenant: undefined }),
    },
    { name: 'once the owner has deleted the tenant', seen: observed({ tenant: undefined }) },
    {
      name: 'while the tenant is being deleted',
      seen: observed({ subscription: lapsed, tenant: tenant({ deleted: true }) }),
    },
    { name: 'when another subscription decides', seen: observed({ subscription: lapsed, overruled: true }) },
    {
      name: 'from a lapse while nobody knows the plan',
      seen: observed({ subscription: lapsed, plan: undefined }),
    },
    {
      name: 'when it lapsed before a tenant was made',
      seen: observed({ subscription: { ...fresh, ...lapsed }, tenant: undefined }),
    },
    {
      name: 'when its owner has suspended a tenant that lapses',
      seen: observed({ subscription: lapsed, tenant: tenant({ spec: { state: 'Suspended' } }) }),
    },
    {
      name: 'when its owner has suspended a tenant that is good',
      seen: observed({ tenant: tenant({ spec: { state: 'Suspended' } }) }),
    },
    {
      name: 'from a lapse that was answered',
      seen: observed({
        subscription: lapsed,
        tenant: tenant({ spec: { state: 'Suspended' }, annotations: { [LAPSED_ANNOTATION]: 'past_due' } }),
      }),
    },
    {
      name: 'from an owner who has scaled the tenant down',
      seen: observed({ tenant: tenant({ spec: { memoryMb: 256 } }) }),
    },
  ];
  it.each(cases)('$name', ({ seen }) => {
    expect(planSubscription(seen, now).step).toBeUndefined();
  });
});

describe('a tenant', () => {
  it('is made of the plan, in the region that was ordered', () => {
    expect(planSubscription(observed({ subscription: fresh, tenant: undefined }), now).step).toMatchObject({
      kind: 'createTenant',
      tenant: {
        metadata: {
          namespace: 'default',
          name: 'pro-12345678',
          annotations: { [SUBSCRIPTION_ANNOTATION]: 'sub_1' },
        },
        spec: { owner: 'ctm_1', plan: 'pro', region: 'lhr', memoryMb: 1024, volumeGb: 10 },
      },
    });
  });

  it('that was made already is written down', () => {
    expect(planSubscription(observed({ subscription: fresh }), now).step).toMatchObject({
      kind: 'attachTenant',
      uid: UID,
    });
  });

  it('is made while it is in its grace', () => {
    const graced = { ...fresh, status: 'past_due', lapsedAt: now - DAY_MS } as const;
    expect(planSubscription(observed({ subscription: graced, tenant: undefined }), now).step?.kind).toBe(
      'createTenant',
    );
  });

  const problems: readonly { name: string; seen: Parameters<typeof observed>[0]; says: string }[] = [
    {
      name: 'that nobody ordered here',
      seen: { checkout: undefined, tenant: undefined },
      says: 'it was not ordered here, so that nothing says where it shall run',
    },
    {
      name: 'of a price that no plan has',
      seen: { plan: undefined, tenant: undefined },
      says: 'no plan has the price "pri_1"',
    },
    {
      name: 'that was ordered for one that is gone',
      seen: { checkout: { ...checkout, forTenant: UID }, tenant: undefined },
      says: 'tenant "pro-12345678", for which it was ordered, is gone',
    },
    {
      name: 'that belongs to somebody else',
      seen: { tenant: tenant({ spec: { owner: 'ctm_other' } }) },
      says: 'tenant "shop" belongs to another customer',
    },
  ];
  it.each(problems)('$name is reported, once', ({ seen, says }) => {
    const problem = `cannot provide a tenant for subscription "sub_1": ${says}`;
    const first = planSubscription(observed({ ...seen, subscription: fresh }), now).step;
    expect(first).toMatchObject({ kind: 'reportProblem', problem });
    const again = planSubscription(observed({ ...seen, subscription: { ...fresh, problem } }), now).step;
    expect(again).toBeUndefined();
  });
});

describe('a lapse', () => {
  it('within its grace changes nothing, and is looked at when the grace ends', () => {
    const lapsedAt = now - 6 * DAY_MS;
    expect(planSubscription(observed({ subscription: { status: 'past_due', lapsedAt } }), now)).toEqual({
      step: undefined,
      lookAgainAt: now + DAY_MS,
    });
  });

  it('suspends the tenant, says why, and marks whose doing it was', () => {
    expect(planSubscription(observed({ subscription: lapsed }), now).step).toMatchObject({
      kind: 'updateTenant',
      update: {
        spec: { state: 'Suspended', memoryMb: 1024 },
        metadata: { annotations: { [LAPSED_ANNOTATION]: 'past_due', [SUBSCRIPTION_ANNOTATION]: 'sub_1' } },
      },
      events: [{ type: 'Warning', reason: 'SubscriptionLapsed' }],
    });
  });

  it('suspends again what was started by hand', () => {
    const started = tenant({ annotations: { [LAPSED_ANNOTATION]: 'past_due' } });
    expect(planSubscription(observed({ subscription: lapsed, tenant: started }), now).step).toMatchObject({
      update: { spec: { state: 'Suspended' } },
    });
  });

  it('that became another one tells the new word', () => {
    const suspended = tenant({
      spec: { state: 'Suspended' },
      annotations: { [LAPSED_ANNOTATION]: 'past_due' },
    });
    const canceled = { status: 'canceled', lapsedAt: now - 8 * DAY_MS } as const;
    expect(planSubscription(observed({ subscription: canceled, tenant: suspended }), now).step).toMatchObject(
      {
        update: { metadata: { annotations: { [LAPSED_ANNOTATION]: 'canceled' } } },
      },
    );
  });

  it('gives no new days when a past due one is canceled', () => {
    const canceled = { status: 'canceled', lapsedAt: now - 5 * DAY_MS } as const;
    expect(planSubscription(observed({ subscription: canceled }), now).step).toMatchObject({
      kind: 'updateTenant',
    });
  });
});

describe('a renewal', () => {
  it('resumes what the lapse had suspended, and takes the mark away', () => {
    const suspended = tenant({
      spec: { state: 'Suspended' },
      annotations: { [LAPSED_ANNOTATION]: 'paused' },
    });
    const { step } = planSubscription(observed({ tenant: suspended }), now);
    expect(step).toMatchObject({
      update: {
        spec: { state: 'Running' },
        metadata: { annotations: { [SUBSCRIPTION_ANNOTATION]: 'sub_1' } },
      },
      events: [{ reason: 'SubscriptionRenewed' }],
    });
    expect(JSON.stringify(step)).not.toContain(LAPSED_ANNOTATION);
  });
});

describe('another plan', () => {
  it('resizes memory both ways and the volume only upwards, in one write with a renewal', () => {
    const large = tenant({
      spec: { plan: 'huge', memoryMb: 2048, volumeGb: 50, state: 'Suspended' },
      annotations: { [LAPSED_ANNOTATION]: 'paused' },
    });
    expect(planSubscription(observed({ tenant: large }), now).step).toMatchObject({
      update: { spec: { plan: 'pro', memoryMb: 1024, volumeGb: 50, state: 'Running' } },
      events: [{ reason: 'SubscriptionRenewed' }, { reason: 'PlanChanged' }],
    });
  });

  it('waits while the tenant is suspended for a lapse', () => {
    const step = planSubscription(
      observed({ subscription: lapsed, tenant: tenant({ spec: { plan: 'free' } }) }),
      now,
    ).step;
    expect(step).toMatchObject({ update: { spec: { plan: 'free', state: 'Suspended' } } });
  });
});

describe('a plan', () => {
  it('carried out leaves nothing to do', () => {
    const start = [
      observed({ subscription: lapsed }),
      observed({
        tenant: tenant({
          spec: { plan: 'free', state: 'Suspended' },
          annotations: { [LAPSED_ANNOTATION]: 'paused', [SUBSCRIPTION_ANNOTATION]: 'sub_old' },
        }),
      }),
    ];
    for (const seen of start) {
      const { step } = planSubscription(seen, now);
      if (step?.kind !== 'updateTenant') throw new Error('not an update');
      const { metadata, spec } = step.update;
      const after = tenantWith({ metadata: { ...metadata }, spec });
      expect(planSubscription({ ...seen, tenant: after }, now).step).toBeUndefined();
    }
  });
});
