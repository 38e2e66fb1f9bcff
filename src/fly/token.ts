/**
 * How is Fly's token sent? Fly has two families: macaroons (anything that token creation makes) and session
 * tokens, each with its own authorization scheme. The rule is that of Fly's own client, fly-go `tokens`.
 */

export interface Credentials {
  /** Value of the `Authorization` header for the Machines API, logs and metrics. */
  readonly authorization: string;
  /** The same for the registry: user `x`, and the token without its scheme word as password. */
  readonly basic: string;
}

const SCHEME_WORD = /^(?:Bearer|FlyV1)\s+/i;
const MACAROON = /^(?:fm2|fm1r|fm1a)_/;

/**
 * Strips a leading scheme word, splits at commas, and if any macaroon is among the tokens sends only the
 * macaroons, together, as `FlyV1`; anything else is a `Bearer` token.
 */
export function credentialsOf(token: string): Credentials {
  const { secret, macaroons } = sorted(token);
  return {
    authorization: `${macaroons ? 'FlyV1' : 'Bearer'} ${secret}`,
    basic: `Basic ${Buffer.from(`x:${secret}`, 'utf8').toString('base64')}`,
  };
}

/** A token as the password of `docker login`: user `x`, no scheme word. */
export function registryPassword(token: string): string {
  return sorted(token).secret;
}

function sorted(token: string): { readonly secret: string; readonly macaroons: boolean } {
  const tokens = token
    .trim()
    .replace(SCHEME_WORD, '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const macaroons = tokens.filter((part) => MACAROON.test(part));
  return {
    secret: (macaroons.length > 0 ? macaroons : tokens).join(','),
    macaroons: macaroons.length > 0,
  };
}
