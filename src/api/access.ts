/**
 * Who may use which door, and which tenant? Each door runs one of the hooks before anything else of a request is
 * read; each route about a tenant finds it here, and asks here whether it is paid for. The caller is resolved from
 * token to user to customer by the authenticator.
 */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { standingOf } from '../accounts/standing.ts';
import type { Tenant } from '../tenant/schema.ts';
import type { Authenticator, Identity } from './auth.ts';
import { LINK_TOKEN_PATTERN } from '../vault/links.ts';
import type { ApiDependencies } from './dependencies.ts';
import { parse } from './edge.ts';
import { ApiError } from './errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Bearer token of a credentials link, instead of an identity. Not checked yet: the route does that by using it. */
    linkToken: string | undefined;
  }
  interface FastifyContextConfig {
    /** True for a route that also takes the token of a credentials link as bearer. */
    readonly takesLinkToken?: boolean;
  }
}

/** A hook that lets in whoever has a valid token, or on some routes whoever brings that of a credentials link. */
export function requireIdentity(auth: Authenticator) {
  return async (request: FastifyRequest): Promise<void> => {
    const { authorization } = request.headers;
    const bearer = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
    if (request.routeOptions.config.takesLinkToken === true && LINK_TOKEN_PATTERN.test(bearer))
      request.linkToken = bearer;
    else request.identity = await auth.authenticate(authorization);
  };
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

/**
 * The tenant of the path (`:id`), if the caller may see it. Throws ApiError `tenant_not_found` otherwise, and says no
 * more: a tenant that is not yours does not exist.
 */
export async function findTenant(
  { store }: Pick<ApiDependencies, 'store'>,
  request: FastifyRequest,
): Promise<Tenant> {
  const { id } = parse(z.object({ id: z.string() }), request.params, 'the path');
  const tenant = z.uuid().safeParse(id).success ? await store.getByUid(id.toLowerCase()) : undefined;
  const { role, customer } = identityOf(request);
  if (tenant === undefined || (role !== 'operator' && tenant.spec.owner !== customer))
    throw tenantNotFound(id);
  return tenant;
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
