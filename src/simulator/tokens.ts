/**
 * What may a caller do? Any token stands for the whole organisation, except those that the simulator mints itself: a
 * deploy token is good for one app, cannot make or delete apps, and ends. Like a real macaroon it carries its own
 * limits; unlike one it is not signed, since nobody gains anything by forging it here.
 */
import { z } from 'zod';
import { appOf } from './apps.ts';
import { ok, parseBody, type Answer, type Call } from './call.ts';
import { parseGoDuration } from './go-duration.ts';
import { opaqueId } from './identifiers.ts';
import type { Moment } from './moment.ts';
import { invalid, Refusal } from './refusal.ts';
import { own } from './state.ts';

/** Fly's default: twenty years. */
const USUAL_EXPIRY = '175200h';
/** What any valid token may do, whatever it is limited to. */
const HARMLESS = ['Platform_regions_get', 'CurrentToken_show', 'Registry_ping'];
/** What needs a token of the organisation. */
const ORGANISATION_ONLY = ['Apps_create', 'Apps_delete'];

const limitsSchema = z.object({ app: z.string(), appId: z.string(), expiresAt: z.number() });
const tokenBody = z.object({ expiry: z.string().optional() });

export type TokenLimits = z.infer<typeof limitsSchema>;

/** `POST /v1/apps/{app}/deploy_token` */
export function createDeployToken(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const { expiry = USUAL_EXPIRY } = parseBody(tokenBody, call);
  const nanoseconds = parseGoDuration(expiry);
  if (nanoseconds === undefined || nanoseconds <= 0) throw invalid('expiry must be a duration such as 1h');
  const expiresAt = moment.now + nanoseconds / 1e6;
  const limits = { app: app.name, appId: app.id, expiresAt, nonce: opaqueId(moment.state) };
  return ok({ token: `FlyV1 fm2_${Buffer.from(JSON.stringify(limits)).toString('base64url')}` });
}

/** The limits of a token of our own making; undefined for any other, which is one of the organisation. */
export function limitsOf(authorization: string): TokenLimits | undefined {
  const basic = /^Basic\s+(\S+)$/i.exec(authorization)?.[1];
  const text = basic === undefined ? authorization : Buffer.from(basic, 'base64').toString('utf8');
  const payload = /fm2_([A-Za-z0-9_-]+)$/.exec(text.trim())?.[1];
  if (payload === undefined) return undefined;
  try {
    return limitsSchema.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))).data;
  } catch {
    return undefined;
  }
}

/** Why the token does not let this call in; undefined when it does. */
export function refusalOfToken(
  { state, now }: Pick<Moment, 'state' | 'now'>,
  call: { readonly authorization: string; readonly operation: string; readonly app: string | undefined },
): Refusal | undefined {
  const limits = limitsOf(call.authorization);
  if (limits === undefined) return undefined;
  // An app that was deleted and made anew is another one.
  if (limits.expiresAt <= now || own(state.apps, limits.app)?.id !== limits.appId)
    return new Refusal(401, 'unauthorized: the token has expired');
  if (HARMLESS.includes(call.operation)) return undefined;
  if (call.app === limits.app && !ORGANISATION_ONLY.includes(call.operation)) return undefined;
  return new Refusal(403, 'permission_denied: the token is limited to another app');
}
