/**
 * Who changed what? Every write that somebody with a token asked for, whatever came of it, is in the audit log before
 * its answer goes out. When the log cannot be written, the answer goes out all the same, because the change has been
 * made: the entry then stands in the daemon's own log.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AuditEntry } from '../ledger/audit.ts';
import { difference, noteChanges, wishOf, type TenantChange } from './changes.ts';
import { clientAddress, type TrustsProxy } from './client.ts';
import type { ApiDependencies } from './dependencies.ts';
import { isSecretName, redact } from './redact.ts';
import type { TenantStore } from '../store/store.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the request changed; undefined as long as it is nothing. */
    change: TenantChange | undefined;
    /** What it changed that is kept beside the tenant, in words that are no secret. */
    noted: Noted | undefined;
    /** The tenant that it is about, once it is known that the caller may see it. */
    tenantUid: string | undefined;
  }
}

/** As in a change of a tenant: what was there before, what is there after. */
export interface Noted {
  readonly before?: Readonly<Record<string, unknown>>;
  readonly after?: Readonly<Record<string, unknown>>;
}

const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** The store through which a request that may write goes, so that what it changes is known. */
export function storeOf(request: FastifyRequest, store: TenantStore): TenantStore {
  if (READS.has(request.method)) return store;
  return noteChanges(store, (change) => {
    // Of several writes of one tenant, from the first to the last.
    const first = request.change;
    const same = first !== undefined && uidOf(first) === uidOf(change);
    request.change = same ? { before: first.before, after: change.after } : change;
  });
}

/** Registers the audit of every write in this scope. */
export function auditWrites(
  scope: FastifyInstance,
  dependencies: Pick<ApiDependencies, 'ledger' | 'trustsProxy'>,
): void {
  const { audit } = dependencies.ledger;
  scope.addHook('onSend', (request, reply, payload, done) => {
    if (READS.has(request.method) || request.identity === undefined || request.repeated) {
      done(null, payload);
      return;
    }
    const entry = entryOf(request, reply, dependencies.trustsProxy);
    audit
      .record(entry)
      .catch((error: unknown) => request.log.error({ err: error, entry }, 'cannot write the audit log'))
      .finally(() => done(null, payload));
  });
}

function entryOf(request: FastifyRequest, reply: FastifyReply, trustsProxy: TrustsProxy): AuditEntry {
  const { identity, change, noted } = request;
  const changed = noted ?? difference(wishOf(change?.before), wishOf(change?.after));
  return {
    requestId: request.id,
    subject: identity?.subject ?? '',
    role: identity?.role ?? '',
    customer: identity?.customer,
    address: clientAddress(request, trustsProxy),
    userAgent: request.headers['user-agent'],
    method: request.method,
    route: request.routeOptions.url ?? 'unmatched',
    params: paramsOf(request),
    status: reply.statusCode,
    errorCode: request.failure?.code,
    tenantUid: (change && uidOf(change)) ?? request.tenantUid,
    before: redact(changed.before),
    after: redact(changed.after),
  };
}

function paramsOf({ params }: FastifyRequest): Record<string, string> {
  return Object.fromEntries(
    Object.entries(params ?? {}).map(([name, value]) => [
      name,
      isSecretName(name) ? '[redacted]' : String(value),
    ]),
  );
}

function uidOf({ before, after }: TenantChange): string | undefined {
  return (after ?? before)?.metadata.uid;
}
