/**
 * How does a person become the bearer of a token? The CLI asks where its browser shall go; a provider vouches for the
 * person; the browser comes back here and is sent on to where the CLI listens, with a token. Nothing is stored in
 * between: what must be remembered travels sealed in `state`, so any replica can answer, and nobody can fill a table.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { VaultError, type Sealer } from '../vault/seal.ts';
import { LoginRefusal, type LoginProvider } from './providers.ts';
import { withParameters } from './redirects.ts';
import type { TokenIssuer } from './tokens.ts';
import { AccountError, type Users } from './users.ts';

/** The CLI waits this long for its browser. */
const LOGIN_LIFETIME_MS = 5 * 60_000;
const STATE = { uid: 'landlord', name: 'login-state' };
const RANDOM_BYTES = 32;

export interface Login {
  /** The provider of a name, or undefined when nobody can log in with it. */
  provider(name: string): LoginProvider | undefined;
  /** Where the browser goes. Throws LoginUnavailable when the provider cannot be reached. */
  begin(name: string, redirect: URL): Promise<string>;
  /**
   * Where the browser is sent on to, with `access_token` or with `error` and `error_description`; undefined when the
   * state is not one of ours or too old, so that there is nowhere to send it. `query` is what the provider added.
   */
  finish(name: string, query: URLSearchParams): Promise<string | undefined>;
}

/** The provider cannot be asked where to send the browser. */
export class LoginUnavailable extends Error {
  override readonly name = 'LoginUnavailable';
}

const stateSchema = z.object({
  provider: z.string(),
  redirect: z.url(),
  codeVerifier: z.string(),
  nonce: z.string(),
  /** Milliseconds since the epoch. */
  expiresAt: z.number(),
});

export interface LoginOptions {
  readonly providers: ReadonlyMap<string, LoginProvider>;
  readonly users: Pick<Users, 'logIn'>;
  readonly tokens: Pick<TokenIssuer, 'session'>;
  readonly sealer: Sealer;
  /** Address under which providers send browsers back: `<url>/<provider>/callback`. */
  readonly callbackUrl: (provider: string) => string;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createLogin(options: LoginOptions): Login {
  const { providers, sealer, callbackUrl, clock, log } = options;
  return {
    provider: (name) => providers.get(name),
    async begin(name, redirect) {
      const provider = providers.get(name);
      if (provider === undefined) throw new Error(`cannot log in with "${name}": it is not set up`);
      const kept = {
        provider: name,
        redirect: redirect.href,
        codeVerifier: randomBytes(RANDOM_BYTES).toString('base64url'),
        nonce: randomBytes(RANDOM_BYTES).toString('base64url'),
        expiresAt: clock.now() + LOGIN_LIFETIME_MS,
      };
      const state = await sealer.seal(STATE, JSON.stringify(kept));
      try {
        return await provider.authorizeUrl(callbackUrl(name), { ...kept, state });
      } catch (error) {
        throw new LoginUnavailable(`cannot log in with "${name}": it cannot be reached`, { cause: error });
      }
    },
    async finish(name, query) {
      const state = query.get('state') ?? '';
      const kept = await openState(sealer, state);
      const provider = providers.get(name);
      if (kept?.provider !== name || provider === undefined || kept.expiresAt < clock.now()) return undefined;
      const redirect = new URL(kept.redirect);
      try {
        const url = new URL(`${callbackUrl(name)}?${query.toString()}`);
        const profile = await provider.identify(url, { ...kept, state });
        const { user, session } = await options.users.logIn({ ...profile, provider: name });
        const token = await options.tokens.session(
          { subject: user.id, sessionId: session.id },
          session.expiresAt,
        );
        log.info({ user: user.id, provider: name }, 'a user logged in');
        return withParameters(redirect, { access_token: token });
      } catch (error) {
        if (!(error instanceof LoginRefusal || error instanceof AccountError)) throw error;
        // The cause's message alone: what a provider answered can hold codes and tokens.
        const cause = error.cause instanceof Error ? error.cause.message : undefined;
        log.info({ provider: name, cause }, error.message);
        const code = error instanceof LoginRefusal ? error.code : 'access_denied';
        return withParameters(redirect, { error: code, error_description: error.message });
      }
    },
  };
}

async function openState(sealer: Sealer, state: string): Promise<z.infer<typeof stateSchema> | undefined> {
  try {
    return stateSchema.parse(JSON.parse(await sealer.open(STATE, state)));
  } catch (error) {
    if (error instanceof VaultError) return undefined;
    throw error;
  }
}
