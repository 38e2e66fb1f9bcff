/** Is the reference client as strict as the CLI? One that took anything would prove nothing of the server. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { me } from './account.ts';
import { outcomeOf, plans } from './checkout.ts';
import { readCredentials } from './credentials.ts';
import type { Era } from './eras.ts';
import { createHttp } from './http.ts';
import { expiryOf } from './login.ts';
import { awaitTenant, followCheckout } from './provisioning.ts';
import { mapped } from './secrets.ts';
import { createSession, type Session } from './session.ts';
import { cancelSubscription } from './subscription.ts';
import { logs, restart, status, tenants } from './tenants.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

const requests: string[] = [];
let answer: Answer;
let url: string;
const server = createServer((request, response) => {
  requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
  if (request.url !== '/api/v1/core/oauth/token') answer(request, response);
  else response.end(JSON.stringify({ access_token: `exchanged ${requests.length}` }));
});
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => requests.splice(0));
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

const session = (era: Era): Session => createSession(createHttp({ era, apiUrl: url }), 'operator token');
const says = (text: string, code = 200): Answer => {
  return (_request, response) => response.writeHead(code, { 'content-type': 'application/json' }).end(text);
};
const saysJson = (body: unknown, code = 200): Answer => says(JSON.stringify(body), code);
const outcome = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'taken',
    (error: unknown) => String(error),
  );

const user = { id: 'u', email: 'ada@example.com' };
const tenant = { id: 't', name: 'shop', database_url: 'postgres://…' };

describe('the account', () => {
  const broken = /error decoding response body/;
  it.each<[what: string, era: Era, body: unknown, takes: RegExp]>([
    ['a superset', 'E4', { user, more: 1, tenants: [{ ...tenant, more: {} }] }, /^taken$/],
    ['no list at all', 'E4', { user }, /^taken$/],
    ['null instead of a list', 'E4', { user, tenants: null }, broken],
    ['null instead of an optional text', 'E4', { user: { ...user, name: null }, tenants: [] }, /^taken$/],
    ['no address of the database', 'E1', { user, tenants: [{ id: 't', name: 'shop' }] }, /^taken$/],
    ['no address of the database', 'E1b', { user, tenants: [{ id: 't', name: 'shop' }] }, broken],
    [
      'a spelling of its own',
      'E1',
      { user, tenants: [{ ...tenant, subscription_status: 'cancelled' }] },
      broken,
    ],
    ['the state of a machine', 'E1', { user, tenants: [{ ...tenant, status: 'running' }] }, /^taken$/],
    ['the state of a machine', 'E1b', { user, tenants: [{ ...tenant, status: 'running' }] }, broken],
    ['a plan without its size', 'E1b', { user, tenants: [{ ...tenant, plan: { name: 'Pro' } }] }, broken],
    ['null instead of a flag', 'E4', { user, tenants: [{ ...tenant, external_db_access: null }] }, broken],
    ['an envelope', 'E4', { data: { user, tenants: [] } }, broken],
    ['an address that is none', 'E4', { user: { ...user, email: 'dev@localhost' } }, /not an e-mail/],
    ['an address that is none', 'E1b', { user: { ...user, email: 'dev@localhost' } }, /^taken$/],
  ])('with %s, read by %s', async (_what, era, body, takes) => {
    answer = saysJson(body);
    expect(await outcome(me(session(era)))).toMatch(takes);
  });
});

describe('an answer', () => {
  const plan = { id: 'p', name: 'Pro', paddle_price_id: 'pri' };
  it.each<[what: string, ask: (session: Session) => Promise<unknown>, body: string, taken: boolean]>([
    ['bare plans', plans, JSON.stringify([{ ...plan, max_tenants: null }]), true],
    ['plans in an envelope', plans, JSON.stringify({ data: [plan] }), false],
    ['a plan of half a gigabyte', plans, JSON.stringify([{ ...plan, volume_gb: 0.5 }]), false],
    ['a plan of null memory', plans, JSON.stringify([{ ...plan, memory_mb_default: null }]), false],
    ['no plans', plans, '[]', false],
    ['a list in its envelope', tenants, '{"data":[]}', true],
    ['a bare list', tenants, '[]', false],
    ['a status in its envelope', (asked) => status(asked, 't'), '{"data":{"status":"odd"}}', true],
    ['a bare status', (asked) => status(asked, 't'), '{"status":"ready"}', false],
    ['a bare restart', (asked) => restart(asked, 't'), '{"status":"restarting"}', true],
    ['a restart in an envelope', (asked) => restart(asked, 't'), '{"data":{"status":"restarting"}}', false],
    ['a cancellation of null', (asked) => cancelSubscription(asked, 't'), 'null', true],
    ['a cancellation of an object', (asked) => cancelSubscription(asked, 't'), '{}', false],
    ['an empty cancellation', (asked) => cancelSubscription(asked, 't'), '', false],
  ])('of %s', async (_what, ask, body, taken) => {
    answer = says(body);
    expect((await outcome(ask(session('E4')))) === 'taken').toBe(taken);
  });

  it.each<[era: Era, code: number, body: string, shown: string]>([
    ['E1', 409, '{"error":{"code":"c","message":"m","more":1}}', 'CliError: c: m'],
    ['E1', 502, '<h1>Bad gateway</h1>', 'CliError: unknown: Request failed with status 502'],
    ['E1', 400, '{"error":{"code":7,"message":"m"}}', 'CliError: unknown: Request failed with status 400'],
    ['E4', 502, 'x'.repeat(600), `CliError: HTTP 502: ${'x'.repeat(500)}`],
    [
      'E1',
      401,
      '{"error":{"code":"c","message":"m"}}',
      'CliError: Authentication failed. Please log in again.',
    ],
  ])('of an error is shown by %s: %i %s', async (era, code, body, shown) => {
    answer = says(body, code);
    expect(await outcome(status(session(era), 't'))).toBe(shown);
  });
});

describe('a request', () => {
  it('without a body has no content type', async () => {
    let headers: IncomingMessage['headers'] = {};
    answer = (request, response) => {
      ({ headers } = request);
      response.end('{"status":"restarting"}');
    };
    await restart(session('E1'), 't');
    expect(headers['content-type']).toBeUndefined();
    expect(headers.authorization).toBe('Bearer operator token');
  });

  it('about a tenant brings an exchanged token in E4, and another one exactly once when it is refused', async () => {
    const bearers: (string | undefined)[] = [];
    answer = (request, response) => {
      bearers.push(request.headers.authorization);
      response.writeHead(401).end();
    };
    expect(await outcome(status(session('E4'), 't'))).toMatch(/log in again/);
    expect(bearers).toEqual(['Bearer exchanged 1', 'Bearer exchanged 3']);
    await outcome(status(session('E1b'), 't'));
    expect(bearers.slice(2)).toEqual(['Bearer operator token']);
  });

  it('is not made by an era that has no such command', async () => {
    expect(await outcome(logs(session('E4'), 't'))).toBe('Error: the CLI of E4 cannot read logs');
    expect(await outcome(cancelSubscription(session('E1'), 't'))).toMatch(/cannot cancel/);
    expect(requests).toEqual([]);
  });

  it('for credentials goes to the API alone', async () => {
    answer = saysJson({});
    await outcome(readCredentials(session('E1'), `${url}/api/v1/link`));
    await outcome(readCredentials(session('E1'), '/api/v1/link'));
    expect(requests).toEqual(['GET /api/v1/link', 'GET /api/v1/link']);
    expect(await outcome(readCredentials(session('E1'), 'https://elsewhere.example/link'))).toMatch(
      /cannot fetch http.*https:/,
    );
  });
});

describe('a stream', () => {
  const frame = (event: string, data: object): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
  const event = (type: string): object => ({
    ...{ tenant_id: 't', event_type: type, status: 's', checkout_session_id: 'c', tenant_name: 'shop' },
    message: `it is ${type}`,
  });
  const streams = (...frames: string[]): Answer => {
    return (request, response) => {
      if (request.url?.endsWith('/status') === true) response.end('{"data":{"status":"ready"}}');
      else
        response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }).end(frames.join(''));
    };
  };
  const watch = () => {
    const shown: string[] = [];
    const dropped: string[] = [];
    const watcher = {
      show: (line: string) => void shown.push(line),
      onDropped: (text: string) => void dropped.push(text),
      pollIntervalMs: 1,
    };
    return { shown, dropped, watcher };
  };

  it('of a checkout ends with the infrastructure; other names are ignored, what cannot be read is dropped', async () => {
    const { shown, dropped, watcher } = watch();
    answer = streams(
      ': comment\n\n',
      frame('heartbeat', event('tenant_ready')),
      frame('message', event('tenant_ready')),
      frame('provisioning', event('volume_created')),
      frame('provisioning', { event_type: 'tenant_ready' }),
      frame('provisioning', event('tenant_created')),
      frame('provisioning', event('infrastructure_ready')),
      frame('provisioning', event('tenant_ready')),
    );
    const followed = await followCheckout(session('E4'), 'c', watcher);
    expect(followed).toMatchObject({ tenantId: 't', needsDeploy: true });
    expect(shown).toEqual(['it is tenant_created', 'it is infrastructure_ready']);
    expect(dropped).toHaveLength(2);
  });

  it.each<[what: string, answer: Answer, says: RegExp]>([
    ['ends early', streams(frame('provisioning', event('tenant_created'))), /Stream ended/],
    [
      'tells of a failure',
      streams(frame('provisioning', event('provisioning_failed'))),
      /it is provisioning_f/,
    ],
    ['is of another type', saysJson({}), /Invalid content type: application\/json/],
    ['is refused', saysJson({}, 404), /Invalid status code: 404/],
  ])('of a checkout that %s fails the purchase, and is not opened again', async (_what, given, expected) => {
    answer = given;
    expect(await outcome(followCheckout(session('E1'), 'c', watch().watcher))).toMatch(expected);
    expect(requests).toHaveLength(1);
  });

  it('of a tenant does not end with the infrastructure; once it has ended, the status decides', async () => {
    answer = streams(frame('provisioning', event('infrastructure_ready')));
    expect(await awaitTenant(session('E4'), 't', watch().watcher)).toBe('status');
    answer = streams(
      frame('message', event('infrastructure_ready')),
      frame('message', event('tenant_ready')),
    );
    expect(await awaitTenant(session('E4'), 't', watch().watcher)).toBe('stream');
    answer = streams(frame('provisioning', event('provisioning_failed')));
    expect(await outcome(awaitTenant(session('E4'), 't', watch().watcher))).toMatch(
      /it is provisioning_failed/,
    );
  });
});

describe('the way back from a payment', () => {
  it.each<[query: string, means: string]>([
    ['status=pending&checkout_session_id=c', '{"kind":"pending","checkoutId":"c"}'],
    ['status=pending&checkout_session_id=c&transaction_id=x', '{"kind":"pending","checkoutId":"c"}'],
    ['status=completed&tenant_id=t&transaction_id=x', '{"kind":"completed","tenantId":"t"}'],
    [
      'status=pending&checkout_session_id=c&tenant_id=t&transaction_id=x',
      'CliError: Checkout not completed: pending',
    ],
    ['error=declined&status=pending&checkout_session_id=c', 'CliError: declined'],
    ['status=completed&checkout_session_id=c', 'CliError: Checkout failed'],
    ['status=pending', 'CliError: Checkout failed'],
  ])('%s', (query, means) => {
    let read: string;
    try {
      read = JSON.stringify(outcomeOf(new URLSearchParams(query)));
    } catch (error) {
      read = String(error);
    }
    expect(read).toBe(means);
  });
});

describe('a token', () => {
  const token = (payload: string): string => `e30.${payload}.sig`;
  it('is read without its signature, by its base64url without padding', () => {
    expect(expiryOf(token(Buffer.from('{"exp":7}').toString('base64url')))).toBe(7_000);
    for (const bad of ['e30', token('eyJleHAiOjd9=='), token('e30'), token('eyJleHAiOiI3In0')])
      expect(() => expiryOf(bad)).toThrow(/the token/);
  });
});

describe('the secrets of a profile', () => {
  it('go up under their names, the owner’s own ones listed, empty ones not at all', () => {
    expect(mapped({ jwt_secret: 'j', gemini: 'g', openai: null, anthropic: '', mailer_key: 'm' })).toEqual({
      JWT_SECRET: 'j',
      GEMINI_API_KEY: 'g',
      MAILER_KEY: 'm',
      SYSTEMPROMPT_CUSTOM_SECRETS: 'MAILER_KEY',
    });
  });
});
