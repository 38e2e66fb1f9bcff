/**
 * Login providers that speak their real wire over HTTP: an OpenID Connect issuer with discovery, PKCE and signed id
 * tokens, and a GitHub with its own API. Whoever visits the authorize address consents at once, as the person that
 * the test says.
 */
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

export const CLIENT = { clientId: 'landlord-client', clientSecret: 'a client secret' };

export interface Person {
  readonly subject: string;
  readonly email: string;
  readonly verified: boolean;
  readonly name?: string;
}

export interface FakeProvider {
  readonly url: string;
  /** Who sits at the browser; undefined: somebody who says no. */
  person: Person | undefined;
  /** What the next id token or answer gets wrong. */
  fault: 'another nonce' | 'another audience' | 'another key' | 'down' | undefined;
  close(): Promise<void>;
}

interface Grant {
  readonly challenge: string | null;
  readonly nonce: string | null;
  readonly redirectUri: string;
  readonly person: Person;
}

/** Codes are good once, for the very redirect that they were given to, and for whoever knows the verifier. */
function createGrants() {
  const grants = new Map<string, Grant>();
  return {
    authorize(provider: FakeProvider, url: URL, response: ServerResponse): ServerResponse {
      const redirectUri = url.searchParams.get('redirect_uri') ?? '';
      const back = new URL(redirectUri);
      back.searchParams.set('state', url.searchParams.get('state') ?? '');
      const { person } = provider;
      if (person === undefined) back.searchParams.set('error', 'access_denied');
      else {
        const code = randomUUID();
        back.searchParams.set('code', code);
        grants.set(code, {
          challenge: url.searchParams.get('code_challenge'),
          nonce: url.searchParams.get('nonce'),
          redirectUri,
          person,
        });
      }
      return response.writeHead(302, { location: back.href }).end();
    },
    redeem(form: URLSearchParams): Grant | undefined {
      const code = form.get('code') ?? '';
      const grant = grants.get(code);
      grants.delete(code);
      const challenge = createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest('base64url');
      const good =
        grant?.challenge === challenge &&
        grant.redirectUri === form.get('redirect_uri') &&
        form.get('client_id') === CLIENT.clientId &&
        form.get('client_secret') === CLIENT.clientSecret;
      return good ? grant : undefined;
    },
  };
}

type Handle = (request: IncomingMessage, url: URL, response: ServerResponse) => Promise<unknown>;

async function serve(handle: (provider: FakeProvider) => Handle): Promise<FakeProvider> {
  const server = createServer((request, response) => {
    if (provider.fault === 'down') {
      response.writeHead(503).end();
      return;
    }
    void run(request, new URL(request.url ?? '/', provider.url), response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const provider: FakeProvider = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    person: undefined,
    fault: undefined,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  const run = handle(provider);
  return provider;
}

function json(response: ServerResponse, status: number, body: unknown): ServerResponse {
  return response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const formOf = async (request: IncomingMessage) => new URLSearchParams((await request.toArray()).join(''));

export async function startOidcIssuer(): Promise<FakeProvider> {
  const key = await generateKeyPair('RS256', { extractable: true });
  const stranger = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(key.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' };
  const grants = createGrants();

  return serve((provider) => async (request, url, response) => {
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json(response, 200, {
          issuer: provider.url,
          authorization_endpoint: `${provider.url}/authorize`,
          token_endpoint: `${provider.url}/token`,
          jwks_uri: `${provider.url}/jwks`,
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256'],
          code_challenge_methods_supported: ['S256'],
        });
      case '/jwks':
        return json(response, 200, { keys: [jwk] });
      case '/authorize':
        return grants.authorize(provider, url, response);
      case '/token': {
        const grant = grants.redeem(await formOf(request));
        if (grant === undefined) return json(response, 400, { error: 'invalid_grant' });
        const { person, nonce } = grant;
        const idToken = await new SignJWT({
          email: person.email,
          email_verified: person.verified,
          ...(person.name !== undefined && { name: person.name }),
          nonce: provider.fault === 'another nonce' ? 'other' : nonce,
        })
          .setProtectedHeader({ alg: 'RS256', kid: 'one' })
          .setIssuer(provider.url)
          .setAudience(provider.fault === 'another audience' ? 'somebody else' : CLIENT.clientId)
          .setSubject(person.subject)
          .setIssuedAt()
          .setExpirationTime('5m')
          .sign(provider.fault === 'another key' ? stranger.privateKey : key.privateKey);
        return json(response, 200, { access_token: 'opaque', token_type: 'Bearer', id_token: idToken });
      }
      default:
        return json(response, 404, {});
    }
  });
}

export async function startGithub(): Promise<FakeProvider> {
  const grants = createGrants();
  const people = new Map<string, Person>();
  return serve((provider) => async (request, url, response) => {
    const bearer = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const person = people.get(bearer);
    switch (url.pathname) {
      case '/login/oauth/authorize':
        return grants.authorize(provider, url, response);
      case '/login/oauth/access_token': {
        const grant = grants.redeem(await formOf(request));
        // GitHub answers 200 also when it refuses.
        if (grant === undefined) return json(response, 200, { error: 'bad_verification_code' });
        const token = `gho_${randomUUID()}`;
        people.set(token, grant.person);
        return json(response, 200, { access_token: token, token_type: 'bearer', scope: 'user:email' });
      }
      case '/user':
        if (person === undefined) return json(response, 401, {});
        return json(response, 200, {
          id: Number(person.subject),
          login: 'octocat',
          name: person.name ?? null,
        });
      case '/user/emails':
        if (person === undefined) return json(response, 401, {});
        return json(response, 200, [
          { email: 'other@example.com', primary: false, verified: true },
          { email: person.email, primary: true, verified: person.verified },
        ]);
      default:
        return json(response, 404, {});
    }
  });
}
