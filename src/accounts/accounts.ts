/**
 * What does the API need to know of people and of what they pay? Everything of this folder, put together: users and
 * their logins, the keys and tokens of Landlord's own, plans and subscriptions, and billing where it is set up.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/connection.ts';
import { createSealer, type EncryptionKey } from '../vault/seal.ts';
import { createCheckouts, type Checkouts } from './checkouts.ts';
import { createInbox, type Inbox } from './inbox.ts';
import { createLogin, type Login } from './login.ts';
import { createPaddle, type Paddle } from './paddle.ts';
import { createPlanBook, type PlanBook } from './plans.ts';
import type { LoginProvider } from './providers.ts';
import { createSigningKeys, type SigningKeys } from './signing-keys.ts';
import { createSubscriptions, type Subscriptions } from './subscriptions.ts';
import { createTokenIssuer, type TokenIssuer } from './tokens.ts';
import { createUsers, type Users } from './users.ts';

export interface AccountSettings {
  /** Where browsers and clients reach Landlord, without a slash at the end; also the issuer of its tokens. */
  readonly publicUrl: () => string;
  /** Hosts beside loopback to which a browser may be sent after a login or a payment. */
  readonly redirectHosts: readonly string[];
  /** Regions that can be ordered. */
  readonly regions: readonly string[];
  /** Verified addresses of those who are operators, in lowercase. */
  readonly operators: readonly string[];
}

export interface BillingSettings {
  readonly apiKey: string;
  readonly webhookSecret: string;
  /** `production`, `sandbox`, or an address. */
  readonly environment: string;
  /** Paddle's token for browsers; with it Landlord serves the page on which people pay. */
  readonly clientToken: string | undefined;
}

export interface Billing {
  readonly paddle: Paddle;
  readonly checkouts: Checkouts;
  readonly inbox: Inbox;
  readonly environment: string;
  readonly clientToken: string | undefined;
}

export interface Accounts {
  readonly settings: AccountSettings;
  readonly users: Users;
  readonly keys: SigningKeys;
  readonly tokens: TokenIssuer;
  readonly login: Login;
  readonly plans: PlanBook;
  readonly subscriptions: Subscriptions;
  /** Absent: nothing can be bought here. */
  readonly billing: Billing | undefined;
}

export interface AccountOptions {
  readonly database: Database;
  readonly encryptionKeys: readonly EncryptionKey[];
  readonly settings: AccountSettings;
  readonly providers: ReadonlyMap<string, LoginProvider>;
  readonly billing: BillingSettings | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Below it every provider has its own: `<this>/<provider>`. The operator tells it to the provider, with `/callback`. */
export const OAUTH_PATH = '/api/v1/auth/oauth';

export function createAccounts(options: AccountOptions): Accounts {
  const { database, settings, providers, clock, log } = options;
  const sealer = createSealer(options.encryptionKeys);
  const users = createUsers({ database, clock });
  const keys = createSigningKeys({ database, sealer, clock, log });
  const tokens = createTokenIssuer({ keys, issuer: settings.publicUrl, clock });
  const callbackUrl = (provider: string): string =>
    `${settings.publicUrl()}${OAUTH_PATH}/${encodeURIComponent(provider)}/callback`;
  return {
    settings,
    users,
    keys,
    tokens,
    login: createLogin({ providers, users, tokens, sealer, callbackUrl, clock, log }),
    plans: createPlanBook(database),
    subscriptions: createSubscriptions({ database, clock }),
    billing: options.billing && createBilling(options.billing, { database, clock }),
  };
}

function createBilling(
  settings: BillingSettings,
  parts: { readonly database: Database; readonly clock: Clock },
): Billing {
  const { environment, clientToken } = settings;
  const paddle = createPaddle({ ...settings, clock: parts.clock });
  const checkouts = createCheckouts({ ...parts, paddle });
  return { paddle, checkouts, inbox: createInbox(parts), environment, clientToken };
}
