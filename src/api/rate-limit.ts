/**
 * How often may one caller ask? A token bucket for each customer, for reads apart from writes, and for each address of
 * whoever has no valid token; told with the headers of the IETF's draft (draft-ietf-httpapi-ratelimit-headers), which
 * fastify's own plugin does not speak. Operators are not limited: in an incident they must get through, and a limit
 * would only be one more thing that fails. Each process counts for itself.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { clientAddress, type TrustsProxy } from './client.ts';
import { ApiError } from './errors.ts';

/** Requests a minute; as many may come at once after a minute of silence. */
export interface RateLimits {
  /** Of one customer. */
  readonly readsPerMinute: number;
  /** Of one customer. */
  readonly writesPerMinute: number;
  /** Of one address, to what needs no token or with one that is not valid. */
  readonly anonymousPerMinute: number;
}

export interface RateLimiter {
  /** Counts the request of whoever is known by now. Throws ApiError `too_many_requests`. */
  admit(request: FastifyRequest, reply: FastifyReply): void;
  /** Counts a request without a valid token. Throws ApiError `too_many_requests`. */
  admitStranger(request: FastifyRequest, reply: FastifyReply): void;
}

const WINDOW_MS = 60_000;
/** Callers remembered; whoever is forgotten has a full bucket, which is what a long silence gives anyway. */
const MOST_CALLERS = 50_000;
const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

interface Policy {
  readonly name: string;
  readonly quota: number;
  /** What one request costs, in milliseconds of the window. */
  readonly costMs: number;
  readonly header: string;
}

export function createRateLimiter(options: {
  readonly limits: RateLimits;
  readonly clock: Clock;
  readonly trustsProxy: TrustsProxy;
}): RateLimiter {
  const { limits, clock, trustsProxy } = options;
  const reads = policy('reads', limits.readsPerMinute);
  const writes = policy('writes', limits.writesPerMinute);
  const anonymous = policy('anonymous', limits.anonymousPerMinute);
  /** For each bucket the time at which it will be full again. */
  const fullAt = new LRUCache<string, number>({ max: MOST_CALLERS });

  function take({ name, quota, costMs, header }: Policy, caller: string, reply: FastifyReply): void {
    const now = clock.monotonic();
    const key = `${name} ${caller}`;
    const debtMs = Math.max((fullAt.get(key) ?? now) - now, 0) + costMs;
    const admitted = debtMs <= WINDOW_MS;
    const owedMs = admitted ? debtMs : debtMs - costMs;
    const remaining = Math.floor((WINDOW_MS - owedMs) / costMs);
    reply.header('ratelimit-policy', header);
    reply.header('ratelimit', `"${name}";r=${remaining};t=${Math.ceil(owedMs / 1000)}`);
    if (admitted) {
      fullAt.set(key, now + debtMs);
      return;
    }
    const retryAfter = String(Math.max(1, Math.ceil((debtMs - WINDOW_MS) / 1000)));
    throw new ApiError('too_many_requests', `cannot serve the request: more than ${quota} ${name} a minute`, {
      headers: { 'retry-after': retryAfter },
    });
  }

  const admitStranger: RateLimiter['admitStranger'] = (request, reply) =>
    take(anonymous, clientAddress(request, trustsProxy), reply);
  return {
    admitStranger,
    admit(request, reply) {
      const { identity } = request;
      if (identity === undefined) admitStranger(request, reply);
      else if (identity.role === 'customer')
        take(READS.has(request.method) ? reads : writes, identity.customer ?? identity.subject, reply);
    },
  };
}

function policy(name: string, quota: number): Policy {
  return { name, quota, costMs: WINDOW_MS / quota, header: `"${name}";q=${quota};w=${WINDOW_MS / 1000}` };
}
