/**
 * What is kept of each request? Who asked for what, from where, how it ended and how long it took: handed to the
 * ledger's queue after the answer is out. No value is kept that could be a secret: a path only where its route is
 * known, of the query only what the route declares.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { RequestRecord } from '../ledger/requests.ts';
import { clientAddress, clientCountry, type TrustsProxy } from './client.ts';
import type { Declaration } from './declaration.ts';
import type { ApiDependencies } from './dependencies.ts';
import { isSecretName } from './redact.ts';

/** Asked every few seconds by machines: their records would bury the others. */
const UNRECORDED = new Set(['/livez', '/readyz', '/metrics']);
/** Names whose values are secrets in a query, where they come from an OAuth provider. */
const SECRET_IN_QUERY = new Set(['code', 'state']);
const MOST_QUERY_NAMES = 20;
const LONGEST_QUERY_TEXT = 128;
const NO_QUERY = {};

/** Records every request of the instance. */
export function captureRequests(
  app: FastifyInstance,
  { ledger, trustsProxy }: Pick<ApiDependencies, 'ledger' | 'trustsProxy'>,
): void {
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url;
    if (route === undefined || !UNRECORDED.has(route))
      ledger.requests.record(recordOf(request, reply, trustsProxy));
    done();
  });
}

function recordOf(
  request: FastifyRequest,
  reply: FastifyReply,
  trustsProxy: TrustsProxy,
): Omit<RequestRecord, 'atMs'> {
  const { identity, failure, headers } = request;
  const route = request.routeOptions.url;
  return {
    requestId: request.id,
    method: request.method,
    route: route ?? 'unmatched',
    path: route === undefined ? undefined : pathOf(request, route),
    query: request.url.includes('?') ? queryOf(request) : NO_QUERY,
    status: reply.raw.statusCode,
    errorCode: failure?.code,
    errorMessage: failure?.message,
    latencyMs: reply.elapsedTime,
    address: clientAddress(request, trustsProxy),
    country: clientCountry(request, trustsProxy),
    userAgent: headers['user-agent'],
    referer: headers.referer?.replace(/[?#].*$/s, ''),
    subject: identity?.subject,
    customer: identity?.customer,
    tenant: route?.includes('/tenants/:id') === true ? paramOf(request, 'id') : undefined,
  };
}

const secretRoutes = new Map<string, boolean>();

/** Whether a name in the route's path is that of a secret. There are as many as routes. */
function isSecretRoute(route: string): boolean {
  const known = secretRoutes.get(route);
  if (known !== undefined) return known;
  const secret = [...route.matchAll(/:(\w+)/g)].some(([, name = '']) => isSecretName(name));
  secretRoutes.set(route, secret);
  return secret;
}

function pathOf(request: FastifyRequest, route: string): string | undefined {
  if (isSecretRoute(route)) return undefined;
  const end = request.url.indexOf('?');
  return end < 0 ? request.url : request.url.slice(0, end);
}

function queryOf(request: FastifyRequest): Record<string, string> {
  const declared = declaredNames(request.routeOptions.config.declaration);
  const given = Object.entries(request.query as Record<string, unknown>).slice(0, MOST_QUERY_NAMES);
  return Object.fromEntries(
    given.map(([name, value]) => {
      const shown = declared.has(name) && !isSecretName(name) && !SECRET_IN_QUERY.has(name);
      return [
        name.slice(0, LONGEST_QUERY_TEXT),
        shown ? String(value).slice(0, LONGEST_QUERY_TEXT) : '[redacted]',
      ];
    }),
  );
}

const NO_NAMES: ReadonlySet<string> = new Set();
const namesOf = new WeakMap<Declaration, ReadonlySet<string>>();

function declaredNames(declaration: Declaration | undefined): ReadonlySet<string> {
  if (declaration?.query === undefined) return NO_NAMES;
  const known = namesOf.get(declaration);
  if (known !== undefined) return known;
  const names = new Set(declaration.query instanceof z.ZodObject ? Object.keys(declaration.query.shape) : []);
  namesOf.set(declaration, names);
  return names;
}

function paramOf({ params }: FastifyRequest, name: string): string | undefined {
  const value: unknown = Object.entries(params ?? {}).find(([key]) => key === name)?.[1];
  return typeof value === 'string' ? value : undefined;
}
