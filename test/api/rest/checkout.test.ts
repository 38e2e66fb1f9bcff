/**
 * Does a buyer see the tenant being built, whenever they begin to look? And does the browser find its way to the
 * payment and back? On real sockets, with what the CLI decodes of a frame.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { TenantEvent } from '../../../src/store/store.ts';
import { eventually } from '../../support/eventually.ts';
import { metric, openStream, type StreamClient } from '../client.ts';
import { openHarness } from '../harness.ts';
import { openBilling, PLANS, textLike, type BillingHarness, type Placed } from './billing-harness.ts';

let billing: BillingHarness;
const open: StreamClient[] = [];
beforeAll(async () => {
  billing = await openBilling();
});
afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  await eventually(
    async () => (await metric(billing.harness, 'landlord_http_streams{kind="events"}')) === 0,
    {
      what: 'every stream to end',
      intervalMs: 5,
    },
  );
});
afterAll(() => billing.close());

/** As the CLI decodes it; what lacks a field, it drops without a word. */
const frameSchema = z.object({
  checkout_session_id: z.string(),
  tenant_id: z.string(),
  tenant_name: z.string(),
  event_type: z.string(),
  status: z.string(),
  message: z.string().optional(),
});
type Frame = z.infer<typeof frameSchema>;

async function follow(token: string, { checkout_session_id: id }: Placed): Promise<StreamClient> {
  const path = `/api/v1/checkout/${id}/events`;
  const client = await openStream(
    { ...billing.harness, token: async () => token },
    { caller: 'operator', path, separator: '\n\n' },
  );
  open.push(client);
  return client;
}

/** The next frame that is no comment; undefined at the end of the stream. */
async function frame(client: StreamClient): Promise<Frame | undefined> {
  for (;;) {
    const text = await client.next();
    if (text === undefined) return undefined;
    if (text.startsWith(':')) continue;
    expect(text).toMatch(/^event: provisioning$/m);
    return frameSchema.parse(JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? ''));
  }
}

async function all(client: StreamClient): Promise<Frame[]> {
  const frames: Frame[] = [];
  for (let next = await frame(client); next !== undefined; next = await frame(client)) frames.push(next);
  return frames;
}

const normal = (reason: string): TenantEvent => ({ type: 'Normal', reason, message: `${reason} happened` });

async function pay(placed: Placed): Promise<string> {
  const { subscriptionId, notifications } = billing.paddle.pay(placed.transaction_id);
  for (const notification of notifications) await billing.deliver(notification);
  await billing.settle(subscriptionId);
  return (await billing.subscription(subscriptionId))?.tenantUid ?? '';
}

const build = (uid: string) =>
  billing.harness.events.record(uid, ['TenantCreated', 'DatabaseCreated', 'InfrastructureReady'].map(normal));

const HISTORY = ['subscription_created', 'tenant_created', 'database_created', 'infrastructure_ready'];

describe('the events of a checkout', () => {
  it('replay the whole history to everybody who asks, however late, and then end', async () => {
    const token = await billing.logIn();
    const { body: placed } = await billing.order(token);
    const uid = await pay(placed);
    await build(uid);
    for (let reader = 0; reader < 2; reader += 1) {
      const frames = await all(await follow(token, placed));
      expect(frames.map(({ event_type }) => event_type)).toEqual(HISTORY);
      expect(new Set(frames.map(({ tenant_id }) => tenant_id))).toEqual(new Set([uid]));
      expect(new Set(frames.map((one) => one.checkout_session_id))).toEqual(
        new Set([placed.checkout_session_id]),
      );
      expect(frames[0]?.tenant_name).toMatch(/^pro-/);
    }
  });

  it('wait for the payment with heartbeats, and then go on live to the end', async () => {
    const token = await billing.logIn();
    const { body: placed } = await billing.order(token);
    const client = await follow(token, placed);
    let heartbeat: string | undefined;
    void client.next().then((text) => (heartbeat = text));
    const beat = async () => {
      await billing.harness.clock.advance(1_000);
      return heartbeat;
    };
    expect(await eventually(beat, { what: 'a heartbeat', intervalMs: 10 })).toMatch(/^:/);
    const uid = await pay(placed);
    const frames = all(client);
    await build(uid);
    let over = false;
    void frames.finally(() => (over = true));
    await eventually(
      async () => {
        await billing.harness.clock.advance(1_000);
        return over;
      },
      { what: 'the end', intervalMs: 10 },
    );
    expect((await frames).map(({ event_type }) => event_type)).toEqual(HISTORY);
  });

  it('tell the buyer when there will be no tenant, and why', async () => {
    const token = await billing.logIn();
    const { body: placed } = await billing.order(token);
    const { subscriptionId, notifications } = billing.paddle.pay(placed.transaction_id);
    for (const notification of notifications) {
      const { data } = notification;
      const items = [{ price: { id: 'pri_of_no_plan' }, quantity: 1 }];
      await billing.deliver({ ...notification, data: { ...data, items } });
    }
    await billing.settle(subscriptionId);
    const frames = await all(await follow(token, placed));
    expect(frames).toMatchObject([
      {
        event_type: 'provisioning_failed',
        status: 'failed',
        message: textLike(/pri_of_no_plan/),
      },
    ]);
  });

  it('are nobody else’s', async () => {
    const { body: placed } = await billing.order(await billing.logIn());
    const stranger = await billing.logIn();
    await billing.order(stranger);
    const path = `/api/v1/checkout/${placed.checkout_session_id}/events`;
    expect(await billing.call('GET', path, { token: stranger })).toMatchObject({
      status: 404,
      body: { error: { code: 'checkout_not_found' } },
    });
    expect((await billing.call('GET', '/api/v1/checkout/none/events', { token: stranger })).status).toBe(404);
  });
});

describe('the way back', () => {
  it('leads to where the CLI listens, as pending and without the tenant', async () => {
    const { body: placed } = await billing.order(await billing.logIn(), {
      redirect_uri: 'http://127.0.0.1:8766/callback?from=cli',
    });
    const back = await billing.call('GET', `/api/v1/checkout/${placed.checkout_session_id}/return`);
    expect(back.status).toBe(302);
    const url = new URL(String(back.headers['location']));
    expect(url.origin + url.pathname).toBe('http://127.0.0.1:8766/callback');
    expect(Object.fromEntries(url.searchParams)).toEqual({
      from: 'cli',
      status: 'pending',
      checkout_session_id: placed.checkout_session_id,
    });
  });

  it('of an order without an address says that it is paid', async () => {
    const { body: placed } = await billing.order(await billing.logIn(), { redirect_uri: null });
    const back = await billing.call('GET', `/api/v1/checkout/${placed.checkout_session_id}/return`);
    expect(back).toMatchObject({ status: 200, text: textLike(/close this window/) });
  });
});

describe('the page on which people pay', () => {
  it('is Paddle’s default without a token for browsers', async () => {
    const { body: placed } = await billing.order(await billing.logIn());
    expect(placed.checkout_url).toMatch(/^https:\/\/pay\.example\.com\//);
    expect((await billing.call('GET', `/api/v1/checkout/${placed.checkout_session_id}/pay`)).status).toBe(
      404,
    );
  });

  it('is ours with one, runs Paddle’s script alone, and comes back to us', async () => {
    const ours = await openHarness({
      billing: {
        apiKey: 'pdl_test_apikey',
        webhookSecret: 'x',
        environment: billing.paddle.url,
        clientToken: 'live_</script>',
      },
    });
    try {
      await ours.accounts.plans.apply({ plans: [...PLANS] });
      const { body } = await billing.call<{ customer: { id: string } }>('GET', '/api/v1/auth/me', {
        token: (await billing.buy()).token,
      });
      const order = { price_id: 'pri_month', region: 'iad', redirect_uri: 'http://127.0.0.1:1/' };
      const placed = await ours.call({ customer: body.customer.id }, 'POST', '/api/v1/checkout', {
        body: order,
      });
      const { checkout_url, checkout_session_id: id } = placed.body as unknown as Placed;
      expect(checkout_url.startsWith(`${ours.url}/api/v1/checkout/${id}/pay?_ptxn=`)).toBe(true);
      const page = await ours.api.inject({ url: `/api/v1/checkout/${id}/pay` });
      const nonce = /nonce="([^"]+)"/.exec(page.body)?.[1] ?? '';
      expect(page.headers['content-security-policy']).toContain(`'nonce-${nonce}'`);
      expect(page.body).toContain(`"successUrl":"${ours.url}/api/v1/checkout/${id}/return"`);
      expect(page.body.match(/<\/script>/g)).toHaveLength(2);
    } finally {
      await ours.close();
    }
  });
});
