/** Is what is kept of requests written, read and forgotten as it should be? On a real PostgreSQL. */
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLedger, type Ledger } from '../../src/ledger/ledger.ts';
import type { AuditEntry } from '../../src/ledger/audit.ts';
import type { RequestRecord } from '../../src/ledger/requests.ts';
import { createTestDatabase, silentLog, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

const DAY_MS = 24 * 3_600_000;
let database: TestDatabase;
let clock: FakeClock;
let ledger: Ledger;
let metrics: Registry;
beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(() => {
  clock = createFakeClock({ now: Date.parse('2026-03-10T23:59:59Z') });
  metrics = new Registry();
  ledger = open();
});
afterEach(async () => {
  await ledger.close();
  await database.query('TRUNCATE audit_log, request_metrics');
});
afterAll(() => database.drop());

function open(parts: Partial<Parameters<typeof createLedger>[0]> = {}): Ledger {
  return createLedger({
    database: database.database,
    clock,
    log: silentLog(),
    metrics,
    keys: [{ id: 'k1', key: Buffer.alloc(32, 1) }],
    keepAuditDays: 30,
    keepRequestsDays: 2,
    ...parts,
  });
}

const request = (parts: Partial<RequestRecord> = {}): Omit<RequestRecord, 'atMs'> => ({
  requestId: 'request-1',
  method: 'GET',
  route: '/api/v1/tenants/:id',
  path: '/api/v1/tenants/1',
  query: {},
  status: 200,
  errorCode: undefined,
  errorMessage: undefined,
  latencyMs: 3,
  address: '192.0.2.1',
  country: undefined,
  userAgent: 'test',
  referer: undefined,
  subject: 'olga',
  customer: undefined,
  tenant: '1',
  ...parts,
});
const entry = (parts: Partial<AuditEntry> = {}): AuditEntry => ({
  requestId: 'request-1',
  subject: 'olga',
  role: 'operator',
  address: '192.0.2.1',
  method: 'PATCH',
  route: '/api/v1/tenants/:id',
  params: { id: '1' },
  status: 202,
  ...parts,
});

/** What was recorded is written a second later, by the fake clock. */
async function written(count: number): Promise<void> {
  await eventually(
    async () => {
      await clock.advance(1_000);
      const rows = await database.query<{ count: string }>('SELECT count(*) FROM request_metrics');
      return Number(rows[0]?.count) === count;
    },
    { what: `${count} records to be written`, intervalMs: 5 },
  );
}

const everything = { limit: 100, withinMs: DAY_MS, order: 'time' } as const;

describe('records of requests', () => {
  it('go to the table of their day, across midnight', async () => {
    ledger.requests.record(request({ requestId: 'before' }));
    await clock.advance(2_000);
    ledger.requests.record(request({ requestId: 'after' }));
    await written(2);
    const rows = await database.query<{ table: string; request_id: string }>(
      'SELECT tableoid::regclass::text AS table, request_id FROM request_metrics ORDER BY at',
    );
    expect(rows).toEqual([
      { table: 'request_metrics_20260310', request_id: 'before' },
      { table: 'request_metrics_20260311', request_id: 'after' },
    ]);
  });

  it('are found by path, by latency and by status, newest or slowest first', async () => {
    ledger.requests.record(request({ requestId: 'fast', path: '/api/v1/tenants', latencyMs: 1 }));
    ledger.requests.record(request({ requestId: 'slow', latencyMs: 900, path: '/api/v1/checkout' }));
    ledger.requests.record(request({ requestId: 'bad', status: 404, errorCode: 'not_found', latencyMs: 5 }));
    await written(3);
    const ids = async (filter: object): Promise<string[]> =>
      (await ledger.requests.list({ ...everything, ...filter })).map((row) => row.request_id);
    expect(await ids({ pathPrefix: '/api/v1/tenants' })).toEqual(['fast', 'bad']);
    expect(await ids({ pathPrefix: '/api/v1/%' })).toEqual([]);
    expect(await ids({ minLatencyMs: 5, order: 'latency' })).toEqual(['slow', 'bad']);
    expect(await ids({ minStatus: 400 })).toEqual(['bad']);
    expect(await ids({ limit: 1, order: 'latency' })).toEqual(['slow']);
  });

  it('are summed up by endpoint', async () => {
    for (const latencyMs of [10, 20, 30]) ledger.requests.record(request({ latencyMs }));
    ledger.requests.record(request({ route: '/api/v1/tenants', latencyMs: 100, status: 503 }));
    ledger.requests.record(request({ route: '/api/v1/tenants', latencyMs: 100, status: 429 }));
    await written(5);
    expect(await ledger.requests.stats(DAY_MS)).toMatchObject({
      requests: 5,
      failures: 1,
      averageLatencyMs: 52,
      slowEndpoints: [
        { route: '/api/v1/tenants', requests: 2, errors: 2, averageLatencyMs: 100 },
        { route: '/api/v1/tenants/:id', requests: 3, errors: 0, averageLatencyMs: 20 },
      ],
      errorEndpoints: [{ route: '/api/v1/tenants', errors: 2 }],
    });
    await clock.advance(2 * DAY_MS);
    expect(await ledger.requests.stats(DAY_MS)).toMatchObject({ requests: 0, averageLatencyMs: 0 });
  });

  it('hold whatever a client sends, and nobody loses a batch by it', async () => {
    ledger.requests.record(
      request({ path: '/a\0b', userAgent: '\uD800', query: { 'x\0': 'y'.repeat(9_000) } }),
    );
    ledger.requests.record(request({ requestId: 'neighbour' }));
    await written(2);
    const [row] = await ledger.requests.list({ ...everything, pathPrefix: '/a' });
    expect(row).toMatchObject({ path: '/a\uFFFDb', user_agent: '\uFFFD' });
  });

  it('are forgotten with their day', async () => {
    ledger.requests.record(request());
    await written(1);
    clock.step(DAY_MS);
    await ledger.compact();
    expect(await database.query('SELECT FROM request_metrics')).toHaveLength(1);
    clock.step(2 * DAY_MS);
    await ledger.compact();
    expect(await database.query('SELECT FROM request_metrics')).toHaveLength(0);
    ledger.requests.record(request());
    await written(1);
  });

  it('that find no room are dropped and counted, and nobody waits', async () => {
    const log: string[] = [];
    const sink = { name: 'away', write: () => Promise.reject(new Error('it is away')) };
    const other = open({
      metrics: new Registry(),
      log: pino({ level: 'warn' }, { write: (line: string) => void log.push(line) }),
      sink,
    });
    const figures = new Registry();
    const full = open({ metrics: figures });
    for (let count = 0; count < 50_001; count += 1) full.requests.record(request());
    expect(await figures.metrics()).toContain(
      'landlord_request_records_dropped_total{sink="postgres",cause="full"} 1\n',
    );
    other.requests.record(request());
    await Promise.all([other.close(), full.close()]);
    expect(log.join('')).toContain('it is away');
    expect(await database.query('SELECT FROM request_metrics')).toHaveLength(50_001);
  });
});

describe('the audit log', () => {
  it('is written when `record` says so, also when many write at once', async () => {
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => ledger.audit.record(entry({ requestId: `request-${index}` }))),
    );
    const entries = await ledger.audit.list({ limit: 100 });
    expect(new Set(entries.map(({ requestId }) => requestId)).size).toBe(50);
  });

  it('is read from the newest on, by tenant and by who it was', async () => {
    const tenantUid = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';
    await ledger.audit.record(entry({ subject: 'olga', tenantUid, before: { a: 1 }, after: { a: 2 } }));
    await ledger.audit.record(entry({ subject: 'carl', status: 409, errorCode: 'conflict' }));
    const [carl, olga] = await ledger.audit.list({ limit: 10 });
    expect(carl).toMatchObject({ subject: 'carl', status: 409, errorCode: 'conflict', before: undefined });
    expect(olga).toMatchObject({ subject: 'olga', tenantUid, before: { a: 1 }, after: { a: 2 } });
    expect(await ledger.audit.list({ limit: 10, subject: 'carl' })).toEqual([carl]);
    expect(await ledger.audit.list({ limit: 10, tenantUid })).toEqual([olga]);
    expect(await ledger.audit.list({ limit: 10, beforeId: carl!.id })).toEqual([olga]);
  });

  it('says so when it cannot be written', async () => {
    await expect(ledger.audit.record(entry({ tenantUid: 'no uuid' }))).rejects.toThrow(
      'cannot write the audit log',
    );
    await ledger.audit.record(entry());
    expect(await ledger.audit.list({ limit: 10 })).toHaveLength(1);
  });

  it('is forgotten after its time', async () => {
    await ledger.audit.record(entry());
    clock.step(29 * DAY_MS);
    await ledger.compact();
    expect(await ledger.audit.list({ limit: 10 })).toHaveLength(1);
    clock.step(DAY_MS);
    await ledger.compact();
    expect(await ledger.audit.list({ limit: 10 })).toEqual([]);
  });
});
