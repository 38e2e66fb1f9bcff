/** Can people log in, and nobody in their place? With providers that speak their real wire, browser steps included. */
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { request } from 'undici';
import {
  createDevelopmentProvider,
  createGithubProvider,
  createOidcProvider,
} from '../../../src/accounts/providers.ts';
import {
  CLIENT,
  startGithub,
  startOidcIssuer,
  type FakeProvider,
  type Person,
} from '../../support/fake-providers.ts';
import { openHarness, type Harness } from '../harness.ts';

const CALLBACK = 'http://127.0.0.1:8765/callback';

let issuer: FakeProvider;
let github: FakeProvider;
let harness: Harness;
beforeAll(async () => {
  [issuer, github] = await Promise.all([startOidcIssuer(), startGithub()]);
  harness = await openHarness({
    providers: new Map([
      ['google', createOidcProvider({ ...CLIENT, name: 'google', issuer: issuer.url })],
      ['github', createGithubProvider({ ...CLIENT, url: github.url, apiUrl: github.url })],
      ['development', createDevelopmentProvider({ subject: 'dev', email: 'dev@example.com', name: 'Dev' })],
    ]),
    operators: ['boss@example.com'],
  });
});
afterEach(() => {
  issuer.fault = undefined;
  github.fault = undefined;
});
afterAll(async () => {
  await harness.close();
  await Promise.all([issuer.close(), github.close()]);
});

const ada: Person = { subject: '1001', email: 'Ada@Example.com', verified: true, name: 'Ada' };

async function get(url: string, token?: string) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await request(url, { headers });
  return {
    status: answer.statusCode,
    location: String(answer.headers['location']),
    headers: answer.headers,
    text: await answer.body.text(),
  };
}

const begin = (provider: string, redirect = CALLBACK) =>
  get(`${harness.url}/api/v1/auth/oauth/${provider}?redirect_uri=${encodeURIComponent(redirect)}`);

/** What the CLI's browser does: from the authorize address to where the CLI listens. */
async function browse(provider: string, redirect = CALLBACK): Promise<URL> {
  const { authorize_url: url } = JSON.parse((await begin(provider, redirect)).text) as {
    authorize_url: string;
  };
  let { location } = await get(url);
  if (location.startsWith(harness.url)) ({ location } = await get(location));
  return new URL(location);
}

async function logIn(provider: string, person: Person): Promise<string> {
  (provider === 'github' ? github : issuer).person = person;
  const back = await browse(provider);
  return back.searchParams.get('access_token') ?? '';
}

async function me(token: string) {
  const { status, text } = await get(`${harness.url}/api/v1/auth/me`, token);
  return { status, ...(JSON.parse(text) as { user: { id: string; email: string; name?: string } }) };
}

describe.each(['google', 'github'])('a login with %s', (provider) => {
  it('ends where the CLI listens, with a token that the CLI can read and the API takes', async () => {
    const token = await logIn(provider, ada);
    const claims = decodeJwt(token);
    expect(Number.isInteger(claims.exp)).toBe(true);
    expect(claims.iss).toBe(harness.url);
    expect(await me(token)).toMatchObject({ status: 200, user: { email: 'ada@example.com', name: 'Ada' } });
  });

  it('keeps the query that the address had', async () => {
    (provider === 'github' ? github : issuer).person = ada;
    const back = await browse(provider, 'http://localhost:9999/callback?from=cli&x=1');
    expect(back.searchParams.get('from')).toBe('cli');
    expect(back.searchParams.get('access_token')).toMatch(/\./);
  });

  it('is refused when the person says no', async () => {
    (provider === 'github' ? github : issuer).person = undefined;
    const back = await browse(provider);
    expect(back.href.startsWith(CALLBACK)).toBe(true);
    expect(back.searchParams.get('error')).toBe('access_denied');
    expect(back.searchParams.get('access_token')).toBeNull();
  });

  it('is refused without a verified address, and says what to do', async () => {
    (provider === 'github' ? github : issuer).person = { ...ada, subject: '77', verified: false };
    const back = await browse(provider);
    expect(back.searchParams.get('error_description')).toBe(
      `cannot log in: ${provider} has no verified e-mail address of you; verify one there first`,
    );
  });

  it('cannot be finished twice with one code', async () => {
    (provider === 'github' ? github : issuer).person = ada;
    const { authorize_url: url } = JSON.parse((await begin(provider)).text) as { authorize_url: string };
    const { location } = await get(url);
    expect(new URL((await get(location)).location).searchParams.has('access_token')).toBe(true);
    expect(new URL((await get(location)).location).searchParams.get('error')).toBe('server_error');
  });

  it('is answered 503, or refused at its end, while the provider is away', async () => {
    (provider === 'github' ? github : issuer).person = ada;
    const { authorize_url: url } = JSON.parse((await begin(provider)).text) as { authorize_url: string };
    const { location } = await get(url);
    (provider === 'github' ? github : issuer).fault = 'down';
    expect(new URL((await get(location)).location).searchParams.get('error')).toBe('server_error');
  });
});

describe('one person', () => {
  it('with two providers and one verified address is one user', async () => {
    const [first, second] = [await logIn('google', ada), await logIn('github', ada)];
    expect((await me(first)).user.id).toBe((await me(second)).user.id);
  });

  it('stays the same user with a new address, and never becomes another by taking theirs', async () => {
    const bob: Person = { subject: '2002', email: 'bob@example.com', verified: true };
    const { id } = (await me(await logIn('google', bob))).user;
    const moved = (await me(await logIn('google', { ...bob, email: 'bob@new.example.com' }))).user;
    expect(moved).toMatchObject({ id, email: 'bob@new.example.com' });
    const taking = (await me(await logIn('google', { ...bob, email: ada.email }))).user;
    expect(taking).toMatchObject({ id, email: 'bob@new.example.com' });
  });

  it('is an operator when the operator has named the address', async () => {
    const boss = await logIn('google', { subject: '3', email: 'Boss@example.com', verified: true });
    const tenants = `${harness.url}/apis/cloud.systemprompt.io/v1alpha1/tenants`;
    expect((await get(tenants, boss)).status).toBe(200);
    expect((await get(tenants, await logIn('google', ada))).status).toBe(403);
  });

  it('without a customer has no tenants, and sees none of anybody', async () => {
    const tenant = await harness.seed('of-somebody');
    const token = await logIn('google', { subject: '5', email: 'new@example.com', verified: true });
    expect(JSON.parse((await get(`${harness.url}/api/v1/tenants`, token)).text)).toEqual({ data: [] });
    expect((await get(`${harness.url}/api/v1/tenants/${tenant.metadata.uid}`, token)).status).toBe(404);
  });
});

describe('an id token', () => {
  it.each(['another nonce', 'another audience', 'another key'] as const)(
    'with %s is refused',
    async (fault) => {
      issuer.person = ada;
      issuer.fault = fault;
      const back = await browse('google');
      expect(back.searchParams.get('error')).toBe('server_error');
      expect(back.searchParams.get('access_token')).toBeNull();
    },
  );
});

describe('the address to come back to', () => {
  it.each([
    'https://evil.example/callback',
    'http://evil.example/callback',
    'http://127.0.0.1.evil.example/callback',
    'http://127.0.0.1@evil.example/',
    'http://user:password@127.0.0.1:8765/',
    'https://127.0.0.1:8765/callback',
    'javascript:alert(1)',
    '//evil.example',
    'callback',
    '',
  ])('%j is refused', async (redirect) => {
    expect((await begin('google', redirect)).status).toBe(400);
  });

  it.each([
    'http://127.0.0.1:8765/callback',
    'http://localhost:1/',
    'http://[::1]:9/x',
    'https://app.example.com/in',
  ])('%s is allowed', async (redirect) => {
    expect((await begin('google', redirect)).status).toBe(200);
  });
});

describe('a state', () => {
  const finish = (provider: string, state: string) =>
    get(`${harness.url}/api/v1/auth/oauth/${provider}/callback?code=x&state=${encodeURIComponent(state)}`);
  const stateOf = async (provider: string) => {
    const { authorize_url: url } = JSON.parse((await begin(provider)).text) as { authorize_url: string };
    return new URL(url).searchParams.get('state') ?? '';
  };

  it('that is made up, of another provider, or too old sends nobody anywhere', async () => {
    const state = await stateOf('google');
    for (const [provider, text] of [
      ['google', ''],
      ['google', 'made-up'],
      ['google', `${state}x`],
      ['github', state],
    ] as const)
      expect((await finish(provider, text)).status).toBe(400);
    await harness.clock.advance(5 * 60_000 + 1);
    expect((await finish('google', state)).status).toBe(400);
  });

  it('hides the verifier and the address that it carries', async () => {
    const state = await stateOf('google');
    const readable = state.split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'));
    expect(readable.join('')).not.toContain('8765');
  });
});

describe('the development login', () => {
  it('needs no provider', async () => {
    const back = await browse('development');
    const token = back.searchParams.get('access_token') ?? '';
    expect(await me(token)).toMatchObject({ user: { email: 'dev@example.com' } });
  });

  it('is nobody’s who comes from another machine', async () => {
    const answer = await harness.api.inject({
      url: `/api/v1/auth/oauth/development?redirect_uri=${encodeURIComponent(CALLBACK)}`,
      remoteAddress: '192.0.2.7',
    });
    expect(answer.statusCode).toBe(404);
  });

  it('does not stand in for a provider that nobody has set up', async () => {
    expect((await begin('gitlab')).status).toBe(404);
  });
});

describe('a logout', () => {
  it('ends the login and every token exchanged for it', async () => {
    const token = await logIn('google', ada);
    const exchanged = await exchange(token);
    expect((await me(exchanged.access_token)).status).toBe(200);
    const answer = await request(`${harness.url}/api/v1/auth/logout`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    });
    await answer.body.dump();
    expect(answer.statusCode).toBe(204);
    expect((await me(token)).status).toBe(401);
    expect((await me(exchanged.access_token)).status).toBe(401);
  });
});

interface Exchanged {
  readonly access_token: string;
  readonly expires_in: number;
  readonly error?: string;
}

async function exchange(
  subjectToken: string,
  changes: Record<string, string | undefined> = {},
): Promise<Exchanged & { status: number }> {
  const form: Record<string, string | undefined> = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: subjectToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    resource: harness.url,
    client_id: 'sp_web',
    ...changes,
  };
  const given = Object.entries(form).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const answer = await request(`${harness.url}/api/v1/core/oauth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(given).toString(),
  });
  return { status: answer.statusCode, ...((await answer.body.json()) as Exchanged) };
}

describe('a token exchange', () => {
  it('answers a token of five minutes that the API takes as the same person', async () => {
    const token = await logIn('google', ada);
    const { access_token: access, expires_in: expiresIn, status } = await exchange(token);
    expect([status, expiresIn]).toEqual([200, 300]);
    expect((await me(access)).user).toEqual((await me(token)).user);
    await harness.clock.advance(306_000);
    expect((await me(access)).status).toBe(401);
    expect((await me(token)).status).toBe(200);
  });

  it('knows the CLI of its first days, which sent no client id, and needs no resource', async () => {
    const token = await logIn('google', ada);
    expect((await exchange(token, { client_id: undefined, resource: undefined })).status).toBe(200);
  });

  it('serves tokens of the issuer outside too, with what they may do', async () => {
    const tenant = await harness.seed('outside', { owner: 'ctm_outside' });
    const { access_token: access } = await exchange(await harness.token({ customer: 'ctm_outside' }));
    expect((await get(`${harness.url}/api/v1/tenants/${tenant.metadata.uid}`, access)).status).toBe(200);
  });

  it('refuses what was exchanged before', async () => {
    const { access_token: access } = await exchange(await logIn('google', ada));
    expect(await exchange(access)).toMatchObject({ status: 400, error: 'invalid_grant' });
  });

  const refused = [
    {
      name: 'another grant',
      changes: { grant_type: 'password' },
      error: 'unsupported_grant_type',
      status: 400,
    },
    { name: 'another client', changes: { client_id: 'evil' }, error: 'invalid_client', status: 401 },
    {
      name: 'another resource',
      changes: { resource: 'https://elsewhere.example' },
      error: 'invalid_target',
      status: 400,
    },
    {
      name: 'a token that is none',
      changes: { subject_token: 'a.b.c' },
      error: 'invalid_grant',
      status: 400,
    },
    { name: 'no token', changes: { subject_token: undefined }, error: 'invalid_request', status: 400 },
    {
      name: 'an unknown type of token',
      changes: { subject_token_type: 'x' },
      error: 'invalid_request',
      status: 400,
    },
    { name: 'no grant', changes: { grant_type: undefined }, error: 'invalid_request', status: 400 },
  ];
  it.each(refused)('refuses $name', async ({ changes, error, status }) => {
    expect(await exchange(await logIn('google', ada), changes)).toMatchObject({ status, error });
  });
});

describe('what is logged', () => {
  it('never holds a token, a code or a secret', async () => {
    const token = await logIn('google', ada);
    github.person = ada;
    await browse('github');
    const text = harness.logged.join('');
    for (const secret of [token, CLIENT.clientSecret, 'gho_', 'code_verifier'])
      expect(text).not.toContain(secret);
  });
});

describe('the activity of the CLI', () => {
  it('is taken', async () => {
    const token = await logIn('google', ada);
    const body = { event: 'cloud_login', timestamp: '2026-01-01T00:00:00Z', data: { user_id: 'x' } };
    const answer = await request(`${harness.url}/api/v1/activity`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    await answer.body.dump();
    expect(answer.statusCode).toBe(204);
  });
});
