/**
 * What has Paddle told us? Every notification that it signed, stored before the delivery is answered, each once. What
 * follows from them is computed elsewhere, from all of them; here they only arrive, wake whoever computes, and can be
 * looked at and put back by an operator.
 */
import { sql, type Selectable } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/connection.ts';
import { attempt } from '../database/errors.ts';
import { subscriptionOf, type Notification } from './paddle-events.ts';
import { INBOX_CHANNEL, type AccountTables } from './tables.ts';

export interface InboxEntry {
  readonly id: string;
  readonly type: string;
  readonly occurredAt: string;
  readonly receivedAt: string;
  readonly subscriptionId: string | undefined;
  /** Absent: still to be processed. */
  readonly processedAt: string | undefined;
  /** Why nothing could be made of it. */
  readonly problem: string | undefined;
}

export interface Inbox {
  /** Stores a notification and wakes; false when it was there already. */
  store(notification: Notification): Promise<boolean>;
  /** Newest first. `before` is the id of the last entry of the page before. */
  list(query: {
    readonly unprocessed: boolean;
    readonly limit: number;
    readonly before?: string;
  }): Promise<readonly InboxEntry[]>;
  /** Wants it processed anew; false when there is no such notification. */
  replay(eventId: string): Promise<boolean>;
}

/** Notifications that nothing follows from are kept this long, for people to look at. */
const KEEP_UNUSED_MS = 30 * 86_400_000;

export function createInbox({ database, clock }: { database: Database; clock: Clock }): Inbox {
  const db = database.db.withTables<AccountTables>();
  return {
    store: (notification) =>
      attempt(`store the notification "${notification.event_id}"`, () =>
        db.transaction().execute(async (transaction) => {
          const now = new Date(clock.now());
          const subscriptionId = subscriptionOf(notification) ?? null;
          const stored = await transaction
            .insertInto('paddle_events')
            .values({
              id: notification.event_id,
              type: notification.event_type,
              occurred_at: new Date(notification.occurred_at),
              subscription_id: subscriptionId,
              payload: JSON.stringify(notification),
              received_at: now,
              processed_at: subscriptionId === null ? now : null,
              problem: null,
            })
            .onConflict((conflict) => conflict.column('id').doNothing())
            .executeTakeFirst();
          if (subscriptionId !== null)
            await sql`SELECT pg_notify(${INBOX_CHANNEL}, ${subscriptionId})`.execute(transaction);
          else
            await transaction
              .deleteFrom('paddle_events')
              .where('subscription_id', 'is', null)
              .where('received_at', '<', new Date(now.getTime() - KEEP_UNUSED_MS))
              .execute();
          return (stored.numInsertedOrUpdatedRows ?? 0n) > 0n;
        }),
      ),
    list: ({ unprocessed, limit, before }) =>
      attempt('list the notifications of Paddle', async () => {
        const rows = await db
          .selectFrom('paddle_events')
          .select(['id', 'type', 'occurred_at', 'received_at', 'subscription_id', 'processed_at', 'problem'])
          .$if(unprocessed, (query) =>
            query.where((eb) => eb.or([eb('processed_at', 'is', null), eb('problem', 'is not', null)])),
          )
          .$if(before !== undefined, (query) =>
            query.where(
              sql<boolean>`(received_at, id) < (SELECT received_at, id FROM paddle_events WHERE id = ${before ?? ''})`,
            ),
          )
          .orderBy('received_at', 'desc')
          .orderBy('id', 'desc')
          .limit(limit)
          .execute();
        return rows.map(toEntry);
      }),
    replay: (eventId) =>
      attempt(`replay the notification "${eventId}"`, async () => {
        const { rows } = await sql<{ found: unknown }>`
          WITH replayed AS (
            UPDATE paddle_events SET processed_at = NULL, problem = NULL
            WHERE id = ${eventId} AND subscription_id IS NOT NULL RETURNING subscription_id
          ) SELECT pg_notify(${INBOX_CHANNEL}, subscription_id) AS found FROM replayed`.execute(db);
        return rows.length > 0;
      }),
  };
}

type EntryRow = Selectable<Omit<AccountTables['paddle_events'], 'payload'>>;

function toEntry(row: EntryRow): InboxEntry {
  return {
    id: row.id,
    type: row.type,
    occurredAt: row.occurred_at.toISOString(),
    receivedAt: row.received_at.toISOString(),
    subscriptionId: row.subscription_id ?? undefined,
    processedAt: row.processed_at?.toISOString(),
    problem: row.problem ?? undefined,
  };
}
