/** The API with a Paddle that can be told what to do, and the loop that makes tenants follow what is paid. */
import { request } from 'undici';
import { expect } from 'vitest';
import { createBillingLoop, type BillingLoop } from '../../../src/billing-loop.ts';
import type { Plan } from '../../../src/accounts/plans.ts';
import type { Platform } from '../../../src/api/dependencies.ts';
import { createDevelopmentProvider } from '../../../src/accounts/providers.ts';
import type { Subscription } from '../../../src/accounts/subscriptions.ts';
import { createSubscriptionReconciler } from '../../../src/reconcilers/subscription/reconcile.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { silentLog } from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';
import {
  API_KEY,
  signatureOf,
  startFakePaddle,
  WEBHOOK_SECRET,
  type FakePaddle,
  type Notification,
} from '../../support/fake-paddle.ts';
import { openHarness, type Harness } from '../harness.ts';

/** Any text, or one that fits: as vitest's own, which are typed as anything at all. */
export const anyText: unknown = expect.any(String);
export const textLike = (pattern: RegExp): unknown => expect.stringMatching(pattern);

export const PLANS: readonly Plan[] = [
  {
    id: 'free',
    name: 'Free',
    memoryMb: 256,
    volumeGb: 1,
    maxTenants: 1,
    prices: [{ id: 'pri_free', amount: 0, currency: 'USD', interval: 'month' }],
    grace: { pastDueDays: 0, pausedDays: 0, canceledDays: 0 },
  },
  {
    id: 'pro',
    name: 'Pro',
    memoryMb: 1024,
    volumeGb: 10,
    prices: [
      { id: 'pri_month', amount: 4900, currency: 'USD', interval: 'month' },
      { id: 'pri_year', amount: 49_000, currency: 'USD', interval: 'year' },
    ],
    grace: { pastDueDays: 7, pausedDays: 0, canceledDays: 3 },
  },
];

export interface Answer<T = Readonly<Record<string, unknown>>> {
  readonly status: number;
  readonly body: T;
  readonly text: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What the CLI sends to begin with, and what it gets. */
export interface Placed {
  readonly checkout_url: string;
  readonly transaction_id: string;
  readonly checkout_session_id: string;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface CallOptions {
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

export interface BillingHarness {
  readonly harness: Harness;
  readonly paddle: FakePaddle;
  readonly loop: BillingLoop;
  /** Logs somebody in through the browser flow; their token. */
  logIn(email?: string): Promise<string>;
  /** Over a real connection. */
  call<T = Readonly<Record<string, unknown>>>(
    method: Method,
    path: string,
    options?: CallOptions,
  ): Promise<Answer<T>>;
  order(token: string, body?: object): Promise<Answer<Placed>>;
  /** Delivers a webhook as Paddle does. */
  deliver(
    notification: Notification,
    options?: { path?: string; signature?: string; atMs?: number },
  ): Promise<Answer>;
  /** Logs in, orders, pays, and has Paddle tell everything. */
  buy(options?: { priceId?: string }): Promise<{
    readonly token: string;
    readonly subscriptionId: string;
    readonly placed: Placed;
    readonly tenant: Tenant;
  }>;
  /** Reconciles the subscription, with all that Paddle has told of it, until there is nothing left to do. */
  settle(subscriptionId: string): Promise<void>;
  subscription(id: string): Promise<Subscription | undefined>;
  tenants(): Promise<readonly Tenant[]>;
  close(): Promise<void>;
}

export async function openBilling(
  options: { loop?: 'running' | 'stopped'; platform?: (real: Platform) => Platform } = {},
): Promise<BillingHarness> {
  const paddle = await startFakePaddle();
  let email = 'nobody@example.com';
  let people = 0;
  const base = createDevelopmentProvider({ subject: '', email: '', name: undefined });
  const harness = await openHarness({
    ...(options.platform && { platform: options.platform }),
    // Whoever a test says, without a provider: how people log in is not what is tested here.
    providers: new Map([
      ['github', { ...base, identify: async () => ({ subject: email, email, name: 'Somebody' }) }],
    ]),
    billing: {
      apiKey: API_KEY,
      webhookSecret: WEBHOOK_SECRET,
      environment: paddle.url,
      clientToken: undefined,
    },
    operators: ['boss@example.com'],
  });
  await harness.accounts.plans.apply({ plans: [...PLANS] });
  const loop = loopOf(harness);
  if (options.loop !== 'stopped') loop.start();

  const self: BillingHarness = {
    harness,
    paddle,
    loop,
    async logIn(address = `person-${(people += 1)}@example.com`) {
      email = address;
      const begun = await self.call<{ authorize_url: string }>(
        'GET',
        '/api/v1/auth/oauth/github?redirect_uri=http%3A%2F%2F127.0.0.1%3A8765%2Fcallback',
      );
      const back = await request(begun.body.authorize_url);
      await back.body.dump();
      return new URL(String(back.headers['location'])).searchParams.get('access_token') ?? '';
    },
    async call<T>(
      method: Method,
      path: string,
      { token, body, headers = {} }: CallOptions = {},
    ): Promise<Answer<T>> {
      const answer = await request(`${harness.url}${path}`, {
        method,
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await answer.body.text();
      const json = /json/.test(String(answer.headers['content-type'])) ? text : '{}';
      return { status: answer.statusCode, headers: answer.headers, text, body: JSON.parse(json) as T };
    },
    order: (token, body = {}) =>
      self.call<Placed>('POST', '/api/v1/checkout', {
        token,
        body: {
          price_id: 'pri_month',
          region: 'iad',
          redirect_uri: 'http://127.0.0.1:8766/callback',
          ...body,
        },
      }),
    deliver: (notification, { path = '/webhooks/paddle', signature, atMs } = {}) => {
      const body = JSON.stringify(notification);
      return self.call('POST', path, {
        body,
        headers: { 'paddle-signature': signature ?? signatureOf(body, atMs === undefined ? {} : { atMs }) },
      });
    },
    async buy({ priceId = 'pri_month' } = {}) {
      const token = await self.logIn();
      const { body: placed } = await self.order(token, { price_id: priceId });
      const { subscriptionId, notifications } = paddle.pay(placed.transaction_id);
      for (const notification of notifications) await self.deliver(notification);
      const tenant = await eventually(
        async () => {
          const uid = (await self.subscription(subscriptionId))?.tenantUid;
          return uid === undefined ? undefined : harness.store.getByUid(uid);
        },
        { what: 'the tenant to be made', intervalMs: 10 },
      );
      return { token, subscriptionId, placed, tenant };
    },
    async settle(subscriptionId) {
      const reconcile = createSubscriptionReconciler({
        ...harness,
        ...harness.accounts,
        ...harness.accounts.billing!,
      });
      for (let passes = 0; passes < 10; passes += 1) {
        const context = { signal: new AbortController().signal, log: silentLog(), passId: 'test' };
        const { requeueAfterMs } = await reconcile(subscriptionId, {
          ...context,
          attempt: 1,
          retryDelayMs: 0,
        });
        if (requeueAfterMs !== 0) return;
      }
      throw new Error(`subscription ${subscriptionId} does not settle`);
    },
    subscription: async (id) => harness.accounts.subscriptions.find(id),
    tenants: async () => (await harness.store.list()).items,
    async close() {
      await loop.stop(5_000);
      await harness.close();
      await paddle.close();
    },
  };
  return self;
}

/** A loop over the parts of a harness, as another replica or a restarted daemon has one. */
export function loopOf(harness: Harness): BillingLoop {
  return createBillingLoop({
    accounts: harness.accounts,
    billing: harness.accounts.billing!,
    store: harness.store,
    events: harness.events,
    listen: harness.database.listen,
    clock: harness.clock,
    log: silentLog(),
  });
}
