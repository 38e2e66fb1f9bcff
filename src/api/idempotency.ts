/**
 * What of a POST that a client sends again because it never saw the answer? With the same `Idempotency-Key` it gets
 * the answer of the first one, for a day, and nothing is done twice. Only successes are kept: what was refused changed
 * nothing, and may be tried again under the same key.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { IdempotencyStore, Ticket } from '../ledger/idempotency.ts';
import { ApiError } from './errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set while this is the first request with its key. */
    ticket: Ticket | undefined;
    /** True when the answer is that of an earlier request. */
    repeated: boolean;
  }
}

/** What RFC 9110 calls visible characters; long enough for anybody's ids. */
const KEY = /^[\x21-\x7e]{1,255}$/;
/** Headers that belong to the answer itself; all others are made anew. */
const KEPT_HEADERS = ['content-type', 'etag', 'location'];
const RETRY_AFTER_SECONDS = '1';

/** Obeys Idempotency-Key on every POST of this scope that has a caller. */
export function obeyIdempotencyKeys(scope: FastifyInstance, store: IdempotencyStore): void {
  scope.addHook('preHandler', (request, reply, done) => {
    const key = request.headers['idempotency-key'];
    if (request.method !== 'POST' || key === undefined || request.identity === undefined) {
      done();
      return;
    }
    claim(store, request, reply).then((answered) => {
      // An answer was sent: the handler is not to run.
      if (!answered) done();
    }, done);
  });
  scope.addHook('onSend', (request, reply, payload, done) => {
    const { ticket } = request;
    if (ticket === undefined) {
      done(null, payload);
      return;
    }
    request.ticket = undefined;
    settle(store, ticket, { reply, payload })
      .catch((error: unknown) => request.log.error({ err: error }, 'cannot keep the answer for a repetition'))
      .finally(() => done(null, payload));
  });
}

/** True when the request was answered from memory. */
async function claim(
  store: IdempotencyStore,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<boolean> {
  const key = request.headers['idempotency-key'];
  if (typeof key !== 'string' || !KEY.test(key))
    throw new ApiError(
      'invalid_request',
      'cannot read the headers: Idempotency-Key must be 1 to 255 visible characters',
      {
        issues: [{ path: 'idempotency-key', message: 'must be 1 to 255 visible characters' }],
      },
    );
  const found = await store.claim({
    principal: principalOf(request),
    key,
    content: JSON.stringify([request.method, request.url, request.body ?? null]),
  });
  switch (found.kind) {
    case 'first':
      request.ticket = found.ticket;
      return false;
    case 'answered':
      request.repeated = true;
      reply.code(found.answer.status).headers({ ...found.answer.headers, 'idempotency-replayed': 'true' });
      void reply.send(found.answer.body === '' ? undefined : found.answer.body);
      return true;
    case 'in-flight':
      throw new ApiError(
        'idempotency_in_flight',
        'cannot serve the request: the first one with this Idempotency-Key is still under way',
        { headers: { 'retry-after': RETRY_AFTER_SECONDS } },
      );
    case 'mismatch':
      throw new ApiError(
        'idempotency_mismatch',
        'cannot serve the request: this Idempotency-Key was used for another request; choose a new one',
      );
    default:
      return found satisfies never;
  }
}

async function settle(
  store: IdempotencyStore,
  ticket: Ticket,
  { reply, payload }: { readonly reply: FastifyReply; readonly payload: unknown },
): Promise<void> {
  const status = reply.statusCode;
  const body = payload === undefined || payload === null ? '' : payload;
  if (status >= 300 || typeof body !== 'string') {
    await store.release(ticket);
    return;
  }
  const headers = Object.fromEntries(
    KEPT_HEADERS.flatMap((name) => {
      const value = reply.getHeader(name);
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
  await store.finish(ticket, { status, headers, body });
}

/**
 * Whose key it is: of whoever has logged in, who stays the same person when a first order makes them a customer; of any
 * other token all that it says of its bearer, for an issuer may give many the same subject.
 */
function principalOf({ identity }: FastifyRequest): string {
  if (identity?.sessionId !== undefined) return `user ${identity.subject}`;
  return JSON.stringify([identity?.role, identity?.customer, identity?.subject]);
}
