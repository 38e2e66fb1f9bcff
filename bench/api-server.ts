/**
 * One of the two servers that `bench/api.ts` compares, as a process of its own: `landlord` is the API as the daemon
 * builds it; `bare` is fastify and pg alone, running the very statements that Landlord ran for the same request.
 */
import { setTimeout as delay } from 'node:timers/promises';
import fastify, { type FastifyInstance } from 'fastify';
import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createApi } from '../src/api/api.ts';
import { createAccounts } from '../src/accounts/accounts.ts';
import { createAuthenticator } from '../src/api/auth.ts';
import { systemClock } from '../src/clock.ts';
import { connect } from '../src/database/connection.ts';
import { createLedger } from '../src/ledger/ledger.ts';
import { signToken } from '../test/support/tokens.ts';
import { createPostgresStore } from '../src/store/postgres/postgres-store.ts';
import { createRevisionStore } from '../src/store/revisions.ts';
import { createVault } from '../src/vault/postgres-vault.ts';

/** What the server tells its parent once it listens. */
export interface Listening {
  readonly port: number;
  /** One for each customer. */
  readonly tokens: readonly string[];
}

/** What the process has used: memory after a collection of garbage, in bytes, and processor time since its start. */
export interface Usage {
  readonly rss: number;
  readonly heapUsed: number;
  readonly cpuMicros: number;
}

/** A statement as Landlord sent it. */
interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

const SECRET = 'a-secret-for-benchmarks-of-32-bytes-or-more';
export const CUSTOMERS = 12;
/** For what closes and opens to have done so. */
const SETTLE_MS = 1_000;
const [, , kind = 'landlord', databaseUrl = ''] = process.argv;
const clock = systemClock;
const log = pino({ level: 'info' }, pino.destination('/dev/null'));

function openStore() {
  const database = connect({ url: databaseUrl, log, clock });
  return { database, stores: createPostgresStore({ database, clock, log }) };
}

/** What needs Fly is not measured. */
const elsewhere = (): Promise<never> => Promise.reject(new Error('not here'));

async function openLandlord(): Promise<FastifyInstance> {
  const { database, stores } = openStore();
  const metrics = new Registry();
  const keys = [{ id: 'bench', key: Buffer.alloc(32, 1) }];
  const keep = { keepAuditDays: 1, keepRequestsDays: 1 };
  const accounts = createAccounts({
    database,
    encryptionKeys: keys,
    settings: { publicUrl: () => 'http://127.0.0.1', redirectHosts: [], regions: ['iad'], operators: [] },
    providers: new Map(),
    billing: undefined,
    clock,
    log,
  });
  const api = createApi({
    accounts,
    maskedDatabaseUrl: () => '',
    store: stores.tenants,
    events: stores.events,
    revisions: createRevisionStore({ database, clock }),
    vault: createVault({ database, keys, clock }),
    platform: {
      logs: elsewhere,
      metric: elsewhere,
      metricRange: elsewhere,
      certificate: elsewhere,
      registryToken: elsewhere,
    },
    databaseUrls: () => ({ internal: '', external: '' }),
    cloudEnabled: true,
    auth: createAuthenticator({ key: { kind: 'secret', secret: SECRET }, issuer: 'landlord', clock }),
    clock,
    log,
    registryHost: 'registry.fly.io',
    sharedRegistryApp: 'images',
    subdomainSuffix: 'tenants.example.com',
    resolveImage: () => Promise.resolve(undefined),
    planTenant: elsewhere,
    health: () => Promise.resolve({ healthy: true, checks: [] }),
    metrics,
    ledger: createLedger({ database, clock, log, metrics, keys, ...keep }),
    // Counted for every request, and never reached.
    limits: { readsPerMinute: 1e9, writesPerMinute: 1e9, anonymousPerMinute: 1e9 },
    trustsProxy: () => false,
    corsOrigins: [],
  });
  return Promise.resolve(api);
}

/** Runs Landlord's store once for each kind of request, and notes what it sends to PostgreSQL. */
async function recordStatements(): Promise<Record<'get' | 'list' | 'patch', readonly Statement[]>> {
  const { database, stores } = openStore();
  const [tenant] = (await stores.tenants.list({ limit: 1 })).items;
  if (tenant === undefined) throw new Error('cannot record statements: there is no tenant');
  // An edge: the driver's own type has a dozen forms; Landlord uses this one.
  const prototype = pg.Client.prototype as unknown as {
    query: (this: pg.Client, text: unknown, values?: unknown) => unknown;
  };
  const original = prototype.query;
  async function record(work: () => Promise<unknown>): Promise<Statement[]> {
    const seen: Statement[] = [];
    prototype.query = function query(text, values) {
      if (typeof text === 'string') seen.push({ text, values: Array.isArray(values) ? values : [] });
      return original.call(this, text, values);
    };
    await work();
    prototype.query = original;
    return seen;
  }
  const { uid } = tenant.metadata;
  const owner = tenant.spec.owner;
  const get = await record(() => stores.tenants.getByUid(uid));
  const list = await record(() => stores.tenants.list({ limit: 100, owner }));
  const patch = await record(async () => {
    const now = (await stores.tenants.getByUid(uid)) ?? tenant;
    await stores.tenants.update({ metadata: now.metadata, spec: { ...now.spec, env: { N: 'recorded' } } });
  });
  await stores.close();
  await database.close();
  return { get, list, patch };
}

async function openBare(): Promise<FastifyInstance> {
  const { get, list, patch } = await recordStatements();
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 10 });
  const app = fastify();
  app.get<{ Params: { id: string } }>('/api/v1/tenants/:id', async ({ params }) => {
    const { rows } = await pool.query(get[0]?.text ?? '', [params.id]);
    return { data: rows[0] as unknown };
  });
  app.get('/api/v1/tenants', async () => {
    const client = await pool.connect();
    let rows: unknown[] = [];
    for (const { text, values } of list) {
      const answer = await client.query(text, [...values]);
      if (answer.rows.length > 1) rows = answer.rows;
    }
    client.release();
    return { data: rows };
  });
  app.patch<{ Params: { id: string } }>('/api/v1/tenants/:id', async ({ params }, reply) => {
    const [byUid, byName, commit] = patch;
    const found = await pool.query<Row>(byUid?.text ?? '', [params.id]);
    const row = found.rows[0];
    if (row === undefined) return reply.code(404).send();
    await pool.query(byName?.text ?? '', [row.namespace, row.name]);
    const written = await pool.query(commit?.text ?? '', commitValues(commit, patch, row));
    return reply.code(written.rows.length > 0 ? 202 : 409).send({ data: row });
  });
  return app;
}

interface Row {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly resource_version: string;
}

/** The values of the recorded commit with this tenant's names in place of the recorded one's. */
function commitValues(commit: Statement | undefined, patch: readonly Statement[], row: Row): unknown[] {
  const recordedUid = patch[0]?.values[0];
  const [namespace, name] = patch[1]?.values ?? [];
  // The recorded version stands beside the uid at the head of the statement.
  return (commit?.values ?? []).map((value, index) => {
    if (value === recordedUid) return row.uid;
    if (index === 1) return row.resource_version;
    if (value === name) return row.name;
    return value === namespace ? row.namespace : value;
  });
}

async function main(): Promise<void> {
  const app = kind === 'bare' ? await openBare() : await openLandlord();
  await app.listen({ host: '127.0.0.1', port: 0 });
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const tokens = await Promise.all(
    Array.from({ length: CUSTOMERS }, (_, index) =>
      signToken({
        secret: SECRET,
        issuer: 'landlord',
        identity: { role: 'customer', subject: `bench-${index}`, customer: `ctm_${index}` },
        lifetimeSeconds: 86_400,
        clock,
      }),
    ),
  );
  process.send?.({ port, tokens } satisfies Listening);
  process.on('message', (question) => {
    const settled = question === 'memory' ? delay(SETTLE_MS) : Promise.resolve();
    void settled.then(() => {
      if (question === 'memory') globalThis.gc?.();
      const { rss, heapUsed } = process.memoryUsage();
      const { user, system } = process.cpuUsage();
      process.send?.({ rss, heapUsed, cpuMicros: user + system } satisfies Usage);
    });
  });
}

if (process.send !== undefined) await main();
