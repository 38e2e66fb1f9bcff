/**
 * A Paddle to develop against: speaks the wire of Paddle Billing over HTTP, as far as Landlord uses it, and signs its
 * webhooks as Paddle does. It knows customers, transactions and subscriptions, and tells of each change what the real
 * one tells, to whatever address a test names. It can be slow, be away, and deliver in any order, twice or late.
 */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import type { SubscriptionStatus } from '../../src/accounts/paddle-events.ts';

export const API_KEY = 'pdl_test_apikey';
export const WEBHOOK_SECRET = 'pdl_ntfset_test_secret';

export interface Notification {
  readonly event_id: string;
  readonly event_type: string;
  readonly occurred_at: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface FakePaddle {
  readonly url: string;
  /** Every call, as `POST /transactions`. */
  readonly calls: string[];
  /** What the next calls meet instead of an answer; undefined: nothing. */
  fault: 'hang' | 'bad gateway' | undefined;
  /** The buyer pays: a subscription begins. Returns the notifications, in the order in which things happened. */
  pay(transactionId: string): {
    readonly subscriptionId: string;
    readonly notifications: readonly Notification[];
  };
  /** The subscription comes to another status, or another price. */
  change(subscriptionId: string, change: { status?: SubscriptionStatus; priceId?: string }): Notification;
  /** Moves the time at which things happen; they also move by a second with each. */
  pass(ms: number): void;
  /** Whether a cancellation was asked for. */
  isCanceling(subscriptionId: string): boolean;
  close(): Promise<void>;
}

interface Item {
  readonly price: { readonly id: string };
  readonly quantity: number;
  readonly product: object;
  readonly status: string;
}

interface Transaction {
  readonly id: string;
  readonly customer_id: string;
  readonly items: readonly Item[];
  readonly custom_data: unknown;
  readonly checkout: { readonly url: string };
  readonly currency_code: string;
  readonly collection_mode: string;
  readonly payments: readonly unknown[];
  status: string;
  subscription_id: string | null;
}

interface Subscription {
  readonly id: string;
  readonly customer_id: string;
  status: SubscriptionStatus;
  items: Transaction['items'];
  scheduled_change: { action: string; effective_at: string } | null;
  readonly current_billing_period: { starts_at: string; ends_at: string };
  readonly billing_cycle: { interval: string; frequency: number };
}

const DAY_MS = 86_400_000;

/** Paddle's header over a body, at a time in milliseconds. */
export function signatureOf(body: string, options: { secret?: string; atMs?: number } = {}): string {
  const { secret = WEBHOOK_SECRET, atMs = Date.now() } = options;
  const ts = Math.floor(atMs / 1_000);
  return `ts=${ts};h1=${createHmac('sha256', secret).update(`${ts}:${body}`).digest('hex')}`;
}

const createCustomer = z.object({ email: z.string(), name: z.string().optional() });
const createTransaction = z.object({
  items: z.array(z.object({ price_id: z.string(), quantity: z.int() })).min(1),
  customer_id: z.string(),
  custom_data: z.unknown(),
  checkout: z.object({ url: z.string() }).optional(),
});

/** Something of an answer: what Paddle says in `data`, or an error. */
type Reply = { readonly status: number; readonly body: object };

/** `startMs` is when the first thing happens. */
export async function startFakePaddle(options: { startMs?: number } = {}): Promise<FakePaddle> {
  let count = 0;
  let nowMs = options.startMs ?? Date.parse('2026-01-01T00:00:00Z');
  const customers = new Map<string, { id: string; email: string }>();
  const transactions = new Map<string, Transaction>();
  const subscriptions = new Map<string, Subscription>();
  const calls: string[] = [];
  const next = (prefix: string): string => `${prefix}_${String((count += 1)).padStart(26, '0')}`;
  const instant = (ms: number): string => new Date(ms).toISOString();

  function notify(event_type: string, data: object): Notification {
    nowMs += 1_000;
    return {
      event_id: next('evt'),
      event_type,
      occurred_at: instant(nowMs),
      // As it stood at that moment: what comes later must not change what was told.
      data: structuredClone({ ...data }),
    };
  }

  const routes: readonly (readonly [
    string,
    RegExp,
    (match: RegExpExecArray, body: unknown, url: URL) => Reply,
  ])[] = [
    [
      'POST',
      /^\/customers$/,
      (_match, body) => {
        const { email } = createCustomer.parse(body);
        if ([...customers.values()].some((customer) => customer.email === email))
          return refusal(409, 'customer_already_exists', 'customer email conflicts');
        const customer = { id: next('ctm'), email };
        customers.set(customer.id, customer);
        return { status: 201, body: { data: customer } };
      },
    ],
    [
      'GET',
      /^\/customers$/,
      (_match, _body, url) => {
        const wanted = url.searchParams.get('email');
        const data = [...customers.values()].filter(({ email }) => email === wanted);
        const pagination = { per_page: 1, next: url.href, has_more: false, estimated_total: data.length };
        return { status: 200, body: { data, meta: { pagination } } };
      },
    ],
    [
      'POST',
      /^\/transactions$/,
      (_match, body) => {
        const order = createTransaction.parse(body);
        if (!customers.has(order.customer_id)) return refusal(404, 'not_found', 'no such customer');
        const id = next('txn');
        const page = order.checkout?.url ?? 'https://pay.example.com/';
        const transaction: Transaction = {
          id,
          customer_id: order.customer_id,
          items: order.items.map(({ price_id, quantity }) => itemOf(price_id, quantity)),
          custom_data: order.custom_data,
          checkout: { url: `${page}?_ptxn=${id}` },
          currency_code: 'USD',
          collection_mode: 'automatic',
          payments: [],
          status: 'ready',
          subscription_id: null,
        };
        transactions.set(id, transaction);
        return { status: 201, body: { data: transaction } };
      },
    ],
    [
      'POST',
      /^\/subscriptions\/([^/]+)\/cancel$/,
      ([, id = '']) => {
        const subscription = subscriptions.get(id);
        if (subscription === undefined) return refusal(404, 'not_found', 'no such subscription');
        if (subscription.status === 'canceled')
          return refusal(400, 'subscription_update_when_canceled', 'it is canceled');
        const effective_at = subscription.current_billing_period.ends_at;
        subscription.scheduled_change = { action: 'cancel', effective_at };
        return { status: 200, body: { data: subscription } };
      },
    ],
  ];

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', paddle.url);
    calls.push(`${request.method ?? ''} ${url.pathname}`);
    const text = (await request.toArray()).join('');
    if (paddle.fault === 'hang') return;
    if (paddle.fault === 'bad gateway') {
      response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
      return;
    }
    const reply = (): Reply => {
      if (request.headers.authorization !== `bearer ${API_KEY}`)
        return refusal(403, 'authentication_malformed', 'wrong key');
      for (const [method, pattern, handle] of routes) {
        const match = request.method === method ? pattern.exec(url.pathname) : null;
        if (match !== null) return handle(match, text === '' ? undefined : JSON.parse(text), url);
      }
      return refusal(404, 'not_found', `the fake has no ${request.method ?? ''} ${url.pathname}`);
    };
    const { status, body } = reply();
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const paddle: FakePaddle = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    fault: undefined,
    pay(transactionId) {
      const transaction = transactions.get(transactionId);
      if (transaction === undefined) throw new Error(`the fake has no transaction ${transactionId}`);
      const subscription: Subscription = {
        id: next('sub'),
        customer_id: transaction.customer_id,
        status: 'active',
        items: transaction.items,
        scheduled_change: null,
        current_billing_period: { starts_at: instant(nowMs), ends_at: instant(nowMs + 30 * DAY_MS) },
        billing_cycle: { interval: 'month', frequency: 1 },
      };
      subscriptions.set(subscription.id, subscription);
      transaction.status = 'completed';
      transaction.subscription_id = subscription.id;
      return {
        subscriptionId: subscription.id,
        notifications: [
          notify('subscription.created', { ...subscription, transaction_id: transaction.id }),
          notify('subscription.activated', subscription),
          notify('transaction.completed', transaction),
        ],
      };
    },
    change(subscriptionId, { status, priceId }) {
      const subscription = subscriptions.get(subscriptionId);
      if (subscription === undefined) throw new Error(`the fake has no subscription ${subscriptionId}`);
      const resumed = subscription.status === 'paused' && status === 'active';
      if (status !== undefined) subscription.status = status;
      if (priceId !== undefined) subscription.items = [itemOf(priceId, 1)];
      const word = status === undefined || status === 'active' ? (resumed ? 'resumed' : 'updated') : status;
      return notify(`subscription.${word}`, subscription);
    },
    pass(ms) {
      nowMs += ms;
    },
    isCanceling: (id) => subscriptions.get(id)?.scheduled_change?.action === 'cancel',
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return paddle;
}

/** As an item stands in transactions and subscriptions; the SDK decodes more of it than we look at. */
function itemOf(priceId: string, quantity: number): Item {
  const price = {
    id: priceId,
    product_id: 'pro_1',
    description: 'Landlord',
    type: 'standard',
    unit_price: { amount: '4900', currency_code: 'USD' },
    quantity: { minimum: 1, maximum: 1 },
    status: 'active',
  };
  return { price, quantity, product: { id: 'pro_1', name: 'Landlord' }, status: 'active' };
}

function refusal(status: number, code: string, detail: string): Reply {
  return {
    status,
    body: {
      error: { type: 'request_error', code, detail, documentation_url: '' },
      meta: { request_id: 'r' },
    },
  };
}
