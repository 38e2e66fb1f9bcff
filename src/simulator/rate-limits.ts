/**
 * How often may something be asked for? Fly's documented limits as token buckets, one for each action and each
 * machine or app that it is about: one a second with a burst of three; reading one machine five a second with
 * a burst of ten; deleting apps a hundred a minute.
 */
import type { Moment } from './moment.ts';
import { Refusal } from './refusal.ts';
import { drop, own, type WorldState } from './state.ts';

export interface Bucket {
  tokens: number;
  /** When the tokens were counted. */
  at: number;
}

/** `none`: logs, metrics and the registry are not part of the Machines API. */
export type LimitClass = 'action' | 'getMachine' | 'deleteApp' | 'none';

const limits: Readonly<Record<Exclude<LimitClass, 'none'>, { burst: number; perSecond: number }>> = {
  action: { burst: 3, perSecond: 1 },
  getMachine: { burst: 10, perSecond: 5 },
  deleteApp: { burst: 100, perSecond: 100 / 60 },
};

/** Every bucket is full again after a minute without a call; a full one says nothing and is forgotten. */
const FULL_AFTER_MS = 60_000;

function forgetFull(state: WorldState, now: number): void {
  state.bucketsSweptAt = now;
  for (const [key, bucket] of Object.entries(state.buckets)) {
    if (now - bucket.at >= FULL_AFTER_MS) drop(state.buckets, key);
  }
}

/** Takes one token, or refuses the call with 429. `identifier` is the machine, app or organisation. */
export function takeToken(
  moment: Moment,
  call: { operation: string; identifier: string; limit: LimitClass },
): void {
  if (call.limit === 'none' || !moment.settings.rateLimits) return;
  const { state, now } = moment;
  const { burst, perSecond } = limits[call.limit];
  const key = `${call.operation} ${call.identifier}`;
  const before = own(state.buckets, key);
  if (now - state.bucketsSweptAt >= FULL_AFTER_MS) forgetFull(state, now);
  const tokens =
    before === undefined ? burst : Math.min(burst, before.tokens + ((now - before.at) / 1000) * perSecond);
  if (tokens < 1) throw new Refusal(429, 'rate limit exceeded');
  state.buckets[key] = { tokens: tokens - 1, at: now };
}
