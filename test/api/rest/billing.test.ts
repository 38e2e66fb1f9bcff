/**
 * Does a payment become a tenant, once, and does the tenant follow what is paid? Over real connections, with the real
 * SDK against a Paddle that speaks the real wire.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LAPSED_ANNOTATION, SUBSCRIPTION_ANNOTATION } from '../../../src/tenant/names.ts';
import { eventually } from '../../support/eventually.ts';
import { signatureOf } from '../../support/fake-paddle.ts';
import { openHarness, type Harness } from '../harness.ts';
import {
  anyText,
  loopOf,
  openBilling,
  PLANS,
  textLike,
  type BillingHarness,
  type Placed,
} from './billing-harness.ts';

const DAY_MS = 86_400_000;

let billing: BillingHarness;
beforeAll(async () => {
  billing = await openBilling();
});
afterEach(() => {
  billing.paddle.fault = undefined;
});
afterAll(() => billing.close());

/** The tenant once it looks as wanted. */
const until = (uid: string, what: string, wanted: (tenant: Awaited<ReturnType<typeof stored>>) => boolean) =>
  eventually(
    async () => {
      const tenant = await stored(uid);
      return wanted(tenant) ? tenant : undefined;
    },
    { what, intervalMs: 10 },
  );
const stored = async (uid: string) => (await billing.harness.store.getByUid(uid))!;
const tenantsOf = async (owner: string) => (await billing.harness.store.list({ owner })).items;

describe('plans', () => {
  it('are listed bare and to anybody, one entry for each price, under both paths', async () => {
    for (const path of ['/api/v1/plans', '/api/v1/checkout/plans']) {
      const { status, body } = await billing.call<{ paddle_price_id: string }[]>('GET', path);
      expect(status).toBe(200);
      expect(body.map(({ paddle_price_id }) => paddle_price_id)).toEqual([
        'pri_free',
        'pri_month',
        'pri_year',
      ]);
      expect(body[0]).toEqual({
        id: 'free',
        name: 'Free',
        paddle_price_id: 'pri_free',
        memory_mb_default: 256,
        volume_gb: 1,
        max_tenants: 1,
        price: { amount: 0, currency: 'USD', interval: 'month' },
      });
    }
  });

  it('are changed by operators only, and what is wrong with them is told', async () => {
    const customer = await billing.logIn();
    const boss = await billing.logIn('boss@example.com');
    expect(
      (await billing.call('PUT', '/api/v1/plans', { token: customer, body: { plans: [] } })).status,
    ).toBe(403);
    const twice = { plans: [PLANS[0], PLANS[0]] };
    const refused = await billing.call('PUT', '/api/v1/plans', { token: boss, body: twice });
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('has the plan \\"free\\" twice');
    const applied = await billing.call('PUT', '/api/v1/plans', { token: boss, body: { plans: PLANS } });
    expect(applied.status).toBe(200);
  });
});

describe('an order', () => {
  it('makes a customer at Paddle once, and answers where to pay', async () => {
    const token = await billing.logIn();
    const first = await billing.order(token);
    expect(first).toMatchObject({
      status: 200,
      body: {
        checkout_url: textLike(/_ptxn=/),
        transaction_id: textLike(/^txn_/),
        checkout_session_id: textLike(/^[0-9a-f-]{36}$/),
      },
    });
    const callsBefore = billing.paddle.calls.length;
    await billing.order(token);
    expect(billing.paddle.calls.slice(callsBefore)).toEqual(['POST /transactions']);
    const me = await billing.call('GET', '/api/v1/auth/me', { token });
    expect(me.body).toMatchObject({ customer: { id: textLike(/^ctm_/) }, tenants: [] });
  });

  const refused = [
    { name: 'a price that no plan has', body: { price_id: 'pri_other' }, says: 'price_id' },
    { name: 'a region that is not offered', body: { region: 'xxx' }, says: 'region' },
    {
      name: 'a redirect to a stranger',
      body: { redirect_uri: 'https://evil.example' },
      says: 'redirect_uri',
    },
    {
      name: 'a redirect that only looks like home',
      body: { redirect_uri: 'http://127.0.0.1.evil.example/' },
      says: 'redirect_uri',
    },
    { name: 'no price', body: { price_id: undefined }, says: 'price_id' },
  ];
  it.each(refused)('is refused for $name, and Paddle hears nothing', async ({ body, says }) => {
    const token = await billing.logIn();
    const callsBefore = billing.paddle.calls.length;
    const answer = await billing.order(token, body);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain(says);
    expect(billing.paddle.calls).toHaveLength(callsBefore);
  });

  it('needs somebody who has logged in', async () => {
    expect((await billing.call('POST', '/api/v1/checkout', { body: {} })).status).toBe(401);
  });

  it('is refused when the plan allows no more tenants', async () => {
    const { token } = await billing.buy({ priceId: 'pri_free' });
    const again = await billing.order(token, { price_id: 'pri_free' });
    expect(again).toMatchObject({ status: 409, body: { error: { code: 'plan_limit_reached' } } });
    expect((await billing.order(token)).status).toBe(200);
  });

  it('is answered 503 while Paddle is away, and 503 in time when it hangs', async () => {
    const token = await billing.logIn();
    billing.paddle.fault = 'bad gateway';
    expect(await billing.order(token)).toMatchObject({
      status: 503,
      body: { error: { code: 'unavailable' } },
    });
    billing.paddle.fault = 'hang';
    const callsBefore = billing.paddle.calls.length;
    const hanging = billing.order(token);
    await eventually(() => billing.paddle.calls.length > callsBefore, { what: 'the call', intervalMs: 5 });
    await billing.harness.clock.advance(10_000);
    expect(await hanging).toMatchObject({ status: 503 });
    billing.paddle.fault = undefined;
    expect((await billing.order(token)).status).toBe(200);
  });
});

describe('an order that is sent again with its Idempotency-Key', () => {
  it('is one order, also when the first one made the buyer a customer, and never that of another buyer', async () => {
    const place = (token: string) =>
      billing.call<Placed>('POST', '/api/v1/checkout', {
        token,
        body: { price_id: 'pri_month', region: 'iad', redirect_uri: 'http://127.0.0.1:8766/callback' },
        headers: { 'idempotency-key': 'order-1' },
      });
    const [one, other] = [await billing.logIn(), await billing.logIn()];
    const first = await place(one);
    expect(first.status).toBe(200);
    expect((await place(one)).body).toEqual(first.body);
    const others = await place(other);
    expect(others.status).toBe(200);
    expect(others.body.transaction_id).not.toBe(first.body.transaction_id);
  });
});

describe('a payment', () => {
  it('becomes a tenant of the buyer, of the plan, in the region, paid for by the subscription', async () => {
    const { tenant, subscriptionId, token } = await billing.buy();
    expect(tenant.spec).toMatchObject({
      plan: 'pro',
      region: 'iad',
      memoryMb: 1024,
      volumeGb: 10,
      state: 'Running',
    });
    expect(tenant.spec.image).toBeUndefined();
    expect(tenant.metadata.name).toMatch(/^pro-[0-9a-f]{8}$/);
    expect(tenant.metadata.annotations).toEqual({ [SUBSCRIPTION_ANNOTATION]: subscriptionId });
    const { uid } = tenant.metadata;
    const me = await billing.call<{ tenants: object[] }>('GET', '/api/v1/auth/me', { token });
    expect(me.body.tenants).toEqual([
      expect.objectContaining({
        id: uid,
        subscription_id: subscriptionId,
        subscription_status: 'active',
        status: 'pending',
        region: 'iad',
        plan: { id: 'pro', name: 'Pro', memory_mb: 1024, volume_gb: 10 },
        database_url: textLike(/:\*\*\*\*\*\*\*\*@/),
      }),
    ]);
    const { body } = await billing.call('GET', `/api/v1/tenants/${uid}/subscription`, { token });
    expect(body).toMatchObject({ data: { id: subscriptionId, status: 'active', plan_id: 'pro' } });
  });

  it.each(['/webhooks/paddle', '/api/v1/webhooks/paddle'])('is heard at %s', async (path) => {
    const token = await billing.logIn();
    const { body } = await billing.order(token);
    const { notifications, subscriptionId } = billing.paddle.pay(body.transaction_id);
    for (const notification of notifications)
      expect(await billing.deliver(notification, { path })).toMatchObject({
        status: 200,
        body: { received: true, duplicate: false },
      });
    await eventually(async () => (await billing.subscription(subscriptionId))?.tenantUid, {
      what: 'the tenant',
      intervalMs: 10,
    });
  });

  it('delivered many times, in any order, makes one tenant', async () => {
    const token = await billing.logIn();
    const { body } = await billing.order(token);
    const { notifications, subscriptionId } = billing.paddle.pay(body.transaction_id);
    const deliveries = [...notifications, ...notifications].reverse();
    const answers = await Promise.all(deliveries.map((notification) => billing.deliver(notification)));
    expect(answers.map(({ status }) => status)).toEqual(deliveries.map(() => 200));
    await billing.settle(subscriptionId);
    const { customer } = await eventually(
      async () => {
        const subscription = await billing.subscription(subscriptionId);
        return subscription?.tenantUid === undefined ? undefined : subscription;
      },
      { what: 'the tenant', intervalMs: 10 },
    );
    for (const notification of notifications)
      expect((await billing.deliver(notification)).body).toEqual({ received: true, duplicate: true });
    await billing.settle(subscriptionId);
    expect(await tenantsOf(customer)).toHaveLength(1);
  });

  it('that Paddle has not told of yet makes no tenant, whatever else it tells', async () => {
    const token = await billing.logIn();
    const { body } = await billing.order(token);
    const { notifications, subscriptionId } = billing.paddle.pay(body.transaction_id);
    const [created, activated, completed] = notifications;
    await billing.deliver(created!);
    await billing.deliver(activated!);
    await billing.settle(subscriptionId);
    expect(await billing.subscription(subscriptionId)).toMatchObject({ status: 'active', paid: false });
    const { customer } = (await billing.subscription(subscriptionId))!;
    expect(await tenantsOf(customer)).toEqual([]);
    await billing.deliver(completed!);
    await eventually(async () => (await tenantsOf(customer)).length === 1, { what: 'the tenant' });
  });

  it('for an order that the buyer’s browser has made up gives nobody a tenant, and says why', async () => {
    const token = await billing.logIn();
    const { body } = await billing.order(token);
    const { notifications } = billing.paddle.pay(body.transaction_id);
    const completed = notifications[2]!;
    const forged = {
      ...completed,
      event_id: 'evt_forged',
      data: { ...completed.data, id: 'txn_of_somebody', subscription_id: 'sub_forged' },
    };
    await billing.deliver(forged);
    const { problem } = await eventually(
      async () => {
        const subscription = await billing.subscription('sub_forged');
        return subscription?.problem === undefined ? undefined : subscription;
      },
      { what: 'the problem' },
    );
    expect(problem).toBe(
      'cannot provide a tenant for subscription "sub_forged": it was not ordered here, so that nothing says where it shall run',
    );
  });
});

describe('a delivery', () => {
  const notification = {
    event_id: 'evt_refused',
    event_type: 'transaction.completed',
    occurred_at: '2026-01-01T00:00:00Z',
    data: { id: 'txn_x', subscription_id: 'sub_refused' },
  };
  const body = JSON.stringify(notification);
  const refused = [
    { name: 'with a wrong signature', signature: signatureOf(body, { secret: 'another secret' }) },
    { name: 'with a signature of another body', signature: signatureOf(`${body} `) },
    { name: 'with no readable signature', signature: 'hello' },
    { name: 'without a signature', signature: '' },
    { name: 'with a timestamp of a minute ago', signature: signatureOf(body, { atMs: Date.now() - 60_000 }) },
  ];
  it.each(refused)('$name is refused and leaves nothing', async ({ signature }) => {
    const answer = await billing.deliver(notification, { signature });
    expect(answer).toMatchObject({ status: 401, body: { error: { code: 'unauthorized' } } });
    const inbox = await billing.harness.accounts.billing!.inbox.list({ unprocessed: false, limit: 500 });
    expect(inbox.map(({ id }) => id)).not.toContain('evt_refused');
  });

  it('that is signed and no notification is refused as such', async () => {
    for (const text of ['hello', '{}', '[]']) {
      const headers = { 'paddle-signature': signatureOf(text) };
      expect((await billing.call('POST', '/webhooks/paddle', { body: text, headers })).status).toBe(400);
    }
  });

  it('of something that nothing follows from is kept and answered', async () => {
    const other = {
      ...notification,
      event_id: 'evt_other',
      event_type: 'address.created',
      data: { id: 'add_1' },
    };
    expect((await billing.deliver(other)).status).toBe(200);
    const inbox = await billing.harness.accounts.billing!.inbox.list({ unprocessed: false, limit: 500 });
    expect(inbox.find(({ id }) => id === 'evt_other')).toMatchObject({ processedAt: anyText });
  });

  it('in words that we do not know is kept, told to operators, and can be replayed', async () => {
    const boss = await billing.logIn('boss@example.com');
    const odd = {
      ...notification,
      event_id: 'evt_odd',
      event_type: 'subscription.updated',
      data: { id: 'sub_odd', status: 'sleeping' },
    };
    expect((await billing.deliver(odd)).status).toBe(200);
    const list = '/api/v1/webhooks/paddle/events';
    const seen = () =>
      eventually(
        async () => {
          const { body: page } = await billing.call<{ data: { id: string; problem?: string }[] }>(
            'GET',
            `${list}?state=unprocessed`,
            { token: boss },
          );
          return page.data.find(({ id, problem }) => id === 'evt_odd' && problem !== undefined);
        },
        { what: 'the problem to be told', intervalMs: 10 },
      );
    expect((await seen()).problem).toBe(
      'cannot read the notification: unexpected content at customer_id, items, status',
    );
    expect((await billing.call('POST', `${list}/evt_odd/replay`, { token: boss })).status).toBe(202);
    await seen();
    expect((await billing.call('POST', `${list}/evt_none/replay`, { token: boss })).status).toBe(404);
    const customer = await billing.logIn();
    expect((await billing.call('GET', list, { token: customer })).status).toBe(403);
    expect((await billing.call('POST', `${list}/evt_odd/replay`, { token: customer })).status).toBe(403);
  });
});

describe('a crash', () => {
  it('between storing and processing loses nothing and makes nothing twice', async () => {
    const dead = await openBilling({ loop: 'stopped' });
    try {
      const token = await dead.logIn();
      const { body } = await dead.order(token);
      const { notifications, subscriptionId } = dead.paddle.pay(body.transaction_id);
      for (const notification of notifications) expect((await dead.deliver(notification)).status).toBe(200);
      expect(await dead.tenants()).toEqual([]);
      expect(await dead.subscription(subscriptionId)).toBeUndefined();
      dead.loop.start();
      await eventually(async () => (await dead.subscription(subscriptionId))?.tenantUid, {
        what: 'the tenant',
      });
      expect(await dead.tenants()).toHaveLength(1);
    } finally {
      await dead.close();
    }
  });

  it('between making the tenant and writing it down finds the tenant again', async () => {
    const { subscriptionId, tenant } = await billing.buy();
    await billing.harness.database.db
      .withTables<{ subscriptions: { id: string; tenant_uid: string | null } }>()
      .updateTable('subscriptions')
      .set({ tenant_uid: null })
      .where('id', '=', subscriptionId)
      .execute();
    const revived = loopOf(billing.harness);
    revived.start();
    try {
      const uid = await eventually(async () => (await billing.subscription(subscriptionId))?.tenantUid, {
        what: 'the tenant to be found',
      });
      expect(uid).toBe(tenant.metadata.uid);
      expect(await tenantsOf(tenant.spec.owner)).toHaveLength(1);
    } finally {
      await revived.stop(5_000);
    }
  });

  it('of none of two loops at once makes a second tenant', async () => {
    const other = loopOf(billing.harness);
    other.start();
    try {
      const bought = [];
      for (let count = 0; count < 5; count += 1) bought.push(await billing.buy());
      for (const { subscriptionId } of bought) await billing.settle(subscriptionId);
      for (const { tenant } of bought) expect(await tenantsOf(tenant.spec.owner)).toHaveLength(1);
    } finally {
      await other.stop(5_000);
    }
  });
});

describe('a subscription that lapses', () => {
  it('is served through its grace, then suspends its tenant and says why; renewed, it resumes it', async () => {
    const { tenant, subscriptionId, token } = await billing.buy();
    const { uid } = tenant.metadata;
    const at = `/api/v1/tenants/${uid}`;
    billing.paddle.pass(billing.harness.clock.now() - Date.parse('2026-01-01T00:00:00Z'));
    await billing.deliver(billing.paddle.change(subscriptionId, { status: 'past_due' }));
    await billing.settle(subscriptionId);
    expect((await stored(uid)).spec.state).toBe('Running');
    const graced = await billing.call('GET', `${at}/subscription`, { token });
    expect(graced.body).toMatchObject({ data: { status: 'past_due', grace_until: anyText } });
    expect((await billing.call('POST', `${at}/activate`, { token })).status).toBe(202);

    // The wall jumps; then minutes pass, so that a look that nobody asked for comes round.
    billing.harness.clock.step(7 * DAY_MS);
    const suspended = await eventually(
      async () => {
        await billing.harness.clock.advance(60_000);
        const seen = await stored(uid);
        return seen.spec.state === 'Suspended' ? seen : undefined;
      },
      { what: 'the suspension', intervalMs: 100 },
    );
    expect(suspended.metadata.annotations?.[LAPSED_ANNOTATION]).toBe('past_due');
    const events = await eventually(
      async () => {
        const list = await billing.harness.events.list(uid);
        return list.length > 0 ? list : undefined;
      },
      { what: 'the event' },
    );
    expect(events.at(-1)).toMatchObject({ type: 'Warning', reason: 'SubscriptionLapsed' });

    const gated = { status: 402, body: { error: { code: 'subscription_inactive' } } };
    expect(await billing.call('POST', `${at}/activate`, { token })).toMatchObject(gated);
    expect(await billing.call('PATCH', at, { token, body: { status: 'active' } })).toMatchObject(gated);
    expect(await billing.call('POST', `${at}/deploy`, { token, body: { image: 'x' } })).toMatchObject(gated);
    expect(await billing.call('GET', `${at}/registry-token`, { token })).toMatchObject(gated);
    expect(await billing.call('POST', `${at}/rollback`, { token })).toMatchObject(gated);
    expect((await billing.call('GET', at, { token })).status).toBe(200);

    await billing.deliver(billing.paddle.change(subscriptionId, { status: 'active' }));
    const resumed = await until(uid, 'the resumption', ({ spec }) => spec.state === 'Running');
    expect(resumed.metadata.annotations).toEqual({ [SUBSCRIPTION_ANNOTATION]: subscriptionId });
  });

  it('by a pause without grace suspends at once, and resumes when it is resumed', async () => {
    const { tenant, subscriptionId } = await billing.buy();
    await billing.deliver(billing.paddle.change(subscriptionId, { status: 'paused' }));
    await until(tenant.metadata.uid, 'the suspension', ({ spec }) => spec.state === 'Suspended');
    await billing.deliver(billing.paddle.change(subscriptionId, { status: 'active' }));
    await until(tenant.metadata.uid, 'the resumption', ({ spec }) => spec.state === 'Running');
  });

  it('leaves a tenant that its owner suspended as it is, through lapse and renewal', async () => {
    const { tenant, subscriptionId, token } = await billing.buy();
    const { uid } = tenant.metadata;
    expect((await billing.call('POST', `/api/v1/tenants/${uid}/suspend`, { token })).status).toBe(202);
    await billing.deliver(billing.paddle.change(subscriptionId, { status: 'paused' }));
    await billing.deliver(billing.paddle.change(subscriptionId, { status: 'active' }));
    await billing.settle(subscriptionId);
    expect((await stored(uid)).spec.state).toBe('Suspended');
  });

  it('told of in the wrong order ends where the newest word says', async () => {
    const { tenant, subscriptionId } = await billing.buy();
    const paused = billing.paddle.change(subscriptionId, { status: 'paused' });
    const active = billing.paddle.change(subscriptionId, { status: 'active' });
    await billing.deliver(active);
    await billing.settle(subscriptionId);
    await billing.deliver(paused);
    await billing.settle(subscriptionId);
    expect(await billing.subscription(subscriptionId)).toMatchObject({ status: 'active' });
    expect((await stored(tenant.metadata.uid)).spec.state).toBe('Running');
  });
});

describe('another plan', () => {
  it('resizes the tenant, and its volume only upwards', async () => {
    const { tenant, subscriptionId } = await billing.buy();
    await billing.deliver(billing.paddle.change(subscriptionId, { priceId: 'pri_free' }));
    const small = await until(tenant.metadata.uid, 'the new plan', ({ spec }) => spec.plan === 'free');
    expect(small.spec).toMatchObject({ memoryMb: 256, volumeGb: 10 });
  });

  it('bounds what its owner may scale to', async () => {
    const { tenant, token } = await billing.buy({ priceId: 'pri_free' });
    const scale = (memory_mb: number) =>
      billing.call('PATCH', `/api/v1/tenants/${tenant.metadata.uid}`, { token, body: { memory_mb } });
    expect(await scale(512)).toMatchObject({ status: 403, body: { error: { code: 'plan_limit' } } });
    expect((await scale(256)).status).toBe(202);
  });
});

describe('a tenant', () => {
  it('that its owner deleted is never made again', async () => {
    const { tenant, subscriptionId, token } = await billing.buy();
    const { uid, namespace, name } = tenant.metadata;
    await billing.call('DELETE', `/api/v1/tenants/${uid}`, { token });
    const marked = await stored(uid);
    await billing.harness.store.update({
      ...marked,
      metadata: { ...marked.metadata, finalizers: [] },
    });
    expect(await billing.harness.store.get({ namespace, name })).toBeUndefined();
    await billing.deliver(billing.paddle.change(subscriptionId, { status: 'active' }));
    await billing.settle(subscriptionId);
    expect(await billing.harness.store.get({ namespace, name })).toBeUndefined();
  });

  it('cannot be made without paying', async () => {
    const token = await billing.logIn();
    const answer = await billing.call('POST', '/api/v1/tenants', { token, body: { name: 'free-lunch' } });
    expect(answer.status).toBe(405);
  });

  it('without a subscription is ordered one for, which then decides over it', async () => {
    const token = await billing.logIn();
    await billing.order(token);
    const me = await billing.call<{ customer: { id: string } }>('GET', '/api/v1/auth/me', { token });
    const tenant = await billing.harness.seed('made-by-hand', {
      owner: me.body.customer.id,
      spec: { plan: 'free' },
    });
    const path = `/api/v1/tenants/${tenant.metadata.uid}/subscription`;
    expect(await billing.call('GET', path, { token })).toMatchObject({
      status: 404,
      body: { error: { code: 'subscription_not_found' } },
    });
    const placed = await billing.call<{ transaction_id: string }>('POST', path, {
      token,
      body: { price_id: 'pri_year' },
    });
    expect(placed.status).toBe(200);
    const { notifications, subscriptionId } = billing.paddle.pay(placed.body.transaction_id);
    for (const notification of notifications) await billing.deliver(notification);
    const paid = await until(tenant.metadata.uid, 'the new plan', ({ spec }) => spec.plan === 'pro');
    expect(paid.metadata.annotations?.[SUBSCRIPTION_ANNOTATION]).toBe(subscriptionId);
    expect(await tenantsOf(me.body.customer.id)).toHaveLength(1);
    expect(await billing.call('POST', path, { token, body: { price_id: 'pri_year' } })).toMatchObject({
      status: 409,
      body: { error: { code: 'already_subscribed' } },
    });
  });
});

describe('a cancellation', () => {
  it('is asked of Paddle once, at the end of what is paid, and answered with null', async () => {
    const { tenant, subscriptionId, token } = await billing.buy();
    const path = `/api/v1/tenants/${tenant.metadata.uid}/subscription/cancel`;
    const answer = await billing.call('POST', path, { token });
    expect(answer).toMatchObject({ status: 200, text: 'null' });
    expect(answer.headers['content-type']).toContain('application/json');
    expect(billing.paddle.isCanceling(subscriptionId)).toBe(true);
    await billing.deliver(billing.paddle.change(subscriptionId, {}));
    await billing.settle(subscriptionId);
    const callsBefore = billing.paddle.calls.length;
    const detail = await billing.call('POST', `${path}?detail=1`, { token });
    expect(detail.body).toMatchObject({ data: { status: 'active', cancels_at: anyText } });
    expect(billing.paddle.calls).toHaveLength(callsBefore);
  });

  it('of another’s subscription finds no tenant', async () => {
    const { tenant } = await billing.buy();
    const stranger = await billing.logIn();
    const path = `/api/v1/tenants/${tenant.metadata.uid}/subscription/cancel`;
    expect((await billing.call('POST', path, { token: stranger })).status).toBe(404);
  });

  it('is answered 503 while Paddle is away', async () => {
    const { tenant, token } = await billing.buy();
    billing.paddle.fault = 'bad gateway';
    const path = `/api/v1/tenants/${tenant.metadata.uid}/subscription/cancel`;
    expect((await billing.call('POST', path, { token })).status).toBe(503);
    billing.paddle.fault = undefined;
  });
});

describe('without billing', () => {
  let plain: Harness;
  beforeAll(async () => {
    plain = await openHarness();
    await plain.accounts.plans.apply({ plans: [...PLANS] });
  });
  afterAll(() => plain.close());

  it('plans are listed, and everything that costs says 503 with a code and what to set', async () => {
    const me = { customer: 'ctm_1' };
    expect((await plain.call('nobody', 'GET', '/api/v1/plans')).status).toBe(200);
    const order = { price_id: 'pri_month', region: 'iad' };
    const off = [
      await plain.call(me, 'POST', '/api/v1/checkout', { body: order }),
      await plain.call('nobody', 'POST', '/webhooks/paddle', { body: {} }),
      await plain.call('operator', 'GET', '/api/v1/webhooks/paddle/events'),
    ];
    for (const { status, body } of off) {
      expect([status, body.error.code]).toEqual([503, 'billing_disabled']);
      expect(body.error.message).toContain('PADDLE_API_KEY');
    }
  });
});
