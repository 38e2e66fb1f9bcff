/**
 * Everything that a customer meets, as an operator runs it: the built daemon in production mode with PostgreSQL, Paddle,
 * GitHub and another login provider, a registry and a simulated Fly. Every secret of the house is known to a hunt, which
 * hears every answer and every line of the log.
 */
import { randomBytes } from 'node:crypto';
import type { Exchange } from '../client/http.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  API_KEY,
  signatureOf,
  startFakePaddle,
  WEBHOOK_SECRET,
  type FakePaddle,
  type Notification,
} from '../support/fake-paddle.ts';
import { CLIENT, startGithub, startOidcIssuer, type FakeProvider } from '../support/fake-providers.ts';
import { startFlyRegistry, type FlyRegistry } from '../support/fly-registry.ts';
import { call, worldOf, type SimulatedWorld } from '../support/operator.ts';
import { freePort, startProduction, startSimulator } from '../support/processes.ts';
import { createSecretHunt, dumpDatabase, type SealingKey, type SecretHunt } from '../support/secret-hunt.ts';

export const REPOSITORY = 'systemprompt-images';
export const OPERATOR = { subject: '1', email: 'boss@example.com', verified: true, name: 'Boss' };
const DAY_MS = 86_400_000;
/** What the CLI sends among the secrets although it tells nothing: names, a path, a flag, an address. */
const NOT_SECRET = [
  'SYSTEMPROMPT_CUSTOM_SECRETS',
  'SYSTEMPROMPT_PROFILE',
  'SYSTEMPROMPT_CLI_REMOTE',
  'SYSTEMPROMPT_USER_EMAIL',
];

export interface ReferenceHouse {
  readonly url: string;
  readonly paddle: FakePaddle;
  readonly registry: FlyRegistry;
  readonly github: FakeProvider;
  readonly issuer: FakeProvider;
  readonly hunt: SecretHunt;
  /** Follows an address to its end, as a browser does; its text. */
  browse(url: string): Promise<string>;
  /** Has Paddle tell something. Throws when it is not heard. */
  deliver(notifications: readonly Notification[]): Promise<void>;
  /** Hears an answer of the API: what is shown there on purpose is named, everything else is searched. */
  overhear(exchange: Exchange): void;
  world(): Promise<SimulatedWorld>;
  /** Has Fly refuse the next secrets of an app, and repeat what it was sent. */
  refuseSecrets(app: string, words: string): Promise<void>;
  /** Searches all that is kept and shown now: the database, what operators read, and what Fly is told. */
  sweep(operatorToken: string): Promise<void>;
  close(): Promise<void>;
}

export async function openReferenceHouse(): Promise<ReferenceHouse> {
  const hunt = createSecretHunt();
  const key = { id: 'house', key: randomBytes(32) };
  const [port, simulator, github, issuer, test, paddle] = await Promise.all([
    freePort(),
    startSimulator({ env: { SIMULATOR_LATENCY: '0.05', SIMULATOR_APPS: REPOSITORY } }),
    startGithub(),
    startOidcIssuer(),
    createTestDatabase(),
    // What Paddle tells lies so far back that whoever cancels has had all the days of grace.
    startFakePaddle({ startMs: Date.now() - 10 * DAY_MS }),
  ]);
  const registry = await startFlyRegistry({ simulatorUrl: simulator.url });
  const daemon = await startProduction({
    port,
    env: {
      ...secretsOf(hunt, key),
      DATABASE_URL: test.url,
      FLY_API_HOSTNAME: simulator.url,
      FLY_REGISTRY_URL: registry.url,
      LANDLORD_PUBLIC_URL: `http://127.0.0.1:${port}`,
      GITHUB_URL: github.url,
      OIDC_ISSUER: issuer.url,
      PADDLE_API_URL: paddle.url,
      ...SETTINGS,
    },
    onOutput: (text) => hunt.search('the log', text),
  });
  const control = (path: string, body?: object) =>
    call(`${simulator.url}/_simulator/${path}`, { ...(body && { method: 'POST', body }) });

  return {
    ...{ url: daemon.url, paddle, registry, github, issuer, hunt },
    browse,
    async deliver(notifications) {
      for (const notification of notifications)
        hunt.search('answers to Paddle', await tell(daemon.url, notification));
    },
    overhear: (exchange) => overhear(hunt, exchange),
    world: () => worldOf(simulator.url),
    async refuseSecrets(app, words) {
      const refusal = { kind: 'status', status: 422, body: { error: words } };
      await control('faults', { operation: 'Secrets_update', app, ...refusal });
    },
    async sweep(operatorToken) {
      const dump = await dumpDatabase(test.query);
      await hunt.hideSealed(dump, { keys: [key], except: NOT_SECRET });
      hunt.search('the database', dump);
      for (const path of ['world', 'calls'])
        hunt.search(`the ${path} of Fly`, JSON.stringify((await control(path)).body));
      await searchOperatorViews({ hunt, url: daemon.url, token: operatorToken, test });
    },
    async close() {
      await daemon.stop();
      await Promise.all([registry.stop(), github.close(), issuer.close(), paddle.close()]);
      await simulator.stop();
      await test.drop();
    },
  };
}

/** What the operator sets beside addresses and secrets. */
const SETTINGS = {
  FLY_ORG_SLUG: 'house',
  FLY_SHARED_REGISTRY_APP: REPOSITORY,
  FLY_SUBDOMAIN_SUFFIX: 'tenants.test',
  LANDLORD_OPERATORS: OPERATOR.email,
  LANDLORD_PLANS_FILE: 'examples/plans.yaml',
  GITHUB_CLIENT_ID: CLIENT.clientId,
  OIDC_CLIENT_ID: CLIENT.clientId,
  // Public by design: it stands in the page on which people pay.
  PADDLE_CLIENT_TOKEN: 'test_client_token',
  LOG_LEVEL: 'trace',
};

/** The secrets of the operator, all of them named to the hunt. */
function secretsOf(hunt: SecretHunt, { id, key }: SealingKey): Record<string, string> {
  const secrets = {
    FLY_API_TOKEN: `fo1_${randomBytes(24).toString('base64url')}`,
    JWT_SECRET: randomBytes(32).toString('base64url'),
    PADDLE_API_KEY: API_KEY,
    PADDLE_WEBHOOK_SECRET: WEBHOOK_SECRET,
    GITHUB_CLIENT_SECRET: CLIENT.clientSecret,
    OIDC_CLIENT_SECRET: CLIENT.clientSecret,
  };
  for (const [name, value] of Object.entries(secrets)) hunt.hide(name, value);
  const bytes = Buffer.from(key);
  for (const encoding of ['base64', 'base64url', 'hex'] as const)
    hunt.hide('the encryption key', bytes.toString(encoding));
  return { ...secrets, LANDLORD_ENCRYPTION_KEYS: `${id}:${bytes.toString('base64')}` };
}

async function browse(url: string): Promise<string> {
  const page = await fetch(url, { redirect: 'follow' });
  const text = await page.text();
  if (!page.ok) throw new Error(`the browser got ${page.status} from ${url}: ${text}`);
  return text;
}

/** Delivers a webhook, signed. Throws when it is not heard. */
async function tell(url: string, notification: Notification): Promise<string> {
  const body = JSON.stringify(notification);
  const headers = { 'content-type': 'application/json', 'paddle-signature': signatureOf(body) };
  const heard = await fetch(`${url}/webhooks/paddle`, { method: 'POST', headers, body });
  const text = await heard.text();
  if (!heard.ok) throw new Error(`a webhook was answered ${heard.status}: ${text}`);
  return text;
}

/** Answers whose purpose is to show a secret to its owner, and which of their fields it is. */
const ON_PURPOSE: readonly (readonly [path: RegExp, fields: readonly string[]])[] = [
  [/^\/api\/v1\/core\/oauth\/token$/, ['access_token']],
  [/\/registry-token$/, ['token', 'password']],
  [
    /\/credentials\/[^/]+$/,
    [
      'jwt_secret',
      'database_url',
      'internal_database_url',
      'external_database_url',
      'anthropic_api_key',
      'openai_api_key',
      'gemini_api_key',
    ],
  ],
  [
    /\/rotate-credentials$/,
    ['database_url', 'internal_database_url', 'external_database_url', 'secrets_url'],
  ],
  [/\/external-db-access$/, ['database_url']],
  [/\/status$/, ['secrets_url']],
];

/** Names what is in those fields as secrets, and searches what is left, so that no answer is left out as a whole. */
function overhear(hunt: SecretHunt, { method, path, status, text }: Exchange): void {
  const fields = ON_PURPOSE.find(([pattern]) => pattern.test(path.split('?')[0] ?? ''))?.[1] ?? [];
  const rest =
    fields.length === 0
      ? text
      : text.replaceAll(
          new RegExp(`"(${fields.join('|')})":"([^"]*)"`, 'g'),
          (_, name: string, value: string) => {
            hunt.hide(name, secretIn(value));
            return `"${name}":""`;
          },
        );
  hunt.search('answers', `${method} ${status}\n${rest}`);
}

/** Of an address only a part is secret: the password of a database, the token of a link. */
function secretIn(value: string): string {
  if (value.startsWith('postgres')) return decodeURIComponent(new URL(value).password);
  return value.startsWith('/api/v1/') ? value.slice(value.lastIndexOf('/') + 1) : value;
}

/** What operators can read: the inbox, the audit, the tenants as they are kept, plans, figures, who asked for what. */
async function searchOperatorViews(house: {
  readonly hunt: SecretHunt;
  readonly url: string;
  readonly token: string;
  readonly test: TestDatabase;
}): Promise<void> {
  const { hunt, url, token, test } = house;
  const view = async (place: string, path: string): Promise<void> => {
    const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path} was answered ${answer.status}: ${text}`);
    hunt.search(place, text);
  };
  await view('figures', '/metrics');
  await view('the inbox', '/api/v1/webhooks/paddle/events');
  await view('the audit', '/api/v1/audit');
  for (const name of ['requests', 'slow', 'errors', 'stats'])
    await view('requests', `/api/v1/metrics/${name}`);
  await view('tenants', '/apis/cloud.systemprompt.io/v1alpha1/tenants');
  for (const { uid } of await test.query<{ uid: string }>('SELECT uid FROM tenants'))
    for (const part of ['', '/plan', '/environment', '/secrets', '/revisions', '/subscription'])
      await view(`tenant${part}`, `/api/v1/tenants/${uid}${part}`);
}
