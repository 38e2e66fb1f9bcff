/**
 * How do accounts and billing look as rows? The types of migrations/0020_accounts.sql and 0021_billing.sql. Type
 * aliases, because kysely asks for types with an index signature, which an interface does not have.
 */
import type { Kysely } from 'kysely';
import type { SubscriptionStatus } from './paddle-events.ts';

export type AccountTables = {
  readonly users: {
    readonly id: string;
    readonly email: string;
    readonly name: string | null;
    readonly created_at: Date;
  };
  readonly user_identities: {
    readonly provider: string;
    readonly subject: string;
    readonly user_id: string;
    readonly created_at: Date;
  };
  readonly customers: { readonly id: string; readonly user_id: string; readonly created_at: Date };
  readonly login_sessions: {
    readonly id: string;
    readonly user_id: string;
    readonly created_at: Date;
    readonly expires_at: Date;
    readonly revoked_at: Date | null;
  };
  readonly signing_keys: {
    readonly kid: string;
    /** JSON; a string when written. */
    readonly public_jwk: unknown;
    readonly private_jwe: string;
    readonly created_at: Date;
    readonly signs_from: Date;
  };
  readonly plans: {
    readonly id: string;
    readonly document: unknown;
    readonly position: number;
    readonly offered: boolean;
  };
  readonly plan_prices: { readonly id: string; readonly plan_id: string };
  readonly checkouts: CheckoutRow;
  readonly paddle_events: {
    readonly id: string;
    readonly type: string;
    readonly occurred_at: Date;
    readonly subscription_id: string | null;
    readonly payload: unknown;
    readonly received_at: Date;
    readonly processed_at: Date | null;
    readonly problem: string | null;
  };
  readonly subscriptions: SubscriptionRow;
};

export type CheckoutRow = {
  readonly id: string;
  readonly customer_id: string;
  readonly price_id: string;
  readonly region: string;
  readonly redirect_uri: string | null;
  readonly tenant_name: string;
  readonly for_tenant: string | null;
  readonly transaction_id: string | null;
  readonly created_at: Date;
};

export type SubscriptionRow = {
  readonly id: string;
  readonly customer_id: string;
  readonly plan_id: string | null;
  readonly price_id: string;
  readonly status: SubscriptionStatus;
  readonly paid: boolean;
  readonly lapsed_at: Date | null;
  readonly period_start: Date | null;
  readonly period_end: Date | null;
  readonly cancels_at: Date | null;
  readonly as_of: Date;
  readonly checkout_id: string | null;
  readonly tenant_uid: string | null;
  readonly problem: string | null;
};

export type AccountDatabase = Kysely<AccountTables>;

/** Wakes whoever makes something of the inbox; carries the id of a subscription. */
export const INBOX_CHANNEL = 'landlord_paddle_inbox';
