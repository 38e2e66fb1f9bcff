import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import {
  createPostgresStore,
  type PostgresStore,
  type PostgresStoreOptions,
} from '../../../src/store/postgres/postgres-store.ts';
import { GoneError, type WatchEvent } from '../../../src/store/store.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createTestDatabase, silentLog, type TestDatabase } from '../../support/database.ts';
import { changesOf, follow, tenantsOf, type Follower } from '../follow.ts';

const namespace = 'default';

describe('the feed of changes in PostgreSQL', () => {
  let database: TestDatabase;
  let stores: PostgresStore[];
  let followers: Follower[];

  beforeEach(async () => {
    database = await createTestDatabase();
    stores = [];
    followers = [];
  });
  afterEach(async () => {
    await Promise.all(followers.map((follower) => follower.stop()));
    await Promise.all(stores.map((store) => store.close()));
    await database.drop();
  });

  const openStore = (options: Partial<PostgresStoreOptions> = {}) => {
    const defaults = { database: database.database, clock: systemClock, log: silentLog() };
    const store = createPostgresStore({ ...defaults, ...options });
    stores.push(store);
    return store;
  };
  const followFrom = (store: PostgresStore, resourceVersion: string) => {
    const follower = follow(store.tenants, { resourceVersion });
    followers.push(follower);
    return follower;
  };
  const create = (store: PostgresStore, name: string) =>
    store.tenants.create({ metadata: { namespace, name }, spec: { owner: 'ctm_1', region: 'iad' } });
  const caughtUp = (follower: Follower) =>
    follower.until((seen) => seen.some((event) => event.type === 'BOOKMARK'));

  it('never skips a change that took its number first and commits last', async () => {
    const store = openStore();
    const { resourceVersion } = await store.tenants.list();
    const follower = followFrom(store, resourceVersion);
    await caughtUp(follower);

    // A writer that stops between taking its number and its commit, as one does whose network hangs.
    const slow = new pg.Client(database.url);
    await slow.connect();
    await slow.query('BEGIN');
    const taken = await slow.query<{ value: string }>(
      'UPDATE tenant_revision SET value = value + 1 RETURNING value',
    );
    const fast = create(store, 'fast');
    await blockedBy(slow);
    const after = {
      metadata: { ...outline('slow'), uid: '00000000-0000-4000-8000-000000000001' },
      spec: { owner: 'o', region: 'iad' },
    };
    await slow.query(
      `INSERT INTO tenant_changes VALUES ($1, 'ADDED', $2, 'default', 'slow', $3, NULL, now())`,
      [taken.rows[0]?.value, after.metadata.uid, JSON.stringify(after)],
    );
    await slow.query('COMMIT');
    await slow.end();

    const made = await fast;
    expect(Number(made.metadata.resourceVersion)).toBe(Number(taken.rows[0]?.value) + 1);
    const seen = await follower.until((events) => changesOf(events).includes('ADDED fast'));
    expect(changesOf(seen)).toEqual(['ADDED slow', 'ADDED fast']);
  });

  it('finds a change whose notification was lost', async () => {
    const store = openStore({ pollIntervalMs: 20 });
    const follower = followFrom(store, (await store.tenants.list()).resourceVersion);
    await caughtUp(follower);
    // Written by hand: nothing is notified.
    const after = {
      metadata: { ...outline('quiet'), uid: '00000000-0000-4000-8000-000000000002' },
      spec: { owner: 'o', region: 'iad' },
    };
    await database.query(
      `WITH revision AS (UPDATE tenant_revision SET value = value + 1 RETURNING value)
       INSERT INTO tenant_changes SELECT value, 'ADDED', $1, 'default', 'quiet', $2, NULL, now() FROM revision`,
      [after.metadata.uid, JSON.stringify(after)],
    );
    const seen = await follower.until((events) => changesOf(events).length > 0);
    expect(changesOf(seen)).toEqual(['ADDED quiet']);
  });

  it('is woken by the writes of another process without waiting for its own look', async () => {
    const clock = createFakeClock(); // Never advanced: only a notification can wake the watcher.
    const watching = openStore({ clock });
    const writing = openStore();
    const follower = followFrom(watching, (await watching.tenants.list()).resourceVersion);
    await caughtUp(follower);
    await create(writing, 'a');
    expect(changesOf(await follower.until((events) => changesOf(events).length > 0))).toEqual(['ADDED a']);
  });

  it('keeps listening after its connection was lost', async () => {
    const store = openStore({ pollIntervalMs: 3_600_000 });
    const follower = followFrom(store, (await store.tenants.list()).resourceVersion);
    await caughtUp(follower);
    const listeners = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`;
    const before = await database.query<{ pid: number }>(listeners);
    expect(before).toHaveLength(1);
    await database.query('SELECT pg_terminate_backend($1)', [before[0]?.pid]);
    await create(store, 'a');
    expect(changesOf(await follower.until((events) => changesOf(events).length > 0))).toEqual(['ADDED a']);
    const after = await database.query<{ pid: number }>(listeners);
    expect(after).toHaveLength(1);
    expect(after[0]?.pid).not.toBe(before[0]?.pid);
    expect(follower.restarts).toBe(0);
  });

  it('serves a watcher that falls behind what is kept in memory, without holding up the others', async () => {
    const store = openStore({ cacheSize: 3 });
    const { resourceVersion } = await store.tenants.list();
    const aborter = new AbortController();
    const slow = store.tenants.watch({ resourceVersion, signal: aborter.signal })[Symbol.asyncIterator]();
    expect((await slow.next()).value).toMatchObject({ type: 'BOOKMARK' });
    const quick = followFrom(store, resourceVersion);
    const names = Array.from({ length: 20 }, (_, index) => `t-${index}`);
    for (const name of names) await create(store, name);
    await quick.until((seen) => changesOf(seen).length === names.length);
    const seen: unknown[] = [];
    for (const _ of names) seen.push(((await slow.next()).value as { tenant: unknown }).tenant);
    aborter.abort();
    expect((await slow.next()).done).toBe(true);
    expect(seen).toEqual(tenantsOf(quick.seen));
  });

  it('says Gone to a watcher that falls behind what the table keeps', async () => {
    const store = openStore({ cacheSize: 1, retention: { keepChanges: 2, keepChangesMs: -1 } });
    const { resourceVersion } = await store.tenants.list();
    const slow = iterate(store, resourceVersion);
    await slow.next();
    for (const name of ['a', 'b', 'c', 'd']) await create(store, name);
    await store.compact();
    await expect(slow.next()).rejects.toThrow(GoneError);
  });

  it('says Gone to a version that this database has never given out', async () => {
    const store = openStore();
    await expect(iterate(store, '999999').next()).rejects.toThrow(GoneError);
  });

  it('sends a bookmark each time its interval is over, with the newest version', async () => {
    const clock = createFakeClock();
    const store = openStore({ clock, bookmarkIntervalMs: 60_000, pollIntervalMs: 3_600_000 });
    const { resourceVersion } = await store.tenants.list();
    const watch = store.tenants.watch({
      resourceVersion,
      namespace: 'other',
      signal: new AbortController().signal,
    });
    const events = watch[Symbol.asyncIterator]();
    expect((await events.next()).value).toEqual({ type: 'BOOKMARK', resourceVersion });
    const { metadata } = await create(store, 'a');
    const next = events.next();
    const interval = setInterval(() => clock.advanceSync(60_000), 5);
    const bookmark = (await next).value as { resourceVersion: string };
    clearInterval(interval);
    expect(bookmark).toMatchObject({ type: 'BOOKMARK' });
    // The watcher may have looked a moment before the tail had seen the change; the bookmark after that has it.
    if (bookmark.resourceVersion !== metadata.resourceVersion) {
      const again = setInterval(() => clock.advanceSync(60_000), 5);
      expect((await events.next()).value).toEqual({
        type: 'BOOKMARK',
        resourceVersion: metadata.resourceVersion,
      });
      clearInterval(again);
    }
    await events.return?.();
  });

  it('ends a watch with an error when the store is closed below it', async () => {
    const store = openStore();
    const { resourceVersion } = await store.tenants.list();
    const events = iterate(store, resourceVersion);
    await events.next();
    const ended = expect(events.next()).rejects.toThrow('cannot watch tenants: the store is closed');
    await store.close();
    await ended;
  });

  it('leaves nothing running when the last watcher goes', async () => {
    const clock = createFakeClock();
    const store = openStore({ clock });
    const idle = clock.timers;
    const follower = followFrom(store, (await store.tenants.list()).resourceVersion);
    await caughtUp(follower);
    await follower.stop();
    await create(store, 'a');
    await store.tenants.list();
    expect(clock.timers).toBe(idle);
  });

  /** Resolves once another connection waits for a lock that this one holds. */
  async function blockedBy(client: pg.Client): Promise<void> {
    const own = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    for (let attempt = 0; attempt < 500; attempt += 1) {
      const rows = await database.query(
        'SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))',
        [own.rows[0]?.pid],
      );
      if (rows.length > 0) return;
    }
    throw new Error('nobody waits for the lock');
  }
});

function outline(name: string): object {
  return { name, namespace, generation: 1, creationTimestamp: '2026-01-01T00:00:00.000Z' };
}

/** One watcher that takes a change only when the test asks for it. */
function iterate(store: PostgresStore, resourceVersion: string): AsyncIterator<WatchEvent> {
  const { signal } = new AbortController();
  return store.tenants.watch({ resourceVersion, signal })[Symbol.asyncIterator]();
}
