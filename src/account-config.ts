/**
 * What did the operator ask for about people and money? The variables of logins, plans and billing, as a part of
 * the table in config.ts, with the rules for what must be set together.
 */
import { z } from 'zod';

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== ''),
);
const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .transform((url) => url.replace(/\/+$/, ''));
const word = z.string().min(1);

/** The regions that the CLI offers, and one more that its documents name. */
const REGIONS = 'ams,fra,gru,iad,lhr,nrt,ord,sin,syd';

export const accountVariables = {
  LANDLORD_PUBLIC_URL: httpUrl.optional(),
  LANDLORD_REDIRECT_HOSTS: list
    .refine(
      (hosts) => hosts.every((host) => /^[a-z0-9.-]+(:\d{1,5})?$/.test(host)),
      'must be host names, with a port or without',
    )
    .default([]),
  LANDLORD_OPERATORS: list
    .transform((addresses) => addresses.map((address) => address.toLowerCase()))
    .refine(
      (addresses) => addresses.every((address) => z.email().safeParse(address).success),
      'must be e-mail addresses',
    )
    .default([]),
  LANDLORD_REGIONS: list
    .refine(
      (regions) => regions.every((region) => /^[a-z]{3}$/.test(region)),
      'must be region codes such as iad',
    )
    .prefault(REGIONS),
  LANDLORD_PLANS_FILE: word.optional(),
  GITHUB_CLIENT_ID: word.optional(),
  GITHUB_CLIENT_SECRET: word.optional(),
  GOOGLE_CLIENT_ID: word.optional(),
  GOOGLE_CLIENT_SECRET: word.optional(),
  OIDC_ISSUER: httpUrl.optional(),
  OIDC_CLIENT_ID: word.optional(),
  OIDC_CLIENT_SECRET: word.optional(),
  PADDLE_API_KEY: word.optional(),
  PADDLE_WEBHOOK_SECRET: word.optional(),
  PADDLE_CLIENT_TOKEN: word.optional(),
  PADDLE_ENVIRONMENT: z.enum(['production', 'sandbox']).default('production'),
  PADDLE_API_URL: httpUrl.optional(),
};

type AccountEnvironment = z.infer<z.ZodObject<typeof accountVariables>>;

/** Half of each of these is a mistake: whoever set it expects something that would not happen. */
const TOGETHER: readonly (readonly (keyof AccountEnvironment)[])[] = [
  ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET'],
  ['GOOGLE_CLIENT_ID', 'GOOGLE_CLIENT_SECRET'],
  ['OIDC_ISSUER', 'OIDC_CLIENT_ID', 'OIDC_CLIENT_SECRET'],
  ['PADDLE_API_KEY', 'PADDLE_WEBHOOK_SECRET'],
];

/** Names of which each means nothing without the other one. */
const NEEDS: readonly (readonly [keyof AccountEnvironment, keyof AccountEnvironment])[] = [
  ['PADDLE_CLIENT_TOKEN', 'PADDLE_API_KEY'],
  ['PADDLE_ENVIRONMENT', 'PADDLE_API_KEY'],
  ['PADDLE_API_URL', 'PADDLE_API_KEY'],
  // Prices are ids of the operator's own Paddle account: the plans that development shows cannot be bought.
  ['PADDLE_API_KEY', 'LANDLORD_PLANS_FILE'],
];

export interface OAuthClient {
  readonly clientId: string;
  readonly clientSecret: string;
}

export interface AccountConfig {
  /** Absent: where the API listens. */
  readonly publicUrl: string | undefined;
  readonly redirectHosts: readonly string[];
  readonly operators: readonly string[];
  readonly regions: readonly string[];
  /** Absent: in development those of examples/, in production those that the database has. */
  readonly plansFile: string | undefined;
  readonly github: OAuthClient | undefined;
  readonly google: OAuthClient | undefined;
  readonly oidc: (OAuthClient & { readonly issuer: string }) | undefined;
  readonly billing:
    | {
        readonly apiKey: string;
        readonly webhookSecret: string;
        readonly environment: string;
        readonly clientToken: string | undefined;
      }
    | undefined;
}

/** What is set by halves, and what production lacks. */
export function accountProblems(given: Readonly<Record<string, unknown>>): string[] {
  const isSet = (name: string): boolean => given[name] !== undefined;
  const halves = TOGETHER.filter((names) => names.some(isSet)).flatMap((names) =>
    names
      .filter((name) => !isSet(name))
      .map((name) => `${name}: must be set together with ${names.find(isSet) ?? ''}`),
  );
  const lonely = NEEDS.filter(([name, needed]) => isSet(name) && !isSet(needed)).map(
    ([name, needed]) => `${needed}: must be set together with ${name}`,
  );
  return [...new Set([...halves, ...lonely, ...plainIssuer(given['OIDC_ISSUER'])])];
}

/** Logins over an open line could be anybody's. */
function plainIssuer(issuer: unknown): string[] {
  const plain = typeof issuer === 'string' && URL.canParse(issuer) && new URL(issuer).protocol === 'http:';
  return plain && !['127.0.0.1', 'localhost', '[::1]'].includes(new URL(issuer).hostname)
    ? ['OIDC_ISSUER: must be an https URL, unless it is on this machine']
    : [];
}

/** Whether anybody can log in through a provider. */
export function hasLogin(given: Readonly<Record<string, unknown>>): boolean {
  return ['GITHUB_CLIENT_ID', 'GOOGLE_CLIENT_ID', 'OIDC_ISSUER'].some((name) => given[name] !== undefined);
}

export function toAccountConfig(env: AccountEnvironment): AccountConfig {
  const oidc = client(env.OIDC_CLIENT_ID, env.OIDC_CLIENT_SECRET);
  return {
    publicUrl: env.LANDLORD_PUBLIC_URL,
    redirectHosts: env.LANDLORD_REDIRECT_HOSTS,
    operators: env.LANDLORD_OPERATORS,
    regions: env.LANDLORD_REGIONS,
    plansFile: env.LANDLORD_PLANS_FILE,
    github: client(env.GITHUB_CLIENT_ID, env.GITHUB_CLIENT_SECRET),
    google: client(env.GOOGLE_CLIENT_ID, env.GOOGLE_CLIENT_SECRET),
    oidc:
      env.OIDC_ISSUER === undefined || oidc === undefined ? undefined : { ...oidc, issuer: env.OIDC_ISSUER },
    billing: billing(env),
  };
}

function client(clientId: string | undefined, clientSecret: string | undefined): OAuthClient | undefined {
  return clientId === undefined || clientSecret === undefined ? undefined : { clientId, clientSecret };
}

function billing(env: AccountEnvironment): AccountConfig['billing'] {
  const { PADDLE_API_KEY: apiKey, PADDLE_WEBHOOK_SECRET: webhookSecret } = env;
  if (apiKey === undefined || webhookSecret === undefined) return undefined;
  const environment = env.PADDLE_API_URL ?? env.PADDLE_ENVIRONMENT;
  return { apiKey, webhookSecret, environment, clientToken: env.PADDLE_CLIENT_TOKEN };
}
