/**
 * Which subscriptions are there, to what, and which tenant does each pay for? A row is computed from everything that
 * Paddle told of the subscription and never changed by hand; only the tenant that was made for it is ours to write.
 */
import { sql, type Selectable, type Transaction } from 'kysely';
import { z } from 'zod';
import type { Database } from '../database/connection.ts';
import type { Clock } from '../clock.ts';
import { attempt } from '../database/errors.ts';
import {
  notificationSchema,
  readSubscriptionEvent,
  type SubscriptionEvent,
  type SubscriptionStatus,
} from './paddle-events.ts';
import { projectSubscription, type SubscriptionState } from './projection.ts';
import { isGood } from './standing.ts';
import type { AccountDatabase, AccountTables, SubscriptionRow } from './tables.ts';

/** Times are milliseconds since the epoch. */
export interface Subscription {
  readonly id: string;
  /** Who owns what it pays for: whoever ordered it, and without an order of ours Paddle's customer. */
  readonly customer: string;
  /** Absent when its price belongs to no plan. */
  readonly planId: string | undefined;
  readonly priceId: string;
  readonly status: SubscriptionStatus;
  /** Whether anything was ever paid: before that there is no tenant. */
  readonly paid: boolean;
  readonly lapsedAt: number | undefined;
  readonly periodStart: number | undefined;
  readonly periodEnd: number | undefined;
  readonly cancelsAt: number | undefined;
  readonly checkoutId: string | undefined;
  readonly tenantUid: string | undefined;
  readonly problem: string | undefined;
}

export interface Subscriptions {
  /** Computes the row from the inbox, and marks what was read there as processed. Undefined: Paddle told nothing. */
  refresh(id: string): Promise<Subscription | undefined>;
  find(id: string): Promise<Subscription | undefined>;
  /** The one that decides over a tenant: a good one if there is any, else the one that Paddle spoke of last. */
  ofTenant(uid: string): Promise<Subscription | undefined>;
  /** By tenant; at most one each, chosen as by `ofTenant`. */
  ofTenants(uids: readonly string[]): Promise<ReadonlyMap<string, Subscription>>;
  ofCheckout(checkoutId: string): Promise<Subscription | undefined>;
  /** How many subscriptions that are not over a customer has on a plan. */
  countOf(customer: string, planId: string): Promise<number>;
  setTenant(id: string, tenantUid: string): Promise<void>;
  /** Tells the customer why there is no tenant; undefined takes it back. */
  setProblem(id: string, problem: string | undefined): Promise<void>;
  /** Ids in order, after `after`: everything that is in the inbox or has a row. */
  ids(after: string, limit: number): Promise<readonly string[]>;
}

/** A handful a month over many years; what is older than the newest ones no longer matters. */
const MOST_EVENTS = 1_000;

export function createSubscriptions(options: {
  readonly database: Database;
  readonly clock: Clock;
}): Subscriptions {
  const db: AccountDatabase = options.database.db.withTables<AccountTables>();
  const set = (id: string, values: Partial<Pick<SubscriptionRow, 'tenant_uid' | 'problem'>>) =>
    attempt(`update subscription "${id}"`, async () => {
      await db.updateTable('subscriptions').set(values).where('id', '=', id).execute();
    });
  const ofTenants = (uids: readonly string[]): Promise<ReadonlyMap<string, Subscription>> =>
    attempt('find the subscriptions of tenants', async () => {
      if (uids.length === 0) return new Map();
      const rows = await db
        .selectFrom('subscriptions')
        .selectAll()
        .where('tenant_uid', 'in', [...uids])
        .execute();
      return decisive(rows);
    });
  return {
    ofTenants,
    ofTenant: async (uid) => (await ofTenants([uid])).get(uid),
    refresh: (id) =>
      attempt(`refresh subscription "${id}"`, () =>
        db.transaction().execute((transaction) => refresh(transaction, { id, now: options.clock.now() })),
      ),
    find: (id) => attempt(`find subscription "${id}"`, () => findRow(db, id)),
    ofCheckout: (checkoutId) =>
      attempt('find the subscription of a checkout', async () => {
        const row = await db
          .selectFrom('subscriptions')
          .selectAll()
          .where('checkout_id', '=', checkoutId)
          .executeTakeFirst();
        return row && toSubscription(row);
      }),
    countOf: (customer, planId) =>
      attempt('count the subscriptions of a customer', async () => {
        const { count } = await db
          .selectFrom('subscriptions')
          .select((eb) => eb.fn.countAll<number>().as('count'))
          .where('customer_id', '=', customer)
          .where('plan_id', '=', planId)
          .where('status', '<>', 'canceled')
          .executeTakeFirstOrThrow();
        return count;
      }),
    setTenant: (id, tenantUid) => set(id, { tenant_uid: tenantUid, problem: null }),
    setProblem: (id, problem) => set(id, { problem: problem ?? null }),
    ids: (after, limit) =>
      attempt('list the subscriptions', async () => {
        const { rows } = await sql<{ id: string }>`
          SELECT id FROM (
            SELECT id FROM subscriptions
            UNION SELECT subscription_id FROM paddle_events WHERE processed_at IS NULL AND subscription_id IS NOT NULL
          ) AS known WHERE id > ${after} ORDER BY id LIMIT ${limit}`.execute(db);
        return rows.map(({ id }) => id);
      }),
  };
}

/** Under a lock, so that of two that compute at once the later one sees all that the earlier one has seen. */
async function refresh(
  transaction: Transaction<AccountTables>,
  { id, now }: { readonly id: string; readonly now: number },
): Promise<Subscription | undefined> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('subscriptions'), hashtext(${id}))`.execute(transaction);
  const stored = await transaction
    .selectFrom('paddle_events')
    .select(['id', 'payload', 'processed_at'])
    .where('subscription_id', '=', id)
    .orderBy('occurred_at', 'desc')
    .orderBy('id', 'desc')
    .limit(MOST_EVENTS)
    .execute();
  const read = stored.map((row) => ({ ...row, ...readEvent(row.payload) }));
  for (const row of read.filter(({ processed_at }) => processed_at === null))
    await transaction
      .updateTable('paddle_events')
      .set({ processed_at: new Date(now), problem: row.problem ?? null })
      .where('id', '=', row.id)
      .execute();
  const state = projectSubscription(read.flatMap(({ event }) => event ?? []));
  if (state !== undefined) await writeState(transaction, id, state);
  return findRow(transaction, id);
}

async function findRow(
  db: Pick<AccountDatabase, 'selectFrom'>,
  id: string,
): Promise<Subscription | undefined> {
  const row = await db.selectFrom('subscriptions').selectAll().where('id', '=', id).executeTakeFirst();
  return row && toSubscription(row);
}

/** What Paddle says in words that we do not know is left out and told to the operator, until a newer version reads it. */
function readEvent(payload: unknown): { event?: SubscriptionEvent; problem?: string } {
  try {
    return { event: readSubscriptionEvent(notificationSchema.parse(payload)) };
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const paths = [...new Set(error.issues.map(({ path }) => path.join('.')))].sort().join(', ');
    return { problem: `cannot read the notification: unexpected content at ${paths}` };
  }
}

async function writeState(
  transaction: Transaction<AccountTables>,
  id: string,
  state: SubscriptionState,
): Promise<void> {
  // An order is known by the transaction that Paddle made for it, and by nothing that the buyer's browser could have set.
  const checkout =
    state.paidTransactions.length === 0
      ? undefined
      : await transaction
          .selectFrom('checkouts')
          .select(['id', 'customer_id'])
          .where('transaction_id', 'in', [...state.paidTransactions])
          .executeTakeFirst();
  const price = await transaction
    .selectFrom('plan_prices')
    .select('plan_id')
    .where('id', '=', state.priceId)
    .executeTakeFirst();
  const values = {
    customer_id: checkout?.customer_id ?? state.customerId,
    plan_id: price?.plan_id ?? null,
    price_id: state.priceId,
    status: state.status,
    paid: state.paidTransactions.length > 0,
    lapsed_at: date(state.lapsedAt),
    period_start: date(state.periodStart),
    period_end: date(state.periodEnd),
    cancels_at: date(state.cancelsAt),
    as_of: new Date(state.asOf),
    checkout_id: checkout?.id ?? null,
  };
  await transaction
    .insertInto('subscriptions')
    .values({ id, ...values, tenant_uid: null, problem: null })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
    .execute();
}

function decisive(rows: readonly Selectable<SubscriptionRow>[]): Map<string, Subscription> {
  const best = new Map<string, Selectable<SubscriptionRow>>();
  for (const row of rows) {
    const other = best.get(row.tenant_uid ?? '');
    if (other === undefined || rank(row) > rank(other)) best.set(row.tenant_uid ?? '', row);
  }
  return new Map([...best].map(([uid, row]) => [uid, toSubscription(row)]));
}

/** Any good one is above all others. */
function rank({ status, as_of }: Selectable<SubscriptionRow>): number {
  return as_of.getTime() + (isGood(status) ? Number.MAX_SAFE_INTEGER / 2 : 0);
}

function toSubscription(row: Selectable<SubscriptionRow>): Subscription {
  return {
    id: row.id,
    customer: row.customer_id,
    planId: row.plan_id ?? undefined,
    priceId: row.price_id,
    status: row.status,
    paid: row.paid,
    lapsedAt: row.lapsed_at?.getTime(),
    periodStart: row.period_start?.getTime(),
    periodEnd: row.period_end?.getTime(),
    cancelsAt: row.cancels_at?.getTime(),
    checkoutId: row.checkout_id ?? undefined,
    tenantUid: row.tenant_uid ?? undefined,
    problem: row.problem ?? undefined,
  };
}

function date(ms: number | undefined): Date | null {
  return ms === undefined ? null : new Date(ms);
}
