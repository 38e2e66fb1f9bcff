/**
 * With which token does the CLI call? With the one from the login, and in late eras for everything about a tenant with
 * a short-lived one that it is exchanged for (RFC 8693). That one is kept until shortly before it ends; when it is
 * refused, the CLI gets another and tries exactly once more.
 */
import { z } from 'zod';
import { option, u64 } from './serde.ts';
import { NotAuthenticated, type Call, type Http } from './http.ts';

export interface Session {
  readonly http: Http;
  /** From the login. */
  readonly operatorToken: string;
  /** Calls as the person who logged in. */
  readonly asOperator: (call: Call) => Call;
  /** Calls about a tenant, with the exchanged token where the era has one. */
  onTenant<T>(call: Call, send: (call: Call) => Promise<T>): Promise<T>;
}

const DEFAULT_LIFETIME_SECONDS = 300;
/** A token this close to its end is not used any more. */
const MARGIN_MS = 30_000;

const exchangedSchema = z.object({ access_token: z.string(), expires_in: option(u64) });

export function createSession(http: Http, operatorToken: string): Session {
  let cached: { readonly token: string; readonly usableUntilMs: number } | undefined;

  async function exchanged(): Promise<string> {
    if (cached !== undefined && performance.now() < cached.usableUntilMs) return cached.token;
    const answer = await http.decode(
      {
        method: 'POST',
        path: '/api/v1/core/oauth/token',
        form: {
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token: operatorToken,
          subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          resource: http.apiUrl,
          client_id: 'sp_web',
        },
      },
      exchangedSchema,
    );
    const lifetimeMs = (answer.expires_in ?? DEFAULT_LIFETIME_SECONDS) * 1_000;
    cached = { token: answer.access_token, usableUntilMs: performance.now() + lifetimeMs - MARGIN_MS };
    return cached.token;
  }

  return {
    http,
    operatorToken,
    asOperator: (call) => ({ ...call, bearer: operatorToken }),
    async onTenant(call, send) {
      if (http.era !== 'E4') return send({ ...call, bearer: operatorToken });
      try {
        return await send({ ...call, bearer: await exchanged() });
      } catch (error) {
        if (!(error instanceof NotAuthenticated)) throw error;
        cached = undefined;
        return send({ ...call, bearer: await exchanged() });
      }
    },
  };
}
