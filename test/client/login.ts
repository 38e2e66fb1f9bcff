/**
 * How does somebody log in with the CLI? It asks where the browser has to go, opens it, and is sent back a token. It
 * reads of that token when it ends, without checking who signed it.
 */
import { z } from 'zod';
import { listenForBrowser } from './callback.ts';
import { CliError, type Http } from './http.ts';
import { createSession, type Session } from './session.ts';

/** Opens an address as a browser does, redirects included. */
export type Browser = (url: string) => Promise<unknown>;

const authorizeSchema = z.object({ authorize_url: z.string() });
const claimsSchema = z.object({ exp: z.int() });

/** `provider` is `github` or `google` in the CLI; the path of any other provider is the same. */
export async function logIn(
  http: Http,
  options: { readonly provider: string; readonly browser: Browser },
): Promise<Session> {
  const callback = await listenForBrowser();
  try {
    const redirect = encodeURIComponent(callback.redirectUri);
    const path = `/api/v1/auth/oauth/${options.provider}?redirect_uri=${redirect}`;
    const { authorize_url: url } = await http.decode({ method: 'GET', path }, authorizeSchema);
    await options.browser(url);
    const query = await callback.visited;
    const refused = query.get('error');
    if (refused !== null) throw new CliError(`${refused}: ${query.get('error_description') ?? ''}`);
    const token = query.get('access_token') ?? '';
    if (expiryOf(token) <= Date.now()) throw new CliError('the token has expired');
    return createSession(http, token);
  } finally {
    await callback.close();
  }
}

/** When a token ends, in milliseconds since the epoch. Throws CliError for what the CLI cannot read. */
export function expiryOf(token: string): number {
  const parts = token.split('.');
  const payload = parts[1] ?? '';
  // Its decoder takes base64url without padding and nothing else.
  if (parts.length !== 3 || !/^[A-Za-z0-9_-]+$/.test(payload)) throw new CliError('the token is no JWT');
  const claims = claimsSchema.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
  if (!claims.success) throw new CliError('the token says not when it ends');
  return claims.data.exp * 1_000;
}
