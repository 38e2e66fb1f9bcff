/**
 * What happened to a tenant, told to people: kept where? A table beside the tenants. An event that says the same as
 * one of the last hour is counted there and moves to the end; each tenant keeps its newest two hundred. Writers of
 * one tenant's events take turns, so that ids become visible in order and a reader never misses one.
 */
import { sql, type Transaction } from 'kysely';
import type { Clock } from '../../clock.ts';
import type { Database } from '../../database/connection.ts';
import { attempt } from '../../database/errors.ts';
import type { EventStore, StoredEvent, TenantEvent } from '../store.ts';
import { createBell } from './bell.ts';
import { createEventTail } from './event-tail.ts';
import { EVENTS_CHANNEL, UID, type EventRow, type StoreDatabase, type StoreTables } from './tables.ts';

/** Equal events within this time are one event that is counted. */
const SAME_WITHIN_MS = 60 * 60 * 1_000;
const MOST_EVENTS_PER_TENANT = 200;
/** One pass reports a handful; anything beyond is a bug of the writer and must not fill a transaction. */
const MOST_EVENTS_AT_ONCE = 50;
const LONGEST_REASON = 64;
const LONGEST_MESSAGE = 1_024;
const PAGE_SIZE = 100;

export function createEventStore(options: {
  readonly db: StoreDatabase;
  readonly listen: Database['listen'];
  readonly clock: Clock;
  /** How often is looked, for all watchers at once, without having been woken. */
  readonly pollIntervalMs: number;
}): EventStore {
  const { db, clock } = options;
  const tail = createEventTail(options);

  const list: EventStore['list'] = (uid, { afterId = 0, limit = MOST_EVENTS_PER_TENANT } = {}) =>
    attempt(`list the events of tenant "${uid}"`, async () => {
      if (!UID.test(uid)) return [];
      const rows = await db
        .selectFrom('tenant_events')
        .selectAll()
        .where('tenant_uid', '=', uid)
        .where('id', '>', Math.min(afterId, Number.MAX_SAFE_INTEGER))
        .orderBy('id')
        .limit(Math.min(limit, MOST_EVENTS_PER_TENANT))
        .execute();
      return rows.map(toEvent);
    });

  async function* watch(
    uid: string,
    { afterId, signal }: Parameters<EventStore['watch']>[1],
  ): AsyncGenerator<StoredEvent> {
    // It names no tenant, and would spoil the look for all others.
    if (!UID.test(uid)) return;
    const watcher = { uid: uid.toLowerCase(), position: afterId, written: createBell(clock) };
    const unfollow = tail.follow(watcher);
    try {
      while (!signal.aborted) {
        const seen = watcher.written.rings;
        const events = await list(uid, { afterId: watcher.position, limit: PAGE_SIZE });
        yield* untilAborted(events, signal);
        watcher.position = events.at(-1)?.id ?? watcher.position;
        if (events.length === 0) await watcher.written.wait({ seen, signal });
      }
    } finally {
      unfollow();
    }
  }

  return {
    list,
    watch,
    record: (uid, events) =>
      attempt(`record events of tenant "${uid}"`, async () => {
        if (!UID.test(uid)) throw new Error(`cannot record events of tenant "${uid}": that is not a uid`);
        if (events.length === 0) return;
        await db
          .transaction()
          .execute((transaction) => appendEvents(transaction, { uid, events, now: clock.now() }));
      }),
  };
}

/** Appends events within somebody's transaction. It takes the tenant's lock, so call it before any other write. */
export async function appendEvents(
  transaction: Transaction<StoreTables>,
  options: { readonly uid: string; readonly events: readonly TenantEvent[]; readonly now: number },
): Promise<void> {
  const { uid, now } = options;
  await sql`SELECT pg_advisory_xact_lock(hashtext('tenant_events'), hashtext(${uid}))`.execute(transaction);
  for (const event of options.events.slice(0, MOST_EVENTS_AT_ONCE))
    await appendEvent(transaction, { uid, event, now });
  await sql`
    DELETE FROM tenant_events WHERE tenant_uid = ${uid} AND id <= (
      SELECT id FROM tenant_events WHERE tenant_uid = ${uid}
      ORDER BY id DESC OFFSET ${MOST_EVENTS_PER_TENANT} LIMIT 1
    )`.execute(transaction);
  await sql`SELECT pg_notify(${EVENTS_CHANNEL}, ${uid})`.execute(transaction);
}

async function appendEvent(
  transaction: Transaction<StoreTables>,
  { uid, event, now }: { readonly uid: string; readonly event: TenantEvent; readonly now: number },
): Promise<void> {
  const at = new Date(now);
  const text = {
    reason: storable(event.reason, LONGEST_REASON),
    message: storable(event.message, LONGEST_MESSAGE),
  };
  const repeated = await sql<{ id: number }>`
    UPDATE tenant_events SET count = count + 1, last_at = ${at}, id = nextval(pg_get_serial_sequence('tenant_events', 'id'))
    WHERE id = (
      SELECT id FROM tenant_events
      WHERE tenant_uid = ${uid} AND type = ${event.type} AND reason = ${text.reason} AND message = ${text.message}
        AND last_at > ${new Date(now - SAME_WITHIN_MS)}
      ORDER BY id DESC LIMIT 1
    ) RETURNING id`.execute(transaction);
  if (repeated.rows.length > 0) return;
  const row = { tenant_uid: uid, type: event.type, ...text, count: 1, first_at: at, last_at: at };
  await transaction.insertInto('tenant_events').values(row).execute();
}

/** An event is never worth refusing a status for: what PostgreSQL cannot hold is replaced, what is too long is cut. */
function storable(text: string, longest: number): string {
  return Buffer.from(text.replaceAll('\0', '\uFFFD'), 'utf8')
    .toString('utf8')
    .slice(0, longest)
    .replace(/[\uD800-\uDBFF]$/, '');
}

/** A row as the port speaks of it. */
export function toEvent(row: Omit<EventRow, 'id'> & { readonly id: number }): StoredEvent {
  return {
    id: row.id,
    tenantUid: row.tenant_uid,
    type: row.type,
    reason: row.reason,
    message: row.message,
    count: row.count,
    firstAt: row.first_at.toISOString(),
    lastAt: row.last_at.toISOString(),
  };
}

function* untilAborted(events: readonly StoredEvent[], signal: AbortSignal): Generator<StoredEvent> {
  for (const event of events) {
    if (signal.aborted) return;
    yield event;
  }
}
