/**
 * Who vouches for people? Login providers, each behind the same two questions: where does the browser go, and who
 * came back. Any OpenID Connect issuer is asked by its discovery document; GitHub, which is none, by its own API.
 */
import type { Configuration } from 'openid-client';
import { z } from 'zod';
import { isPlainLoopback } from './redirects.ts';
import type { Profile } from './users.ts';

/** What ties the answer of a provider to the question (RFC 6749, RFC 7636, OpenID Connect Core). */
export interface LoginChecks {
  readonly state: string;
  readonly codeVerifier: string;
  readonly nonce: string;
}

export interface LoginProvider {
  /** Only for people on the daemon's own machine. */
  readonly localOnly: boolean;
  /** Where the browser goes; `callback` is where the provider sends it afterwards. */
  authorizeUrl(callback: string, checks: LoginChecks): Promise<string>;
  /** Who came back with `url`, the callback with all that the provider added. Throws LoginRefusal. */
  identify(url: URL, checks: LoginChecks): Promise<Omit<Profile, 'provider'>>;
}

/** The provider does not vouch for the person. Code and message are for that person. */
export class LoginRefusal extends Error {
  override readonly name = 'LoginRefusal';
  /** As in RFC 6749: `access_denied`, `server_error`. */
  readonly code: 'access_denied' | 'server_error';

  constructor(code: LoginRefusal['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface ClientCredentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** One exchange is at most three calls; the CLI gives the person five minutes for all of it. */
const CALL_TIMEOUT_SECONDS = 10;

/** Loaded at the first login: a daemon whose people have logged in already never needs it. */
const library = () => import('openid-client');

/** The library wants https everywhere; only a provider on this very machine, as in tests, may do without. */
async function transportRules(server: string): Promise<((configuration: Configuration) => void)[]> {
  if (!isPlainLoopback(new URL(server))) return [];
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the mark is a warning sign, and this heeds it
  return [(await library()).allowInsecureRequests];
}

/** An OpenID Connect issuer such as `https://accounts.google.com`. It must say that it has verified the address. */
export function createOidcProvider(
  options: ClientCredentials & { readonly name: string; readonly issuer: string },
): LoginProvider {
  const { name, issuer, clientId, clientSecret } = options;
  const configuration = once(async () => {
    const { discovery, enableNonRepudiationChecks } = await library();
    return discovery(new URL(issuer), clientId, clientSecret, undefined, {
      timeout: CALL_TIMEOUT_SECONDS,
      // The signature of the id token counts as well, not only the connection that it came over.
      execute: [enableNonRepudiationChecks, ...(await transportRules(issuer))],
    });
  });
  return {
    localOnly: false,
    authorizeUrl: (callback, checks) =>
      authorizeUrl({ configuration, callback, checks, scope: 'openid email profile', nonce: true }),
    identify: (url, checks) =>
      refusing(name, async () => {
        const { authorizationCodeGrant } = await library();
        const tokens = await authorizationCodeGrant(await configuration(), url, {
          expectedState: checks.state,
          expectedNonce: checks.nonce,
          pkceCodeVerifier: checks.codeVerifier,
          idTokenExpected: true,
        });
        const claims = oidcClaimsSchema.parse(tokens.claims());
        if (claims.email === undefined || claims.email_verified !== true) throw unverified(name);
        return { subject: claims.sub, email: claims.email, name: claims.name };
      }),
  };
}

const oidcClaimsSchema = z.object({
  sub: z.string().min(1).max(255),
  email: z.string().optional(),
  // Some issuers write the boolean as a word.
  email_verified: z.union([z.boolean(), z.literal('true').transform(() => true)]).optional(),
  name: z.string().max(256).optional(),
});

/** GitHub, or a GitHub Enterprise server. */
export function createGithubProvider(
  options: ClientCredentials & { readonly url?: string; readonly apiUrl?: string },
): LoginProvider {
  const {
    clientId,
    clientSecret,
    url: server = 'https://github.com',
    apiUrl = 'https://api.github.com',
  } = options;
  const configuration = once(async () => {
    const { Configuration } = await library();
    const made = new Configuration(
      {
        issuer: server,
        authorization_endpoint: `${server}/login/oauth/authorize`,
        token_endpoint: `${server}/login/oauth/access_token`,
      },
      clientId,
      clientSecret,
    );
    made.timeout = CALL_TIMEOUT_SECONDS;
    for (const rule of await transportRules(server)) rule(made);
    return made;
  });
  return {
    localOnly: false,
    authorizeUrl: (callback, checks) =>
      authorizeUrl({ configuration, callback, checks, scope: 'read:user user:email', nonce: false }),
    identify: (url, checks) =>
      refusing('github', async () => {
        const { authorizationCodeGrant, fetchProtectedResource } = await library();
        const found = await configuration();
        const { access_token: token } = await authorizationCodeGrant(found, url, {
          expectedState: checks.state,
          pkceCodeVerifier: checks.codeVerifier,
        });
        const read = async <T>(path: string, schema: z.ZodType<T>): Promise<T> => {
          const headers = new Headers({ accept: 'application/vnd.github+json', 'user-agent': 'landlord' });
          const answer = await fetchProtectedResource(
            found,
            token,
            new URL(`${apiUrl}${path}`),
            'GET',
            null,
            headers,
          );
          return schema.parse(await answer.json());
        };
        const [user, emails] = await Promise.all([
          read('/user', githubUserSchema),
          read('/user/emails', githubEmailsSchema),
        ]);
        const email = emails.find(({ primary, verified }) => primary && verified)?.email;
        if (email === undefined) throw unverified('github');
        return { subject: String(user.id), email, name: user.name ?? user.login };
      }),
  };
}

const githubUserSchema = z.object({ id: z.int(), login: z.string(), name: z.string().nullish() });
const githubEmailsSchema = z.array(
  z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }),
);

/**
 * Lets in whoever sits at the daemon's own machine, as one fixed person. It stands in for every provider that a
 * development run was not given, so that the CLI's login works without an account anywhere.
 */
export function createDevelopmentProvider(profile: Omit<Profile, 'provider'>): LoginProvider {
  return {
    localOnly: true,
    authorizeUrl: (callback, { state }) =>
      Promise.resolve(`${callback}?${new URLSearchParams({ state, code: 'development' }).toString()}`),
    identify: () => Promise.resolve(profile),
  };
}

async function authorizeUrl(options: {
  readonly configuration: () => Promise<Configuration>;
  readonly callback: string;
  readonly checks: LoginChecks;
  readonly scope: string;
  /** Only an OpenID Connect issuer gives it back. */
  readonly nonce: boolean;
}): Promise<string> {
  const { callback, checks, scope } = options;
  const { buildAuthorizationUrl, calculatePKCECodeChallenge } = await library();
  const url = buildAuthorizationUrl(await options.configuration(), {
    redirect_uri: callback,
    scope,
    state: checks.state,
    code_challenge: await calculatePKCECodeChallenge(checks.codeVerifier),
    code_challenge_method: 'S256',
    ...(options.nonce && { nonce: checks.nonce }),
  });
  return url.href;
}

/** Keeps what was found; a failure is not kept, so that the next login asks again. */
function once<T>(find: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | undefined;
  return () => {
    found ??= find().catch((error: unknown) => {
      found = undefined;
      throw error;
    });
    return found;
  };
}

/** Whatever went wrong with the provider, the person reads one sentence; the cause is for the log. */
async function refusing<T>(name: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof LoginRefusal) throw error;
    const denied = error instanceof Error && 'error' in error && error.error === 'access_denied';
    throw denied
      ? new LoginRefusal('access_denied', `cannot log in: you did not allow it at ${name}`, { cause: error })
      : new LoginRefusal('server_error', `cannot log in: ${name} did not confirm who you are; try again`, {
          cause: error,
        });
  }
}

function unverified(name: string): LoginRefusal {
  return new LoginRefusal(
    'access_denied',
    `cannot log in: ${name} has no verified e-mail address of you; verify one there first`,
  );
}
