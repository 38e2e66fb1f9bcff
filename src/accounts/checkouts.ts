/**
 * How is a tenant ordered? A checkout remembers who wants what, and where; Paddle makes the transaction; the browser
 * pays there. The tenant comes later, from Paddle's word that it was paid, and never from here.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/connection.ts';
import { attempt } from '../database/errors.ts';
import type { Paddle } from './paddle.ts';
import type { AccountTables, CheckoutRow } from './tables.ts';

export interface Checkout {
  readonly id: string;
  readonly customer: string;
  readonly priceId: string;
  readonly region: string;
  readonly redirectUri: string | undefined;
  /** What the tenant is, or will be, called. */
  readonly tenantName: string;
  /** The tenant that exists and that it pays for; absent: a new one is made. */
  readonly forTenant: string | undefined;
}

export type Order = Omit<Checkout, 'id' | 'tenantName'> & {
  /** Wish for the tenant's name; a suffix makes it one of its own. */
  readonly name: string;
};

export interface PlacedCheckout {
  readonly checkout: Checkout;
  readonly checkoutUrl: string;
  readonly transactionId: string;
}

export interface Checkouts {
  /** Throws PaddleError. `pageUrl` gives the address of our own payment page for a checkout, if there is one. */
  place(order: Order, pageUrl: (checkoutId: string) => string | undefined): Promise<PlacedCheckout>;
  find(id: string): Promise<Checkout | undefined>;
}

const LONGEST_NAME = 63;
const SUFFIX_LENGTH = 8;

export function createCheckouts(options: {
  readonly database: Database;
  readonly paddle: Pick<Paddle, 'createTransaction'>;
  readonly clock: Clock;
}): Checkouts {
  const db = options.database.db.withTables<AccountTables>();
  return {
    async place(order, pageUrl) {
      const id = randomUUID();
      const tenantName = order.forTenant === undefined ? uniqueName(order.name, id) : order.name;
      const row: CheckoutRow = {
        id,
        customer_id: order.customer,
        price_id: order.priceId,
        region: order.region,
        redirect_uri: order.redirectUri ?? null,
        tenant_name: tenantName,
        for_tenant: order.forTenant ?? null,
        transaction_id: null,
        created_at: new Date(options.clock.now()),
      };
      await attempt('place a checkout', () => db.insertInto('checkouts').values(row).execute());
      const transaction = await options.paddle.createTransaction({
        customerId: order.customer,
        priceId: order.priceId,
        checkoutId: id,
        pageUrl: pageUrl(id),
      });
      // Before anybody learns where to pay: a payment always finds its order.
      await attempt('place a checkout', () =>
        db.updateTable('checkouts').set({ transaction_id: transaction.id }).where('id', '=', id).execute(),
      );
      return {
        checkout: toCheckout(row),
        checkoutUrl: transaction.checkoutUrl,
        transactionId: transaction.id,
      };
    },
    find: (id) =>
      attempt('find a checkout', async () => {
        const row = await db.selectFrom('checkouts').selectAll().where('id', '=', id).executeTakeFirst();
        return row && toCheckout(row);
      }),
  };
}

/** A DNS label that no other checkout can have, and the same every time for this one. */
function uniqueName(wish: string, checkoutId: string): string {
  const suffix = createHash('sha256').update(checkoutId).digest('hex').slice(0, SUFFIX_LENGTH);
  const slug = wish
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, LONGEST_NAME - SUFFIX_LENGTH - 1)
    .replace(/^-+|-+$/g, '');
  return `${slug === '' ? 'tenant' : slug}-${suffix}`;
}

function toCheckout(row: Selectable<CheckoutRow>): Checkout {
  return {
    id: row.id,
    customer: row.customer_id,
    priceId: row.price_id,
    region: row.region,
    redirectUri: row.redirect_uri ?? undefined,
    tenantName: row.tenant_name,
    forTenant: row.for_tenant ?? undefined,
  };
}
