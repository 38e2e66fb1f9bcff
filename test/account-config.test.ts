/** Is what an operator says of logins and money understood, and half of it refused? */
import { describe, expect, it } from 'vitest';
import { readPlans } from '../src/accounts/plans.ts';
import { ConfigError, readConfig } from '../src/config.ts';

const PADDLE = { PADDLE_API_KEY: 'k', PADDLE_WEBHOOK_SECRET: 's', LANDLORD_PLANS_FILE: 'plans.yaml' };

function problemsOf(environment: NodeJS.ProcessEnv): readonly string[] {
  try {
    readConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the environment of accounts', () => {
  it('may be empty', () => {
    expect(readConfig({}).accounts).toEqual({
      publicUrl: undefined,
      redirectHosts: [],
      operators: [],
      regions: ['ams', 'fra', 'gru', 'iad', 'lhr', 'nrt', 'ord', 'sin', 'syd'],
      plansFile: undefined,
      github: undefined,
      google: undefined,
      oidc: undefined,
      billing: undefined,
    });
  });

  it('may have everything', () => {
    const { accounts } = readConfig({
      ...PADDLE,
      LANDLORD_PUBLIC_URL: 'https://api.example.com/',
      LANDLORD_REDIRECT_HOSTS: 'app.example.com, localhost:8443',
      LANDLORD_OPERATORS: 'Boss@Example.com',
      LANDLORD_REGIONS: 'iad,ord',
      GITHUB_CLIENT_ID: 'a',
      GITHUB_CLIENT_SECRET: 'b',
      OIDC_ISSUER: 'https://id.example.com',
      OIDC_CLIENT_ID: 'c',
      OIDC_CLIENT_SECRET: 'd',
      PADDLE_ENVIRONMENT: 'sandbox',
      PADDLE_CLIENT_TOKEN: 't',
    });
    expect(accounts).toMatchObject({
      publicUrl: 'https://api.example.com',
      redirectHosts: ['app.example.com', 'localhost:8443'],
      operators: ['boss@example.com'],
      regions: ['iad', 'ord'],
      github: { clientId: 'a', clientSecret: 'b' },
      oidc: { issuer: 'https://id.example.com', clientId: 'c', clientSecret: 'd' },
      billing: { apiKey: 'k', webhookSecret: 's', environment: 'sandbox', clientToken: 't' },
    });
  });

  const refused: readonly { name: string; environment: NodeJS.ProcessEnv; says: string }[] = [
    {
      name: 'an id without its secret',
      environment: { GITHUB_CLIENT_ID: 'a' },
      says: 'GITHUB_CLIENT_SECRET: must be set together with GITHUB_CLIENT_ID',
    },
    {
      name: 'a secret without its id',
      environment: { GOOGLE_CLIENT_SECRET: 'a' },
      says: 'GOOGLE_CLIENT_ID: must be set together with GOOGLE_CLIENT_SECRET',
    },
    {
      name: 'an issuer alone',
      environment: { OIDC_ISSUER: 'https://x.example' },
      says: 'OIDC_CLIENT_ID: must be set together with OIDC_ISSUER',
    },
    {
      name: 'an issuer over an open line',
      environment: { OIDC_ISSUER: 'http://x.example', OIDC_CLIENT_ID: 'a', OIDC_CLIENT_SECRET: 'b' },
      says: 'OIDC_ISSUER: must be an https URL, unless it is on this machine',
    },
    {
      name: 'a key of Paddle without the secret of its webhooks',
      environment: { ...PADDLE, PADDLE_WEBHOOK_SECRET: undefined },
      says: 'PADDLE_WEBHOOK_SECRET: must be set together with PADDLE_API_KEY',
    },
    {
      name: 'billing without plans',
      environment: { ...PADDLE, LANDLORD_PLANS_FILE: undefined },
      says: 'LANDLORD_PLANS_FILE: must be set together with PADDLE_API_KEY',
    },
    {
      name: 'a page of Paddle without Paddle',
      environment: { PADDLE_CLIENT_TOKEN: 't' },
      says: 'PADDLE_API_KEY: must be set together with PADDLE_CLIENT_TOKEN',
    },
    {
      name: 'an operator who is no address',
      environment: { LANDLORD_OPERATORS: 'boss' },
      says: 'LANDLORD_OPERATORS: must be e-mail addresses',
    },
    {
      name: 'a region that is none',
      environment: { LANDLORD_REGIONS: 'iad,mars' },
      says: 'LANDLORD_REGIONS: must be region codes such as iad',
    },
    {
      name: 'a redirect host with a scheme',
      environment: { LANDLORD_REDIRECT_HOSTS: 'https://x' },
      says: 'LANDLORD_REDIRECT_HOSTS: must be host names, with a port or without',
    },
  ];
  it.each(refused)('is refused with $name', ({ environment, says }) => {
    expect(problemsOf(environment)).toContain(says);
  });

  it('must have a public address and some login in production, and a provider will do', () => {
    const missing = problemsOf({ NODE_ENV: 'production' });
    expect(missing).toContain('LANDLORD_PUBLIC_URL: must be set in production');
    expect(missing.join()).toContain('a login provider (such as GITHUB_CLIENT_ID)');
    const withGithub = problemsOf({
      NODE_ENV: 'production',
      GITHUB_CLIENT_ID: 'a',
      GITHUB_CLIENT_SECRET: 'b',
    });
    expect(withGithub.join()).not.toContain('JWT_SECRET');
  });
});

describe('a file of plans', () => {
  it('that we ship is one', async () => {
    const { plans } = await readPlans(new URL('../examples/plans.yaml', import.meta.url));
    expect(plans.map(({ id }) => id)).toEqual(['free', 'basic', 'pro']);
  });

  it('that is missing is named', async () => {
    await expect(readPlans('/nowhere/plans.yaml')).rejects.toThrow(
      /^cannot read the plans in "\/nowhere\/plans\.yaml": ENOENT/,
    );
  });
});
