/**
 * Does a payment become one tenant that stands, with the daemon as it is started by an operator who has Paddle: also when
 * it dies between a webhook and what follows from it, and whatever else is delivered?
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import {
  API_KEY,
  signatureOf,
  startFakePaddle,
  WEBHOOK_SECRET,
  type FakePaddle,
  type Notification,
} from '../support/fake-paddle.ts';
import { call } from '../support/operator.ts';
import { freePort, startDaemon, type Daemon } from '../support/processes.ts';

let stateDir: string;
let paddle: FakePaddle;
let daemon: Daemon;
beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'landlord-e2e-'));
  paddle = await startFakePaddle({ startMs: Date.now() });
  daemon = await startDaemon({ stateDir, env: billingOn(paddle) });
});
afterAll(async () => {
  await daemon.stop();
  await paddle.close();
  await rm(stateDir, { recursive: true, force: true });
});

const billingOn = ({ url }: FakePaddle) => ({
  PADDLE_API_KEY: API_KEY,
  PADDLE_WEBHOOK_SECRET: WEBHOOK_SECRET,
  PADDLE_API_URL: url,
  LANDLORD_PLANS_FILE: 'examples/plans.yaml',
});

interface Me {
  readonly tenants: readonly { readonly id: string; readonly subscription_status?: string }[];
}

/** As the CLI does it: the browser is followed by hand. */
async function logIn({ url }: Daemon): Promise<string> {
  const redirect = encodeURIComponent('http://127.0.0.1:8765/callback');
  const { body } = await call<{ authorize_url: string }>(
    `${url}/api/v1/auth/oauth/github?redirect_uri=${redirect}`,
  );
  const back = await fetch(body.authorize_url, { redirect: 'manual' });
  await back.arrayBuffer();
  return new URL(back.headers.get('location') ?? '').searchParams.get('access_token') ?? '';
}

/** Orders, and returns the transaction to be paid. */
async function order({ url }: Daemon, token: string): Promise<string> {
  const body = {
    price_id: 'pri_example_basic',
    region: 'iad',
    redirect_uri: 'http://127.0.0.1:8766/callback',
  };
  const placed = await call<{ transaction_id: string }>(`${url}/api/v1/checkout`, {
    method: 'POST',
    token,
    body,
  });
  expect(placed.status).toBe(200);
  return placed.body.transaction_id;
}

/** Delivers as Paddle does; the status, and whether it was known already. */
async function deliver(
  { url }: Daemon,
  notification: Notification,
  signing: Parameters<typeof signatureOf>[1] = {},
): Promise<string> {
  const body = JSON.stringify(notification);
  const heard = await fetch(`${url}/webhooks/paddle`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'paddle-signature': signatureOf(body, signing) },
    body,
  });
  const { duplicate } = (await heard.json()) as { duplicate?: boolean };
  return `${heard.status}${duplicate === true ? ' again' : ''}`;
}

const tenantsOf = async ({ url }: Daemon, token: string): Promise<Me['tenants']> =>
  (await call<Me>(`${url}/api/v1/auth/me`, { token })).body.tenants;

/** Until nothing of the inbox is left to be processed. */
const allProcessed = (running: Daemon) =>
  eventually(
    async () => {
      const path = `${running.url}/api/v1/webhooks/paddle/events?state=unprocessed`;
      const { status, body } = await call<{ data: unknown[] }>(path, {
        token: running.credentials.operator_token,
      });
      return status === 200 && body.data.length === 0;
    },
    { what: 'the inbox to be processed', during: running },
  );

it('logs in, orders, pays, and has a tenant that waits for its first deploy', async () => {
  const token = await logIn(daemon);
  const { notifications } = paddle.pay(await order(daemon, token));
  for (const notification of notifications) expect(await deliver(daemon, notification)).toBe('200');
  const ready = await eventually(
    async () => {
      const [tenant] = await tenantsOf(daemon, token);
      if (tenant === undefined) return undefined;
      const path = `${daemon.url}/api/v1/tenants/${tenant.id}/status`;
      const { body } = await call<{ data: { status: string; phase: string } }>(path, { token });
      return body.data.status === 'ready' ? { ...tenant, ...body.data } : undefined;
    },
    { what: 'the tenant to stand', during: daemon, timeoutMs: 60_000 },
  );
  expect(ready).toMatchObject({ phase: 'awaiting_deploy', subscription_status: 'active' });
}, 90_000);

it('makes one tenant of webhooks that it has answered before it was killed, however often they come', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'landlord-e2e-'));
  const database = await createTestDatabase();
  // The same address each time: tokens are of the issuer at that address.
  const port = await freePort();
  const start = (role: string) =>
    startDaemon({
      stateDir: folder,
      port,
      env: { ...billingOn(paddle), DATABASE_URL: database.url, LANDLORD_ROLE: role },
    });
  // One that takes webhooks and acts on none: whatever it has answered is not processed when it dies.
  let running = await start('api');
  try {
    const token = await logIn(running);
    const { notifications } = paddle.pay(await order(running, token));
    const other = paddle.pay(await order(running, token)).notifications;
    const backwards = [...notifications].reverse();
    for (const notification of backwards) expect(await deliver(running, notification)).toBe('200');
    expect(await deliver(running, backwards[0]!)).toBe('200 again');
    expect(await tenantsOf(running, token)).toEqual([]);
    await running.kill();

    running = await start('all');
    await allProcessed(running);
    const made = await tenantsOf(running, token);
    expect(made).toMatchObject([{ subscription_status: 'active' }]);

    for (const notification of notifications) {
      expect(await deliver(running, notification)).toBe('200 again');
      expect(await deliver(running, notification, { atMs: Date.now() - 60_000 })).toBe('401');
    }
    for (const notification of other) {
      expect(await deliver(running, notification, { secret: 'not the one of Paddle' })).toBe('401');
      expect(await deliver(running, notification, { atMs: Date.now() - 60_000 })).toBe('401');
    }
    await allProcessed(running);
    expect((await tenantsOf(running, token)).map(({ id }) => id)).toEqual(made.map(({ id }) => id));

    for (const notification of other) expect(await deliver(running, notification)).toBe('200');
    await allProcessed(running);
    expect(await tenantsOf(running, token)).toHaveLength(2);
  } finally {
    await running.stop();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  }
}, 90_000);
