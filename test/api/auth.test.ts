/** Who gets in, and who does not? Real signatures throughout; the JWKS is served by a real server. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthenticator, type Identity } from '../../src/api/auth.ts';
import { ApiError } from '../../src/api/errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { signToken } from '../support/tokens.ts';

const SECRET = 'a-secret-of-at-least-thirty-two-bytes';
const ISSUER = 'landlord';
const operator: Identity = { role: 'operator', subject: 'olga' };
const customer: Identity = { role: 'customer', subject: 'carl', customer: 'ctm_1' };

const clock = createFakeClock();
const authenticator = createAuthenticator({ key: { kind: 'secret', secret: SECRET }, issuer: ISSUER, clock });

function token(changes: Partial<Parameters<typeof signToken>[0]> = {}): Promise<string> {
  return signToken({
    secret: SECRET,
    issuer: ISSUER,
    identity: operator,
    lifetimeSeconds: 60,
    clock,
    ...changes,
  });
}

/** A token with whatever claims and header, signed with the right secret. */
function crafted(claims: Partial<Record<string, unknown>>, secret = SECRET): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(secret));
}

async function refusal(promise: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApiError)) throw new Error(`not refused: ${String(error)}`);
  return error;
}

describe('a shared secret', () => {
  it.each([operator, customer])('lets in what it signed for $subject', async (identity) => {
    expect(await authenticator.authenticate(`Bearer ${await token({ identity })}`)).toEqual(identity);
  });

  it('takes the scheme in any case', async () => {
    expect(await authenticator.authenticate(`bearer ${await token()}`)).toEqual(operator);
  });

  it('asks for a token without naming an error when there is none', async () => {
    const error = await refusal(authenticator.authenticate(undefined));
    expect(error).toMatchObject({ code: 'unauthorized', headers: { 'www-authenticate': 'Bearer' } });
  });

  const future = Math.floor(clock.now() / 1000) + 60;
  const good = { sub: 'olga', role: 'operator', iss: ISSUER, exp: future };
  const cases: readonly { name: string; header: () => Promise<string> }[] = [
    { name: 'another scheme', header: async () => 'Basic b2xnYTpwYXNz' },
    { name: 'no token after the scheme', header: async () => 'Bearer ' },
    { name: 'something that is no token', header: async () => 'Bearer hello' },
    { name: 'a token with a changed payload', header: async () => `Bearer ${tamper(await token())}` },
    { name: 'another secret', header: async () => `Bearer ${await crafted(good, `${SECRET}x`)}` },
    { name: 'another issuer', header: async () => `Bearer ${await crafted({ ...good, iss: 'else' })}` },
    { name: 'no issuer', header: async () => `Bearer ${await crafted({ ...good, iss: undefined })}` },
    { name: 'no expiry', header: async () => `Bearer ${await crafted({ ...good, exp: undefined })}` },
    { name: 'no subject', header: async () => `Bearer ${await crafted({ ...good, sub: undefined })}` },
    { name: 'no role', header: async () => `Bearer ${await crafted({ ...good, role: undefined })}` },
    { name: 'an unknown role', header: async () => `Bearer ${await crafted({ ...good, role: 'root' })}` },
    {
      name: 'a customer without an id',
      header: async () => `Bearer ${await crafted({ ...good, role: 'customer' })}`,
    },
    {
      name: 'a customer with an empty id',
      header: async () => `Bearer ${await crafted({ ...good, role: 'customer', customer: '' })}`,
    },
    {
      name: 'a token that is not valid yet',
      header: async () => `Bearer ${await crafted({ ...good, nbf: future })}`,
    },
    { name: 'the algorithm none', header: async () => `Bearer ${unsigned(good)}` },
  ];
  it.each(cases)('refuses $name', async ({ header }) => {
    const error = await refusal(authenticator.authenticate(await header()));
    expect(error).toMatchObject({
      code: 'unauthorized',
      headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
    });
  });

  it('refuses a token once it has expired by more than the tolerance', async () => {
    const later = createFakeClock();
    const auth = createAuthenticator({
      key: { kind: 'secret', secret: SECRET },
      issuer: ISSUER,
      clock: later,
    });
    const header = `Bearer ${await signToken({ secret: SECRET, issuer: ISSUER, identity: operator, lifetimeSeconds: 60, clock: later })}`;
    await later.advance(64_000);
    expect(await auth.authenticate(header)).toEqual(operator);
    await later.advance(2_000);
    expect((await refusal(auth.authenticate(header))).message).toBe(
      'cannot authenticate: the token has expired',
    );
  });

  it('wants the audience that it was told of', async () => {
    const auth = createAuthenticator({
      key: { kind: 'secret', secret: SECRET },
      issuer: ISSUER,
      audience: 'api',
      clock,
    });
    expect(await auth.authenticate(`Bearer ${await token({ audience: 'api' })}`)).toEqual(operator);
    expect((await refusal(auth.authenticate(`Bearer ${await token({ audience: 'other' })}`))).code).toBe(
      'unauthorized',
    );
    expect((await refusal(auth.authenticate(`Bearer ${await token()}`))).code).toBe('unauthorized');
  });

  it('is not taken when it is too short to be safe', () => {
    const key = { kind: 'secret', secret: 'short' } as const;
    expect(() => createAuthenticator({ key, issuer: ISSUER, clock })).toThrow('shorter than 32 bytes');
  });
});

describe('a JWKS address', () => {
  let answer: { status: number; body: string } = { status: 200, body: '{}' };
  let url: string;
  let privateKey: CryptoKey;
  let publicPem: string;
  let jwks: string;
  const server = createServer((_request, response) => {
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
  });

  beforeAll(async () => {
    const pair = await generateKeyPair('ES256', { extractable: true });
    privateKey = pair.privateKey;
    publicPem = await exportSPKI(pair.publicKey);
    jwks = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'ES256' }] });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    url = `http://127.0.0.1:${port}/jwks.json`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const open = () => createAuthenticator({ key: { kind: 'jwks', url }, issuer: ISSUER, clock });
  const signed = (kid = 'k1') =>
    new SignJWT({ role: 'operator' })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setSubject('olga')
      .setIssuer(ISSUER)
      .setExpirationTime(Math.floor(clock.now() / 1000) + 60)
      .sign(privateKey);

  it('lets in what its key signed', async () => {
    answer = { status: 200, body: jwks };
    expect(await open().authenticate(`Bearer ${await signed()}`)).toEqual(operator);
  });

  it('refuses a token whose key it does not know', async () => {
    answer = { status: 200, body: jwks };
    expect((await refusal(open().authenticate(`Bearer ${await signed('k2')}`))).code).toBe('unauthorized');
  });

  it('refuses an algorithm that it was not told of, although the key is known', async () => {
    const pair = await generateKeyPair('ES384', { extractable: true });
    answer = { status: 200, body: JSON.stringify({ keys: [await exportJWK(pair.publicKey)] }) };
    const token = await new SignJWT({ role: 'operator', sub: 'olga', iss: ISSUER })
      .setProtectedHeader({ alg: 'ES384' })
      .setExpirationTime(Math.floor(clock.now() / 1000) + 60)
      .sign(pair.privateKey);
    expect((await refusal(open().authenticate(`Bearer ${token}`))).code).toBe('unauthorized');
  });

  it('refuses HS256 with the public key as its secret', async () => {
    answer = { status: 200, body: jwks };
    const claims = { sub: 'eve', role: 'operator', iss: ISSUER, exp: Math.floor(clock.now() / 1000) + 60 };
    for (const secret of [publicPem, jwks])
      expect((await refusal(open().authenticate(`Bearer ${await crafted(claims, secret)}`))).code).toBe(
        'unauthorized',
      );
  });

  const outages = [
    { name: 'answers with an error', reply: { status: 500, body: '' } },
    { name: 'answers with something else', reply: { status: 200, body: '<html>' } },
    { name: 'answers with no keys at all', reply: { status: 200, body: '{}' } },
  ];
  it.each(outages)('says unavailable, not unauthorized, while its server $name', async ({ reply }) => {
    answer = reply;
    expect((await refusal(open().authenticate(`Bearer ${await signed()}`))).code).toBe('unavailable');
  });

  it('says unavailable while nothing listens there', async () => {
    const key = { kind: 'jwks', url: 'http://127.0.0.1:1/jwks.json' } as const;
    const error = await refusal(
      createAuthenticator({ key, issuer: ISSUER, clock }).authenticate(`Bearer ${await signed()}`),
    );
    expect(error.code).toBe('unavailable');
  });
});

function tamper(token: string): string {
  const [header = '', , signature = ''] = token.split('.');
  const payload = { sub: 'eve', role: 'operator', iss: ISSUER, exp: 4_000_000_000 };
  return [header, encoded(payload), signature].join('.');
}

function unsigned(claims: object): string {
  return `${encoded({ alg: 'none' })}.${encoded(claims)}.`;
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
