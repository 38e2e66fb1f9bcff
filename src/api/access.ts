/**
 * Who may use which door, and which tenant, and how often? Each door runs one of the hooks before anything else of a
 * request is read; each route about a tenant finds it here, and asks here whether it is paid for. The caller is resolved from
 * token to user to customer by the authenticator.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { standingOf } from '../accounts/standing.ts';
import type { Tenant } from '../tenant/schema.ts';
import type { Authenticator, Identity } from './auth.ts';
import { LINK_TOKEN_PATTERN } from '../vault/links.ts';
import type { ApiDependencies } from './dependencies.ts';
import { parse } from './edge.ts';
import { ApiError } from './errors.ts';
import type { RateLimiter } from './rate-limit.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Bearer token of a credentials link, instead of an identity. Not checked yet: the route does that by using it. */
    linkToken: string | undefined;
  }
}

/**
 * A hook that lets in whoever the route is declared for; without a declaration, whoever has a valid token. Without a
 * limiter, as often as they like: for what operators' tools ask.
 */
export function requireIdentity(auth: Authenticator, limiter?: RateLimiter) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { declaration } = request.routeOptions.config;
    const { authorization } = request.headers;
    if (declaration?.access === 'owner-or-link') request.linkToken = linkTokenOf(authorization);
    if (declaration?.access !== 'public' && request.linkToken === undefined)
      request.identity = await auth.authenticate(authorization).catch((error: unknown) => {
        limiter?.admitStranger(request, reply);
        throw error;
      });
    if (declaration?.unlimited !== true) limiter?.admit(request, reply);
    if (declaration?.access === 'operator' && request.identity?.role !== 'operator')
      throw declaration.hidden === true
        ? noSuchMethod(request)
        : new ApiError('forbidden', 'cannot do this: it is for operators only');
  };
}

function linkTokenOf(authorization: string | undefined): string | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
  return LINK_TOKEN_PATTERN.test(bearer) ? bearer : undefined;
}

/** What every other method of this address says, and without those that are hidden too. */
function noSuchMethod({ server, routeOptions }: FastifyRequest): ApiError {
  const shown = server.declarations.filter(
    ({ path, hidden }) => path === routeOptions.url && hidden !== true,
  );
  const allow = shown
    .map(({ method }) => method)
    .sort()
    .join(', ');
  return new ApiError('method_not_allowed', `cannot use this method here: allowed are ${allow}`, {
    headers: { allow },
  });
}

/** A hook that lets in operators alone. */
export function requireOperator(auth: Authenticator) {
  return async (request: FastifyRequest): Promise<void> => {
    request.identity = await auth.authenticate(request.headers.authorization);
    if (request.identity.role !== 'operator')
      throw new ApiError('forbidden', 'cannot do this: it is for operators only');
  };
}

/** Who is calling, inside a door: the hook has seen to it that there is somebody. */
export function identityOf(request: FastifyRequest): Identity {
  if (request.identity === undefined)
    throw new Error('cannot tell who is calling: the route has no access hook');
  return request.identity;
}

const idSchema = z.object({ id: z.string() });
const uuidSchema = z.uuid();

/**
 * The tenant of the path (`:id`), if the caller may see it. Throws ApiError `tenant_not_found` otherwise, and says no
 * more: a tenant that is not yours does not exist. To whoever brings a link's token, ApiError `unauthorized` says it.
 */
export async function findTenant(
  { store }: Pick<ApiDependencies, 'store'>,
  request: FastifyRequest,
): Promise<Tenant> {
  const { id } = parse(idSchema, request.params, 'the path');
  const tenant = uuidSchema.safeParse(id).success ? await store.getByUid(id.toLowerCase()) : undefined;
  if (request.linkToken !== undefined) {
    if (tenant === undefined) throw linkRefused();
    return tenant;
  }
  const { role, customer } = identityOf(request);
  if (tenant === undefined || (role !== 'operator' && tenant.spec.owner !== customer))
    throw tenantNotFound(id);
  return tenant;
}

/** What a token of a link is told that opens nothing: the same as any other token that is not valid. */
export function linkRefused(): ApiError {
  return new ApiError('unauthorized', 'cannot authenticate: the token is not valid', {
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
  });
}

/** One sentence for a tenant that does not exist and for one that belongs to somebody else. */
export function tenantNotFound(id: string): ApiError {
  return new ApiError('tenant_not_found', `cannot find tenant "${id}": it does not exist`);
}

export type GateDependencies = Pick<ApiDependencies, 'accounts' | 'clock'>;

/**
 * Lets through whoever may have the tenant run or grow: its subscription is good or within its grace. What no
 * subscription pays for is the operator's own affair, and operators pass always.
 * Throws ApiError `subscription_inactive` (402).
 */
export async function requireSubscription(
  { accounts, clock }: GateDependencies,
  request: FastifyRequest,
  tenant: Tenant,
): Promise<void> {
  if (identityOf(request).role === 'operator') return;
  const subscription = await accounts.subscriptions.ofTenant(tenant.metadata.uid);
  if (subscription?.planId === undefined) return;
  const plan = await accounts.plans.find(subscription.planId);
  if (plan === undefined || standingOf(subscription, plan.grace, clock.now()).kind !== 'lapsed') return;
  throw new ApiError(
    'subscription_inactive',
    `cannot use tenant "${tenant.metadata.uid}": its subscription is ${subscription.status}; renew it first`,
  );
}

/**
 * Lets through what the plan of the tenant's subscription allows: no more memory than the plan's. Throws ApiError
 * `plan_limit` (403).
 */
export async function requireWithinPlan(
  { accounts }: GateDependencies,
  request: FastifyRequest,
  wish: { readonly tenant: Tenant; readonly memoryMb: number },
): Promise<void> {
  const { tenant, memoryMb } = wish;
  if (identityOf(request).role === 'operator' || memoryMb <= tenant.spec.memoryMb) return;
  const subscription = await accounts.subscriptions.ofTenant(tenant.metadata.uid);
  const plan =
    subscription?.planId === undefined ? undefined : await accounts.plans.find(subscription.planId);
  if (plan === undefined || memoryMb <= plan.memoryMb) return;
  throw new ApiError(
    'plan_limit',
    `cannot give tenant "${tenant.metadata.uid}" ${memoryMb} MB of memory: its plan "${plan.id}" has ${plan.memoryMb} MB`,
  );
}
