/**
 * What do logins and billing stand on? The providers that the operator named, or one for the person at this very
 * machine in development; the plans of a file; and the account with which a development run begins.
 */
import type { Logger } from 'pino';
import { createAccounts, type Accounts } from './accounts/accounts.ts';
import { readPlans } from './accounts/plans.ts';
import {
  createDevelopmentProvider,
  createGithubProvider,
  createOidcProvider,
  type LoginProvider,
} from './accounts/providers.ts';
import { SESSION_LIFETIME_MS } from './accounts/tokens.ts';
import type { Clock } from './clock.ts';
import type { Config, EncryptionKey } from './config.ts';
import type { Database } from './database/connection.ts';
import { writeCredentials } from './development.ts';

const EXAMPLE_PLANS = new URL('../examples/plans.yaml', import.meta.url);
/** The customer who owns the example tenants. */
const EXAMPLE_CUSTOMER = 'ctm_example';
/** Who logs in on a development run. The address is reserved (RFC 2606), and of the shape that the CLI wants. */
const DEVELOPER = { subject: 'developer', email: 'developer@example.com', name: 'Developer' };
/** With billing, somebody whom Paddle can make a customer of: the owner of the examples is none that it knows. */
const BUYER = { subject: 'buyer', email: 'buyer@example.com', name: 'Buyer' };
const GOOGLE = 'https://accounts.google.com';
/** What the CLI offers; in development each of them works without being set up. */
const CLI_PROVIDERS = ['github', 'google'];

/** Accounts on a migrated database, with the operator's plans applied. Throws when the file of plans is wrong. */
export async function openAccounts(options: {
  readonly config: Config;
  readonly database: Database;
  readonly encryptionKeys: readonly EncryptionKey[];
  /** Where the API listens; asked only once it does. */
  readonly url: () => string;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<Accounts> {
  const { config, database, clock, log } = options;
  const { publicUrl, redirectHosts, operators, regions, plansFile, billing } = config.accounts;
  const accounts = createAccounts({
    database,
    encryptionKeys: options.encryptionKeys,
    settings: { publicUrl: () => publicUrl ?? options.url(), redirectHosts, operators, regions },
    providers: loginProviders(config),
    billing,
    clock,
    log,
  });
  const file = plansFile ?? (config.production ? undefined : EXAMPLE_PLANS);
  if (file !== undefined) await accounts.plans.apply(await readPlans(file));
  return accounts;
}

function loginProviders({ production, accounts }: Config): ReadonlyMap<string, LoginProvider> {
  const providers = new Map<string, LoginProvider>();
  const person = accounts.billing === undefined ? DEVELOPER : BUYER;
  if (!production) for (const name of CLI_PROVIDERS) providers.set(name, createDevelopmentProvider(person));
  const { github, google, oidc } = accounts;
  if (github !== undefined) providers.set('github', createGithubProvider(github));
  if (google !== undefined)
    providers.set('google', createOidcProvider({ ...google, name: 'google', issuer: GOOGLE }));
  if (oidc !== undefined) providers.set('oidc', createOidcProvider({ ...oidc, name: 'oidc' }));
  return providers;
}

/**
 * Makes the developer the customer of the examples, and writes tokens for people and scripts to the state folder.
 * Returns the operator's.
 */
export async function introduceDeveloper(options: {
  readonly accounts: Accounts;
  readonly config: Pick<Config, 'stateDir'>;
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<string> {
  const { accounts, config, url, clock, log } = options;
  const { user, session } = await accounts.users.logIn({ ...DEVELOPER, provider: 'development' });
  await accounts.users.setCustomer(user.id, EXAMPLE_CUSTOMER);
  const { tokens } = accounts;
  const operatorToken = await tokens.session(
    { subject: 'development-operator', role: 'operator' },
    clock.now() + SESSION_LIFETIME_MS,
  );
  const file = await writeCredentials(config.stateDir, {
    api_url: url,
    operator_token: operatorToken,
    customer_token: await tokens.session({ subject: user.id, sessionId: session.id }, session.expiresAt),
  });
  log.info(`credentials for this run are in ${file}`);
  return operatorToken;
}
