/** Does a payment become a tenant that stands, with the daemon as it is started by an operator who has Paddle? */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import {
  API_KEY,
  signatureOf,
  startFakePaddle,
  WEBHOOK_SECRET,
  type FakePaddle,
} from '../support/fake-paddle.ts';
import { call } from '../support/operator.ts';
import { startDaemon, type Daemon } from '../support/processes.ts';

let stateDir: string;
let paddle: FakePaddle;
let daemon: Daemon;
beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'landlord-e2e-'));
  paddle = await startFakePaddle({ startMs: Date.now() });
  daemon = await startDaemon({
    stateDir,
    env: {
      PADDLE_API_KEY: API_KEY,
      PADDLE_WEBHOOK_SECRET: WEBHOOK_SECRET,
      PADDLE_API_URL: paddle.url,
      LANDLORD_PLANS_FILE: 'examples/plans.yaml',
    },
  });
});
afterAll(async () => {
  await daemon.stop();
  await paddle.close();
  await rm(stateDir, { recursive: true, force: true });
});

interface Me {
  readonly tenants: readonly { readonly id: string; readonly subscription_status?: string }[];
}

/** As the CLI does it: the browser is followed by hand. */
async function logIn(): Promise<string> {
  const redirect = encodeURIComponent('http://127.0.0.1:8765/callback');
  const { body } = await call<{ authorize_url: string }>(
    `${daemon.url}/api/v1/auth/oauth/github?redirect_uri=${redirect}`,
  );
  const back = await fetch(body.authorize_url, { redirect: 'manual' });
  return new URL(back.headers.get('location') ?? '').searchParams.get('access_token') ?? '';
}

it('logs in, orders, pays, and has a tenant that waits for its first deploy', async () => {
  const token = await logIn();
  const order = {
    price_id: 'pri_example_basic',
    region: 'iad',
    redirect_uri: 'http://127.0.0.1:8766/callback',
  };
  const placed = await call<{ transaction_id: string }>(`${daemon.url}/api/v1/checkout`, {
    method: 'POST',
    token,
    body: order,
  });
  expect(placed.status).toBe(200);
  for (const notification of paddle.pay(placed.body.transaction_id).notifications) {
    const body = JSON.stringify(notification);
    const heard = await fetch(`${daemon.url}/webhooks/paddle`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'paddle-signature': signatureOf(body) },
      body,
    });
    expect(heard.status).toBe(200);
    await heard.arrayBuffer();
  }
  const ready = await eventually(
    async () => {
      const [tenant] = (await call<Me>(`${daemon.url}/api/v1/auth/me`, { token })).body.tenants;
      if (tenant === undefined) return undefined;
      const path = `${daemon.url}/api/v1/tenants/${tenant.id}/status`;
      const { body } = await call<{ data: { status: string; phase: string } }>(path, { token });
      return body.data.status === 'ready' ? { ...tenant, ...body.data } : undefined;
    },
    { what: 'the tenant to stand', during: daemon, timeoutMs: 60_000 },
  );
  expect(ready).toMatchObject({ phase: 'awaiting_deploy', subscription_status: 'active' });
}, 90_000);
