import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { DatabaseError } from '../../../src/database/errors.ts';
import { createPostgresStore, type PostgresStore } from '../../../src/store/postgres/postgres-store.ts';
import { InvalidError } from '../../../src/store/store.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

const namespace = 'default';
const spec = { owner: 'ctm_1', region: 'iad' };

describe('the postgres store', () => {
  let database: TestDatabase;
  let store: PostgresStore;
  let clock: FakeClock;
  let logged: string[];

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  beforeEach(async () => {
    logged = [];
    clock = createFakeClock();
    const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) });
    store = createPostgresStore({ database: database.database, clock, log });
    await database.query('TRUNCATE tenants, tenant_changes, tenant_events');
  });
  afterEach(() => store.close());
  afterAll(() => database.drop());

  const create = (name: string, metadata: object = {}) =>
    store.tenants.create({ metadata: { namespace, name, ...metadata }, spec });
  const revision = async () =>
    (await database.query<{ value: string }>('SELECT value FROM tenant_revision'))[0]?.value;
  const changes = async () =>
    (await database.query<{ count: number }>('SELECT count(*)::int AS count FROM tenant_changes'))[0]?.count;

  it('takes no revision and feeds no change for a write that changes nothing or is refused', async () => {
    const tenant = await create('a', { finalizers: ['example.com/keep'] });
    const marked = await store.tenants.delete({ namespace, name: 'a' });
    const told = await store.tenants.updateStatus({ ...marked, status: { phase: 'running' } });
    const before = [await revision(), await changes()];
    await store.tenants.update(told);
    await store.tenants.updateStatus({ ...told, status: { phase: 'running' } });
    await store.tenants.delete({ namespace, name: 'a' });
    await store.tenants.update({ ...told, spec: { ...told.spec, memoryMb: 256 } }, { dryRun: true });
    await expect(store.tenants.update(tenant)).rejects.toThrow('it was changed in the meantime');
    await expect(create('a')).rejects.toThrow('it exists already');
    expect([await revision(), await changes()]).toEqual(before);
  });

  it('writes a status and its events together or not at all', async () => {
    const tenant = await create('a');
    const event = { type: 'Normal', reason: 'Converged', message: 'Done.' } as const;
    const { uid } = tenant.metadata;
    const updated = await store.tenants.updateStatus({ ...tenant, status: { phase: 'running' } }, [event]);
    expect(await store.events.list(uid)).toMatchObject([event]);

    // The second writer loses between its read and its write: its event must not stay behind.
    const late = { ...event, reason: 'Late' };
    const race = [
      store.tenants.updateStatus({ ...updated, status: { phase: 'failed' } }, [late]),
      store.tenants.updateStatus({ ...updated, status: { phase: 'deploying' } }, [late]),
    ];
    const results = await Promise.allSettled(race);
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await store.events.list(uid)).toMatchObject([event, { ...late, count: 1 }]);
  });

  it('records the events of a status that did not change, without a new version', async () => {
    const tenant = await create('a');
    const first = await store.tenants.updateStatus({ ...tenant, status: { phase: 'running' } });
    const event = { type: 'Warning', reason: 'Drifted', message: 'The machine was gone.' } as const;
    expect(await store.tenants.updateStatus({ ...first, status: { phase: 'running' } }, [event])).toEqual(
      first,
    );
    expect(await store.events.list(tenant.metadata.uid)).toMatchObject([event]);
  });

  it('hands out a row that the schema refuses as it is, and complains once', async () => {
    await create('a');
    await create('b');
    await database.query(`UPDATE tenants SET spec = spec || '{"fromTheFuture": true}' WHERE name = 'a'`);
    for (let times = 0; times < 3; times += 1) {
      const { items } = await store.tenants.list();
      expect(items.map((tenant) => tenant.metadata.name)).toEqual(['a', 'b']);
      expect(items[0]?.spec).toMatchObject({ ...spec, fromTheFuture: true });
    }
    expect(logged.filter((line) => line.includes('does not fit the schema'))).toHaveLength(1);
  });

  it('fills in the defaults of fields that are newer than the row', async () => {
    await create('a');
    await database.query(`UPDATE tenants SET spec = spec - 'volumeGb' - 'env'`);
    const tenant = await store.tenants.get({ namespace, name: 'a' });
    expect(tenant?.spec).toMatchObject({ volumeGb: 1, env: {} });
    const before = await revision();
    await store.tenants.update(tenant!);
    expect(await revision()).toBe(before);
    expect(logged).toEqual([]);
  });

  it.each([
    ['a NUL', 'a\0b'],
    ['half of a surrogate pair', 'a\uD800b'],
  ])('refuses %s, which PostgreSQL cannot hold, wherever it is', async (_what, text) => {
    const name = 'a';
    const refused = [
      store.tenants.create({ metadata: { namespace, name, annotations: { note: text } }, spec }),
      store.tenants.create({ metadata: { namespace, name, finalizers: [text] }, spec }),
      store.tenants.create({ metadata: { namespace, name }, spec: { ...spec, env: { A: text } } }),
      store.tenants.create({ metadata: { namespace, name }, spec: { ...spec, owner: text } }),
    ];
    for (const attempt of refused) await expect(attempt).rejects.toThrow(InvalidError);
    expect(await store.tenants.get({ namespace, name: text })).toBeUndefined();
    expect((await store.tenants.list({ owner: text })).items).toEqual([]);
    // A backslash that only looks like one of them is an ordinary text.
    const fine = await store.tenants.create({
      metadata: { namespace, name, annotations: { note: '\\u0000' } },
      spec,
    });
    expect(fine.metadata.annotations).toEqual({ note: '\\u0000' });
  });

  it('keeps the newest changes, and all of the last minutes', async () => {
    await store.close();
    store = createPostgresStore({
      database: database.database,
      clock,
      log: pino({ level: 'silent' }),
      retention: { keepChanges: 3, keepChangesMs: 60_000 },
    });
    const versions = [];
    for (const name of ['a', 'b', 'c', 'd', 'e'])
      versions.push((await create(name)).metadata.resourceVersion);
    await store.compact();
    expect(await changes()).toBe(5);
    clock.advanceSync(61_000);
    await create('young');
    await store.compact();
    expect(await changes()).toBe(3);
    const watch = store.tenants.watch({ resourceVersion: versions[2]!, signal: AbortSignal.timeout(10_000) });
    expect((await watch[Symbol.asyncIterator]().next()).value).toMatchObject({
      tenant: { metadata: { name: 'd' } },
    });
  });

  it('cleans up by itself once a minute', async () => {
    await store.close();
    store = createPostgresStore({
      database: database.database,
      clock,
      log: pino({ level: 'silent' }),
      retention: { keepChanges: 1, keepChangesMs: 0 },
    });
    for (const name of ['a', 'b', 'c']) await create(name);
    clock.advanceSync(70_000);
    await expect.poll(changes, { timeout: 10_000 }).toBe(1);
  });

  it('says what it could not do when the database is gone, and shows no value', async () => {
    const gone = await createTestDatabase();
    const orphan = createPostgresStore({
      database: gone.database,
      clock: systemClock,
      log: pino({ level: 'silent' }),
    });
    await gone.query('DROP TABLE tenants CASCADE');
    const attempt = orphan.tenants.create({
      metadata: { namespace, name: 'a' },
      spec: { ...spec, owner: 'ctm_secret' },
    });
    await expect(attempt).rejects.toThrow(DatabaseError);
    await expect(attempt).rejects.toThrow(
      'cannot get tenant "default/a": a table is missing, so the migrations have not run (42P01)',
    );
    await orphan.close();
    await gone.drop();
  });
});
