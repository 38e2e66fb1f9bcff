/**
 * Does the API keep its own word? Every operation of the document is tried with generated requests: no answer is a
 * 5xx, every status is one that the document knows, and every body is as the document says.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Platform } from '../../src/api/dependencies.ts';
import type { Json, OpenApiDocument, Operation } from '../../src/api/openapi.ts';
import { attemptsAt, named, valuesOf, type World } from './generate.ts';
import { DIGEST, REGISTRY, type Harness } from './harness.ts';
import { openBilling, type BillingHarness } from './rest/billing-harness.ts';

/** For each operation. */
const CASES = 200;
const SEED = 20_260_101;
const LONGEST_WAIT_MS = 120_000;
/** Of ten milliseconds each: for a query that takes ten seconds. */
const MOST_TURNS = 1_000;
const OLDER = `sha256:${'cd'.repeat(32)}`;
const API_ID = 'https://landlord.test/openapi';

let billing: BillingHarness;
let harness: Harness;
let document: OpenApiDocument;
let buyer: string;
let world: World;
beforeAll(async () => {
  // With a Paddle to order from, so that no answer is only that billing is off.
  billing = await openBilling({ loop: 'stopped', platform: askOnce });
  harness = billing.harness;
  document = JSON.parse((await harness.api.inject({ url: '/openapi.json' })).body) as OpenApiDocument;
  const resolve = (ref: string): Json => document.components.schemas[ref.split('/').at(-1) ?? ''] ?? {};
  world = { resolve, known: await prepare() };
});
afterAll(() => billing.close());

/** Of each app Fly lets itself be asked for these once a second, and the answers are the same each time. */
function askOnce(real: Platform): Platform {
  const soon = (): AbortSignal => AbortSignal.timeout(60_000);
  const certificate = once((app: string, hostname: string) => real.certificate(app, hostname, soon()));
  const token = once((expiryMs: number) => real.registryToken({ expiryMs }, soon()));
  return { ...real, certificate, registryToken: ({ expiryMs }) => token(expiryMs) };
}

function once<A extends unknown[], R>(ask: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
  const known = new Map<string, Promise<R>>();
  return (...args) => {
    const key = JSON.stringify(args);
    const answer = known.get(key) ?? ask(...args);
    known.set(key, answer);
    return answer;
  };
}

/** A customer with a tenant that was bought, deployed twice and runs; and what is to be known of them. */
async function prepare(): Promise<World['known']> {
  buyer = await billing.logIn();
  const { body: placed } = await billing.order(buyer);
  const { subscriptionId, notifications } = billing.paddle.pay(placed.transaction_id);
  for (const notification of notifications) await billing.deliver(notification);
  await billing.settle(subscriptionId);
  const uid = (await billing.subscription(subscriptionId))?.tenantUid ?? '';
  const bought = (await harness.store.getByUid(uid))!;
  const { owner } = bought.spec;
  const app = `sp-${uid}`;
  const image = `${REGISTRY}/images:tenant-${uid}`;
  for (const name of [app, 'images']) await harness.control('POST', '/apps', { name, org: 'systemprompt' });
  harness.outside.images.set(image, DIGEST);
  for (const digest of [DIGEST, OLDER]) {
    harness.outside.images.set(`${REGISTRY}/images@${digest}`, digest);
    await harness.revisions.record(uid, { image: `${image}@${digest}`, deployedBy: 'test' });
  }
  await harness.store.update({
    metadata: bought.metadata,
    spec: { ...bought.spec, image: `${image}@${DIGEST}`, hostnames: ['www.example.com'] },
  });
  await harness.report((await harness.store.getByUid(uid))!, {
    observedGeneration: 1,
    phase: 'running',
    app: { name: app },
  });
  await harness.vault.generate(uid);
  await harness.vault.set(uid, { OPENAI_API_KEY: 'sk-1', GITHUB_TOKEN: 'gh-1' });
  const failed = await harness.seed('failed', { owner, finalizers: ['test/keep'] });
  const failure = {
    step: 'createApp',
    reason: 'AppCreateFailed',
    message: 'cannot create app',
    attempts: 1,
    terminal: true,
    generation: 1,
  };
  await harness.report(failed, { observedGeneration: 1, phase: 'failed', failure });
  const foreign = await harness.seed('foreign', { owner: 'ctm_other', finalizers: ['test/keep'] });
  const ids = [uid, uid, uid, uid, failed.metadata.uid, foreign.metadata.uid, 'no-id'];
  return {
    id: ids,
    image: [image, 'current'],
    revision: [1, 2],
    key: ['OPENAI_API_KEY', 'GITHUB_TOKEN', 'ANOTHER'],
    token: [(await harness.vault.link(uid)) ?? ''],
    domain: ['www.example.com'],
    region: ['iad'],
    owner_customer_id: [owner],
    name: ['shop'],
    price_id: ['pri_month'],
    redirect_uri: ['http://127.0.0.1:8765/callback'],
    provider: ['github'],
    checkout: [placed.checkout_session_id],
    event: notifications.map(({ event_id: id }) => id),
    // What is asked of Fly's Prometheus about an hour of another year is nothing at all.
    from: [new Date(harness.clock.now() - 3_600_000).toISOString()],
    to: [new Date(harness.clock.now()).toISOString()],
  };
}

describe('the document', () => {
  it('names every operation once, and describes each', () => {
    const operations = operationsOf(document);
    expect(operations.length).toBe(harness.api.declarations.length);
    expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length);
    for (const { operation } of operations) expect(operation.summary).toMatch(/^[A-Z][^.]*$/);
  });

  it('refers to nothing that it does not have', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map(([, ref = '']) => ref);
    expect(refs.length).toBeGreaterThan(10);
    for (const ref of refs)
      expect(ref.replace('#/components/schemas/', '') in document.components.schemas).toBe(true);
  });

  it('is shown to people by files that are served from here alone', async () => {
    const page = await harness.api.inject({ url: '/docs' });
    expect(page.headers['content-security-policy']).toContain("script-src 'self'");
    const files = [...page.body.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, file = '']) => file);
    expect(files).toHaveLength(3);
    for (const file of files) {
      const answer = await harness.api.inject({ url: file });
      expect([file, answer.statusCode]).toEqual([file, 200]);
      const again = await harness.api.inject({
        url: file,
        headers: { 'if-none-match': String(answer.headers.etag) },
      });
      expect(again.statusCode).toBe(304);
    }
  });
});

describe('every operation, with generated requests,', () => {
  it('answers as the document says, and never with a 5xx', { timeout: 300_000 }, async () => {
    const fits = createJudge();
    const seen = new Map<string, number>();
    for (const target of operationsOf(document)) {
      const of = `${target.method} ${target.path}`;
      await fc.assert(
        fc.asyncProperty(requestsFor(target), async (made) => {
          const answer = await send(made);
          if (answer.status < 400) seen.set(of, (seen.get(of) ?? 0) + 1);
          const complaint = fits(target, answer);
          if (complaint !== undefined)
            throw new Error(`${of}: ${answer.status} ${complaint}: ${JSON.stringify(answer.body)}`);
        }),
        { numRuns: CASES, seed: SEED },
      );
    }
    // Requests that are all refused would prove little.
    const refused = operationsOf(document).map(({ method, path }) => `${method} ${path}`);
    expect(refused.filter((of) => !seen.has(of)).sort()).toEqual([...UNREACHABLE].sort());
  });
});

/** Operations that no generated request brings to a success: what they take, somebody else has to sign. */
const UNREACHABLE = [
  'get /api/v1/auth/oauth/{provider}/callback',
  // Paddle shows the page of payment itself, unless it is told otherwise.
  'get /api/v1/checkout/{checkout}/pay',
  'post /api/v1/core/oauth/token',
  'post /api/v1/webhooks/paddle',
  'post /webhooks/paddle',
];

/** Says what is wrong with an answer, if anything is. */
function createJudge(): (target: Target, answer: Answered) => string | undefined {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ $id: API_ID, components: document.components });
  const compiled = new Map<Json, ReturnType<typeof ajv.compile>>();
  const validatorOf = (schema: Json): ReturnType<typeof ajv.compile> => {
    const known = compiled.get(schema);
    if (known !== undefined) return known;
    const text = JSON.stringify(schema).replaceAll('"#/', `"${API_ID}#/`);
    const validator = ajv.compile(JSON.parse(text) as Json);
    compiled.set(schema, validator);
    return validator;
  };
  return ({ operation }, { status, type, body }) => {
    if (status >= 500) return 'is a failure of ours';
    const described = operation.responses[String(status)];
    if (described === undefined) return 'is not described';
    if (described.content === undefined) return undefined;
    const schema = described.content[type]?.schema;
    if (schema === undefined) return `as ${type} is not described`;
    if (body === undefined) return undefined;
    const validator = validatorOf(schema);
    return validator(body) ? undefined : `is not as described: ${ajv.errorsText(validator.errors)}`;
  };
}

interface Target {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

/**
 * Reads come first, while everything is as it was prepared. What takes away comes last: what is being deleted refuses
 * everything else, without plans nothing can be bought, and the end of the login ends it all.
 */
function operationsOf({ paths }: OpenApiDocument): Target[] {
  return Object.entries(paths)
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
    )
    .sort((a, b) => turnOf(a) - turnOf(b));
}

function turnOf({ method, path }: Target): number {
  if (method === 'get') return 0;
  if (path.endsWith('/logout')) return 4;
  if (method === 'delete' && path.endsWith('{id}')) return 3;
  return method === 'delete' || path.endsWith('/plans') ? 2 : 1;
}

interface Made {
  readonly caller: 'buyer' | 'operator';
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly type: string;
  readonly streams: boolean;
}

function requestsFor({ method, path, operation }: Target): fc.Arbitrary<Made> {
  const parameters = fc.tuple(
    ...operation.parameters.map(({ name, in: where, required, schema }) => {
      const value = textOf(schema, name);
      const present = required ? fc.constant(true) : fc.integer({ min: 0, max: 3 }).map((draw) => draw === 0);
      return fc.record({ name: fc.constant(name), where: fc.constant(where), value, present });
    }),
  );
  const [type, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const schema = content?.schema;
  const bodies = schema === undefined ? fc.constant(undefined) : attemptsAt(schema, world);
  const callers = fc.constantFrom<Made['caller'][]>('buyer', 'buyer', 'operator');
  const accept = fc.constantFrom('application/json', 'application/problem+json');
  return fc.record({ parameters, body: bodies, caller: callers, accept }).map((made) => {
    const given = made.parameters.filter(({ present }) => present);
    const filled = given
      .filter(({ where }) => where === 'path')
      .reduce((url, { name, value }) => url.replace(`{${name}}`, encodeURIComponent(value)), path);
    const query = given.filter(({ where }) => where === 'query').map(({ name, value }) => [name, value]);
    const headers = given.filter(({ where }) => where === 'header');
    return {
      caller: made.caller,
      method,
      url: `${filled}?${new URLSearchParams(query as [string, string][]).toString()}`,
      headers: {
        accept: made.accept,
        ...Object.fromEntries(
          headers.map(({ name, value }) => [name, value.replaceAll(/[^\x20-\x7e]/g, '').trim()]),
        ),
      },
      body: textOfBody(type, made.body),
      type: type ?? '',
      streams: operation.responses['200']?.content?.['text/event-stream'] !== undefined,
    };
  });
}

function textOfBody(type: string | undefined, body: unknown): string | undefined {
  if (body === undefined || type !== 'application/x-www-form-urlencoded')
    return body === undefined ? undefined : JSON.stringify(body);
  const fields = typeof body === 'object' && body !== null ? Object.entries(body) : [];
  return new URLSearchParams(
    fields.map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();
}

/** Parameters are text, whatever they mean. */
function textOf(schema: Json, name: string): fc.Arbitrary<string> {
  const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  const right = named(valuesOf(schema, world), name, world).map(text);
  return fc.oneof({ weight: 7, arbitrary: right }, fc.string());
}

interface Answered {
  readonly status: number;
  readonly type: string;
  /** Absent where there is none that is JSON. */
  readonly body: unknown;
}

async function send(made: Made): Promise<Answered> {
  const token = made.caller === 'buyer' ? buyer : await harness.token(made.caller);
  const headers = {
    ...made.headers,
    authorization: `Bearer ${token}`,
    ...(made.body !== undefined && { 'content-type': made.type }),
  };
  if (made.streams) return openAndLeave(`${harness.url}${made.url}`, headers);
  const answering = harness.api.inject({
    method: made.method.toUpperCase() as 'GET',
    url: made.url,
    headers,
    ...(made.body !== undefined && { payload: made.body }),
  });
  const answer = await (made.url.includes('wait=') ? withTimePassing(answering) : answering);
  return {
    status: answer.statusCode,
    type: typeOf(answer.headers['content-type']),
    body:
      answer.body === '' || !/json/.test(String(answer.headers['content-type']))
        ? undefined
        : JSON.parse(answer.body),
  };
}

/** A request that waits for a change would wait for ever on a clock that stands still. */
async function withTimePassing<T>(answering: Promise<T>): Promise<T> {
  for (let turns = 0; turns < MOST_TURNS; turns += 1) {
    const pending = await Promise.race([answering.then(() => false), delay(10, true)]);
    if (!pending) break;
    await harness.clock.advance(LONGEST_WAIT_MS);
  }
  return answering;
}

async function openAndLeave(url: string, headers: Record<string, string>): Promise<Answered> {
  const { statusCode, headers: answered, body } = await request(url, { headers });
  const type = typeOf(answered['content-type']);
  if (type !== 'text/event-stream') return { status: statusCode, type, body: await body.json() };
  body.destroy();
  return { status: statusCode, type, body: undefined };
}

const typeOf = (header: unknown): string => (String(header).split(';')[0] ?? '').trim();
