/** Is a subscription what Paddle told last, whatever came in which order and how often? */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  readSubscriptionEvent,
  subscriptionOf,
  SUBSCRIPTION_STATUSES,
  type SubscriptionEvent,
  type SubscriptionStatus,
} from '../../src/accounts/paddle-events.ts';
import { projectSubscription } from '../../src/accounts/projection.ts';
import { isGood } from '../../src/accounts/standing.ts';

const at = (second: number): string => new Date(second * 1_000).toISOString();

function changed(
  second: number,
  status: SubscriptionStatus,
  more: { price?: string; cancelsAt?: number; id?: string } = {},
): SubscriptionEvent {
  return readSubscriptionEvent({
    event_id: more.id ?? `evt_${String(second).padStart(6, '0')}`,
    event_type: 'subscription.updated',
    occurred_at: at(second),
    data: {
      id: 'sub_1',
      status,
      customer_id: 'ctm_1',
      items: [{ price: { id: more.price ?? 'pri_1' } }],
      ...(more.cancelsAt !== undefined && {
        scheduled_change: { action: 'cancel', effective_at: at(more.cancelsAt) },
      }),
    },
  });
}

function paid(second: number, transaction: string): SubscriptionEvent {
  return readSubscriptionEvent({
    event_id: `evt_paid_${transaction}`,
    event_type: 'transaction.completed',
    occurred_at: at(second),
    data: {
      id: transaction,
      customer_id: 'ctm_1',
      subscription_id: 'sub_1',
      items: [{ price: { id: 'pri_1' } }],
    },
  });
}

const history: fc.Arbitrary<SubscriptionEvent[]> = fc
  .array(
    fc.record({
      second: fc.integer({ min: 0, max: 20 }),
      status: fc.constantFrom(...SUBSCRIPTION_STATUSES, 'paid' as const),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((entries) =>
    entries.map(({ second, status }, index) =>
      status === 'paid' ? paid(second, `txn_${index}`) : changed(second, status, { id: `evt_${index}` }),
    ),
  );

describe('a projection', () => {
  it('is the same for every order and number of deliveries', () => {
    fc.assert(
      fc.property(
        history.chain((events) =>
          fc.tuple(
            fc.constant(events),
            fc.shuffledSubarray([...events, ...events], { minLength: events.length * 2 }),
          ),
        ),
        ([events, deliveries]) => {
          expect(projectSubscription(deliveries)).toEqual(projectSubscription(events));
        },
      ),
    );
  });

  it('has a time of lapse exactly while it is not good', () => {
    fc.assert(
      fc.property(history, (events) => {
        const state = projectSubscription(events);
        expect(state?.lapsedAt === undefined).toBe(isGood(state!.status));
      }),
    );
  });

  it('of nothing is nothing', () => {
    expect(projectSubscription([])).toBeUndefined();
  });

  it('is active when nothing but a payment was told', () => {
    expect(projectSubscription([paid(1, 'txn_1')])).toMatchObject({
      status: 'active',
      priceId: 'pri_1',
      paidTransactions: ['txn_1'],
    });
  });

  it('takes no status from a payment that comes after Paddle has told one', () => {
    expect(projectSubscription([changed(1, 'paused'), paid(2, 'txn_1')])).toMatchObject({
      status: 'paused',
      lapsedAt: 1_000,
    });
  });

  it('has lapsed since it was good last, through every kind of not good', () => {
    const events = [
      changed(1, 'active'),
      changed(2, 'past_due'),
      changed(3, 'paused'),
      changed(4, 'canceled'),
    ];
    expect(projectSubscription(events)).toMatchObject({ status: 'canceled', lapsedAt: 2_000 });
  });

  it('counts a lapse anew after it was good in between', () => {
    const events = [changed(1, 'past_due'), changed(2, 'active'), changed(3, 'past_due')];
    expect(projectSubscription(events)).toMatchObject({ lapsedAt: 3_000 });
  });

  it('forgets a cancellation that was taken back', () => {
    const planned = changed(1, 'active', { cancelsAt: 9 });
    expect(projectSubscription([planned])).toMatchObject({ cancelsAt: 9_000 });
    expect(projectSubscription([planned, changed(2, 'active')])?.cancelsAt).toBeUndefined();
  });

  it('decides between two of one moment by their ids, which grow', () => {
    const [first, second] = [changed(1, 'active', { id: 'evt_1' }), changed(1, 'paused', { id: 'evt_2' })];
    expect(projectSubscription([second, first])).toMatchObject({ status: 'paused' });
  });
});

describe('the subscription of a notification', () => {
  const cases = [
    {
      name: 'a payment of a subscription',
      type: 'transaction.completed',
      data: { id: 'txn_1', subscription_id: 'sub_1' },
      want: 'sub_1',
    },
    {
      name: 'a payment of nothing recurring',
      type: 'transaction.completed',
      data: { id: 'txn_1', subscription_id: null },
      want: undefined,
    },
    {
      name: 'another word of a transaction',
      type: 'transaction.created',
      data: { id: 'txn_1', subscription_id: 'sub_1' },
      want: undefined,
    },
    {
      name: 'any word of a subscription',
      type: 'subscription.past_due',
      data: { id: 'sub_1' },
      want: 'sub_1',
    },
    { name: 'a word of something else', type: 'customer.updated', data: { id: 'ctm_1' }, want: undefined },
  ];
  it.each(cases)('is found in $name', ({ type, data, want }) => {
    const notification = { event_id: 'evt_1', event_type: type, occurred_at: at(1), data };
    expect(subscriptionOf(notification)).toBe(want);
  });
});
