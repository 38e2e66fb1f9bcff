import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createPostgresStore, type PostgresStore } from '../../../src/store/postgres/postgres-store.ts';
import type { StoredEvent, TenantEvent } from '../../../src/store/store.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { eventually } from '../../support/eventually.ts';
import { createTestDatabase, silentLog, type TestDatabase } from '../../support/database.ts';

const started: TenantEvent = { type: 'Normal', reason: 'Started', message: 'The machine started.' };
const failed: TenantEvent = { type: 'Warning', reason: 'Failed', message: 'The machine failed.' };

describe('events of tenants', () => {
  let database: TestDatabase;
  let store: PostgresStore;
  let clock: FakeClock;
  let uid: string;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  beforeEach(() => {
    clock = createFakeClock();
    store = createPostgresStore({ database: database.database, clock, log: silentLog() });
    uid = randomUUID();
  });
  afterEach(() => store.close());
  afterAll(() => database.drop());

  it('are kept in order, each with its times and its count', async () => {
    await store.events.record(uid, [started, failed]);
    const events = await store.events.list(uid);
    const at = '2026-01-01T00:00:00.000Z';
    expect(events).toEqual([
      { ...started, id: expect.any(Number) as number, tenantUid: uid, count: 1, firstAt: at, lastAt: at },
      { ...failed, id: expect.any(Number) as number, tenantUid: uid, count: 1, firstAt: at, lastAt: at },
    ]);
    expect(await store.events.list(uid, { afterId: events[0]!.id })).toEqual([events[1]]);
    expect(await store.events.list(uid, { limit: 1 })).toEqual([events[0]]);
    expect(await store.events.list(randomUUID())).toEqual([]);
    expect(await store.events.list('not-a-uid')).toEqual([]);
  });

  it('are counted, and move to the end, when they repeat within the hour', async () => {
    await store.events.record(uid, [started, failed]);
    const [first] = await store.events.list(uid);
    clock.advanceSync(59 * 60_000);
    await store.events.record(uid, [started]);
    const events = await store.events.list(uid);
    expect(events).toMatchObject([
      { reason: 'Failed', count: 1 },
      {
        reason: 'Started',
        count: 2,
        firstAt: '2026-01-01T00:00:00.000Z',
        lastAt: '2026-01-01T00:59:00.000Z',
      },
    ]);
    expect(events[1]!.id).toBeGreaterThan(first!.id);
    clock.advanceSync(61 * 60_000);
    await store.events.record(uid, [started]);
    expect(await store.events.list(uid)).toHaveLength(3);
  });

  it('are different when type, reason or message is', async () => {
    const others: TenantEvent[] = [
      { ...started, type: 'Warning' },
      { ...started, reason: 'Restarted' },
      { ...started, message: 'Other words.' },
    ];
    await store.events.record(uid, [started, ...others]);
    expect(await store.events.list(uid)).toMatchObject([started, ...others]);
  });

  it('are bounded to the newest two hundred of each tenant', async () => {
    const neighbour = randomUUID();
    await store.events.record(neighbour, [started]);
    for (let batch = 0; batch < 5; batch += 1)
      await store.events.record(
        uid,
        Array.from({ length: 50 }, (_, index) => ({ ...started, message: `Number ${batch * 50 + index}.` })),
      );
    const events = await store.events.list(uid);
    expect(events).toHaveLength(200);
    expect(events[0]?.message).toBe('Number 50.');
    expect(events.at(-1)?.message).toBe('Number 249.');
    expect(await store.events.list(neighbour)).toHaveLength(1);
  });

  it('are cut and cleaned instead of refused', async () => {
    await store.events.record(uid, [
      { ...started, message: `\0${'x'.repeat(2_000)}` },
      { ...started, message: 'a\uD800b' },
    ]);
    const events = await store.events.list(uid);
    expect(events.map((event) => event.message)).toEqual([`\uFFFD${'x'.repeat(1_023)}`, 'a\uFFFDb']);
  });

  it('are watched from an id on: history first, then live, until the watcher stops', async () => {
    await store.events.record(uid, [started]);
    const aborter = new AbortController();
    const seen: StoredEvent[] = [];
    for await (const event of store.events.watch(uid, { afterId: 0, signal: aborter.signal })) {
      seen.push(event);
      if (seen.length === 1) await store.events.record(randomUUID(), [failed]);
      if (seen.length === 1) await store.events.record(uid, [failed]);
      if (seen.length === 2) setImmediate(() => void store.events.record(uid, [started]));
      if (seen.length === 3) aborter.abort();
    }
    expect(seen).toMatchObject([started, failed, { ...started, count: 2 }]);
    expect(seen.every((event) => event.tenantUid === uid)).toBe(true);
  });

  it('are never missed by a watcher, however many write at once', async () => {
    const aborter = new AbortController();
    const watching = (async () => {
      const messages = new Set<string>();
      for await (const event of store.events.watch(uid, { afterId: 0, signal: aborter.signal })) {
        messages.add(event.message);
        if (messages.size === 60) aborter.abort();
      }
      return messages;
    })();
    const writes = Array.from({ length: 60 }, (_, index) =>
      store.events.record(uid, [{ ...started, message: `Number ${index}.` }]),
    );
    await Promise.all(writes);
    expect((await watching).size).toBe(60);
  });

  it('reach every watcher at the next look when their notification was lost', async () => {
    const aborter = new AbortController();
    const { signal } = aborter;
    const neighbour = randomUUID();
    const first = async (tenant: string): Promise<string | undefined> => {
      for await (const event of store.events.watch(tenant, { afterId: 0, signal })) return event.message;
      return undefined;
    };
    const timers = clock.timers;
    const watching = [first(uid), first(uid), first(neighbour)];
    // One look for all of them, however many watch.
    expect(clock.timers).toBe(timers + 1);
    for (const tenant of [uid, neighbour])
      await database.query(
        `INSERT INTO tenant_events (tenant_uid, type, reason, message, count, first_at, last_at)
         VALUES ($1, 'Normal', 'Started', 'Unannounced.', 1, now(), now())`,
        [tenant],
      );
    const seen = Promise.all(watching);
    let done = false;
    void seen.then(() => (done = true));
    await eventually(
      async () => {
        await clock.advance(5_000);
        return done;
      },
      { what: 'the look to find the events', intervalMs: 5 },
    );
    expect(await seen).toEqual(['Unannounced.', 'Unannounced.', 'Unannounced.']);
    aborter.abort();
    expect(clock.timers).toBe(timers);
  });

  it('outlive their tenant for a week', async () => {
    const tenant = await store.tenants.create({
      metadata: { namespace: 'default', name: 'a' },
      spec: { owner: 'ctm_1', region: 'iad' },
    });
    await store.events.record(uid, [started]);
    await store.events.record(tenant.metadata.uid, [started]);
    clock.advanceSync(6 * 24 * 3_600_000);
    await store.compact();
    expect(await store.events.list(uid)).toHaveLength(1);
    clock.advanceSync(2 * 24 * 3_600_000);
    await store.compact();
    expect(await store.events.list(uid)).toEqual([]);
    expect(await store.events.list(tenant.metadata.uid)).toHaveLength(1);
  });
});
