/**
 * A tenant's secrets from the door to the machine: the real API, loop, vault and PostgreSQL on a simulated Fly. What
 * an owner sets reaches Fly, what is rotated opens and what was rotated away does not, and nothing of it shows anywhere.
 */
import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FastifyInstance } from 'fastify';
import { createAccounts } from '../../src/accounts/accounts.ts';
import { createApi } from '../../src/api/api.ts';
import { createAuthenticator } from '../../src/api/auth.ts';
import { createRuntimeMetrics } from '../../src/controller/metrics.ts';
import { createLedger, type Ledger } from '../../src/ledger/ledger.ts';
import { createLoop } from '../../src/loop.ts';
import { createPlatform, databaseUrls } from '../../src/platform.ts';
import { previewPlan } from '../../src/reconcilers/tenant/plan-view.ts';
import { createRevisionStore } from '../../src/store/revisions.ts';
import { parseImage } from '../../src/tenant/image.ts';
import { imageTag } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { eventually } from '../support/eventually.ts';
import { everyShard } from '../support/every-shard.ts';
import { createSecretHunt, dumpDatabase } from '../support/secret-hunt.ts';
import { signToken } from '../support/tokens.ts';
import { createHarness, settings, type Harness } from './harness.ts';
import { opens } from '../support/tenant-databases.ts';

/** An id is no secret: it stands wherever there is something to read. */
const DECOY = 'an id';
const JWT_KEY = 'a-key-for-tokens-of-at-least-32-bytes';
const logged: string[] = [];
let house: Harness;
let api: FastifyInstance;
let ledger: Ledger;
let bearer: string;

beforeAll(async () => {
  house = await createHarness({ autostart: false });
  const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) });
  const { parts, clock, fly, store, events, vault, test } = house;
  const acting = { elector: everyShard(), under: () => parts };
  const runtimeMetrics = createRuntimeMetrics(new Registry());
  house.loop = createLoop({ ...parts, acting, settings, clock, log, metrics: runtimeMetrics });
  const accounts = createAccounts({
    database: test.database,
    encryptionKeys: [{ id: 'test', key: randomBytes(32) }],
    settings: { publicUrl: () => 'http://127.0.0.1', redirectHosts: [], regions: ['iad'], operators: [] },
    providers: new Map(),
    billing: undefined,
    clock,
    log,
  });
  const observing = { ...parts, settings, clock, digestUsedElsewhere: house.loop.digestUsedElsewhere };
  const metrics = new Registry();
  // What it keeps of requests is looked through with everything else.
  ledger = createLedger({
    ...{ database: test.database, clock, log, metrics },
    keys: [{ id: 'test', key: randomBytes(32) }],
    keepAuditDays: 30,
    keepRequestsDays: 14,
  });
  api = createApi({
    ...{ store, events, vault, clock, log, ...settings },
    revisions: createRevisionStore({ database: test.database, clock }),
    accounts,
    maskedDatabaseUrl: (uid) => parts.databases.url(uid, '********'),
    auth: createAuthenticator({
      key: { kind: 'secret', secret: JWT_KEY },
      issuer: 'landlord',
      own: accounts,
      clock,
    }),
    resolveImage(text, signal) {
      const { registry = '', repository = '', tag, digest } = parseImage(text) ?? {};
      return fly.registry.resolve({ registry, repository, reference: digest ?? tag ?? '' }, signal);
    },
    planTenant: (tenant, signal) => previewPlan(observing, tenant, signal),
    platform: createPlatform({ fly, sharedRegistryApp: settings.sharedRegistryApp }),
    databaseUrls: databaseUrls(parts.databases, undefined),
    cloudEnabled: true,
    health: async () => ({ healthy: true, checks: [] }),
    metrics,
    ledger,
    limits: { readsPerMinute: 1e6, writesPerMinute: 1e6, anonymousPerMinute: 1e6 },
    trustsProxy: () => false,
    corsOrigins: [],
  });
  const identity = { role: 'customer', subject: 'carl', customer: 'ctm_1' } as const;
  const lifetimeSeconds = 3_600;
  bearer = await signToken({ secret: JWT_KEY, issuer: 'landlord', identity, lifetimeSeconds, clock });
  house.loop.start();
});
afterAll(async () => {
  await api.close();
  await ledger.close();
  await house.close();
});

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

async function call(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  url: string,
  payload?: object,
): Promise<Reply> {
  const answer = await api.inject({
    method,
    url,
    headers: { authorization: `Bearer ${bearer}` },
    ...(payload !== undefined && { payload }),
  });
  const body = answer.body === '' ? {} : (JSON.parse(answer.body) as Record<string, unknown>);
  return { status: answer.statusCode, text: answer.body, body };
}

const at = ({ metadata }: Tenant, path: string): string => `/api/v1/tenants/${metadata.uid}${path}`;
const dataOf = ({ body }: Reply): Record<string, unknown> => body['data'] as Record<string, unknown>;

/** Until the loop has carried every secret to Fly, and the machine was made with them. */
async function settled(tenant: Tenant, revision: number): Promise<void> {
  await eventually(
    async () => {
      const machine = (await house.app(tenant))?.machines[0];
      return (
        machine?.config.metadata?.['landlord_secrets'] === String(revision) && machine.state === 'started'
      );
    },
    { what: `the machine to run with revision ${revision} of the secrets` },
  );
}

/** Deploys through the door, from nothing to a running machine. */
async function running(name: string): Promise<Tenant> {
  const created = await house.create(name, { image: undefined });
  const tag = imageTag(created.metadata.uid);
  await house.control('POST', '/registry', { repository: settings.sharedRegistryApp, tag });
  await house.phase(name, 'awaiting_deploy');
  const image = `${settings.registryHost}/${settings.sharedRegistryApp}:${tag}`;
  expect((await call('POST', at(created, '/deploy'), { image })).status).toBe(202);
  return house.phase(name, 'running');
}

const versions = async (tenant: Tenant): Promise<number> =>
  (await house.app(tenant))?.machines[0]?.versions.length ?? 0;

describe('secrets that an owner sets', () => {
  it('reach Fly soon after, all that come in together by one restart, and go when they are deleted', async () => {
    const tenant = await running('shop');
    const before = await versions(tenant);
    for (const secrets of [{ OPENAI_API_KEY: 'sk-1' }, { GITHUB_TOKEN: 'gh-1' }, { OPENAI_API_KEY: 'sk-2' }])
      expect((await call('PUT', at(tenant, '/secrets'), { secrets })).status).toBe(202);
    const { revision } = (await house.vault.describe(tenant.metadata.uid))!;
    await settled(tenant, revision);
    expect(await versions(tenant)).toBe(before + 1);
    const names = async (): Promise<readonly string[]> => (await house.app(tenant))?.secrets.names ?? [];
    expect(await names()).toEqual(['DATABASE_URL', 'GITHUB_TOKEN', 'JWT_SECRET', 'OPENAI_API_KEY']);
    await call('DELETE', at(tenant, '/secrets/GITHUB_TOKEN'));
    await settled(tenant, revision + 1);
    expect(await names()).toEqual(['DATABASE_URL', 'JWT_SECRET', 'OPENAI_API_KEY']);
  });
});

describe('a rotation', () => {
  it('ends the old password on the server, sets the new one on Fly and restarts the machine, once', async () => {
    const tenant = await running('rotating');
    const link = dataOf(await call('GET', at(tenant, '/status')))['secrets_url'] as string;
    const old = (await call('GET', link)).body['internal_database_url'] as string;
    expect(await opens(old)).toBe(true);
    const digest = async (): Promise<string | undefined> =>
      (
        await house.fly.secrets.list(`sp-${tenant.metadata.uid}`, undefined, AbortSignal.timeout(10_000))
      )?.find(({ name }) => name === 'DATABASE_URL')?.digest;
    const [digestBefore, versionsBefore] = [await digest(), await versions(tenant)];
    const rotated = await call('POST', at(tenant, '/rotate-credentials'));
    const fresh = rotated.body['internal_database_url'] as string;
    await settled(tenant, (await house.vault.describe(tenant.metadata.uid))!.revision);
    expect([await opens(old), await opens(fresh)]).toEqual([false, true]);
    expect(await digest()).not.toBe(digestBefore);
    expect(await versions(tenant)).toBe(versionsBefore + 1);
    expect((await call('GET', rotated.body['secrets_url'] as string)).body['internal_database_url']).toBe(
      fresh,
    );
  });
});

describe('access to the database from outside', () => {
  it('is given and taken by the loop', async () => {
    const tenant = await running('reached');
    const member = async (): Promise<boolean | undefined> =>
      (await house.parts.databases.describe(tenant.metadata.uid)).externalAccess;
    for (const enabled of [true, false]) {
      expect((await call('PUT', at(tenant, '/external-db-access'), { enabled })).status).toBe(202);
      await house.phase('reached', 'running');
      expect((await member()) === true).toBe(enabled);
    }
  });
});

describe('no secret', () => {
  it('shows in a log, an event, a plan, a status, an error or any row, through a whole life with failures', async () => {
    const tenant = await running('discreet');
    const { uid } = tenant.metadata;
    const secret = 'sk-this-must-never-be-seen-0123456789';
    const hunt = createSecretHunt();
    hunt.hide('what the owner sets', secret);
    hunt.hide(DECOY, uid);
    const search = (text: string): void => hunt.search('answers', text);
    const look = async (): Promise<void> => {
      for (const path of [
        '',
        '/status',
        '/plan',
        '/environment',
        '/secrets',
        '/secrets/HIDDEN',
        '/revisions',
        '/domains',
      ])
        search(
          (await call('GET', at(tenant, path))).text.replaceAll(/"\/api\/v1[^"]*\/credentials\/[^"]*"/g, ''),
        );
      hunt.search('events', JSON.stringify(await house.eventsOf(tenant)));
      hunt.search('the tenant', JSON.stringify(await house.store.getByUid(uid)));
      hunt.search('the database', await dumpDatabase(house.test.query));
    };
    const hide = async (): Promise<void> => {
      const { databasePassword, values } = (await house.vault.reveal(uid))!;
      for (const [name, value] of Object.entries({ databasePassword, ...values })) hunt.hide(name, value);
      const link = await house.vault.link(uid);
      if (link !== undefined) hunt.hide('the credentials link', link);
    };

    await hide();
    // Fly refuses, and repeats what it was sent.
    await house.control('POST', '/faults', {
      operation: 'Secrets_update',
      app: `sp-${uid}`,
      kind: 'status',
      status: 422,
      body: { error: `invalid value ${secret}` },
    });
    await call('PUT', at(tenant, '/secrets'), { secrets: { HIDDEN: secret } });
    await eventually(async () => (await house.get('discreet'))?.status?.failure !== undefined, {
      what: 'the refusal to be told',
    });
    await look();
    search((await call('PUT', at(tenant, '/secrets'), { secrets: { hidden: secret } })).text);
    search((await call('POST', at(tenant, '/secrets'), { key: 'JWT_SECRET', value: secret })).text);
    search((await call('POST', at(tenant, '/secrets'), { key: 'HIDDEN', value: `${secret}\0` })).text);
    await call('POST', at(tenant, '/retry-provision'));
    await settled(tenant, (await house.vault.describe(uid))!.revision);
    hunt.hide(
      'a registry token',
      dataOf(await call('GET', at(tenant, '/registry-token')))['token'] as string,
    );
    await call('POST', at(tenant, '/rotate-credentials'));
    await hide();
    await settled(tenant, (await house.vault.describe(uid))!.revision);
    await look();
    await call('GET', dataOf(await call('GET', at(tenant, '/status')))['secrets_url'] as string);
    await call('GET', at(tenant, `/credentials/${'a'.repeat(43)}`));
    await look();
    expect((await call('DELETE', at(tenant, ''))).status).toBe(204);
    await house.gone('discreet');
    hunt.search('events', JSON.stringify(await house.eventsOf(tenant)));
    hunt.search('the database', await dumpDatabase(house.test.query));
    hunt.search('the log', logged.join('\n'));

    const findings = hunt.findings();
    expect(findings.filter(({ secret: name }) => name !== DECOY)).toEqual([]);
    // What is no secret is found everywhere: all of it was really searched.
    expect(new Set(findings.map(({ place }) => place))).toEqual(
      new Set(['answers', 'events', 'the tenant', 'the database', 'the log']),
    );
    expect(hunt.secrets()).toEqual(
      expect.arrayContaining([
        ...['databasePassword', 'JWT_SECRET', 'what the owner sets'],
        ...['the credentials link', 'a registry token'],
      ]),
    );
  }, 60_000);
});

describe('a tag whose digest the registry does not tell', () => {
  it('is left behind with a warning, and the tenant goes all the same', async () => {
    const tenant = await running('undigested');
    // An answer to HEAD without Docker-Content-Digest.
    const fault = { operation: 'Registry_manifest_head', kind: 'nonsense', body: '', count: 1_000 };
    await house.control('POST', '/faults', fault);
    await house.store.delete({ namespace: 'default', name: 'undigested' });
    await house.gone('undigested');
    await house.control('DELETE', '/faults');
    expect(await house.eventsOf(tenant)).toContainEqual(
      expect.objectContaining({ type: 'Warning', reason: 'ImageTagLeft' }),
    );
    expect((await house.app(tenant))?.machines ?? []).toEqual([]);
  });
});
