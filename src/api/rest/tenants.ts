/** The tenant itself: made by operators, listed, read, changed, deleted. */
import { requireSubscription, requireWithinPlan, type GateDependencies } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { asParameterError } from '../edge.ts';
import type { Routes } from '../routes.ts';
import * as answers from './answers.ts';
import { changeSpec, deleteTenant, entityTag } from './change.ts';
import { refuseBuiltIn } from './domains.ts';
import {
  applyPatch,
  createSchema,
  listQuerySchema,
  newTenant,
  patchSchema,
  waitQuerySchema,
} from './requests.ts';
import { TAG, TENANT, TENANTS } from './tenant-of.ts';
import { tenantView } from './view.ts';
import { accept } from './wait.ts';

type TenantDependencies = GateDependencies & Pick<ApiDependencies, 'store' | 'subdomainSuffix'>;

/** Declares the collection and its items. */
export function tenantRoutes(routes: Routes, dependencies: TenantDependencies): void {
  listRoute(routes, dependencies);
  createRoute(routes, dependencies);
  readRoute(routes, dependencies);
  patchRoute(routes, dependencies);
  deleteRoute(routes);
}

function listRoute(routes: Routes, { subdomainSuffix }: TenantDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: TENANTS,
      summary: 'Tenants of the caller; to an operator, all',
      tag: TAG,
      access: 'caller',
      query: listQuerySchema,
      answers: { 200: answers.tenantListAnswer },
      errors: ['expired'],
    },
    async ({ identity: { role, customer }, store, query: { limit, cursor } }) => {
      // Whoever is nobody's customer yet owns nothing.
      if (role !== 'operator' && customer === undefined) return { data: [] };
      const list = await store
        .list({
          limit,
          ...(cursor !== undefined && { continue: cursor }),
          ...(role !== 'operator' && customer !== undefined && { owner: customer }),
        })
        .catch((error: unknown) => {
          throw asParameterError(error);
        });
      return {
        data: list.items.map((tenant) => tenantView(tenant, subdomainSuffix)),
        next_cursor: list.continue,
      };
    },
  );
}

function createRoute(routes: Routes, { subdomainSuffix }: TenantDependencies): void {
  routes.add(
    {
      method: 'POST',
      path: TENANTS,
      summary: 'Make a tenant that no subscription pays for',
      tag: TAG,
      access: 'operator',
      // For a customer a tenant comes with a subscription.
      hidden: true,
      body: createSchema,
      answers: { 201: answers.tenantAnswer },
      errors: ['already_exists', 'invalid'],
    },
    async ({ store, body, reply }) => {
      const tenant = await store.create(newTenant(body));
      reply.code(201).headers({ etag: entityTag(tenant), location: `${TENANTS}/${tenant.metadata.uid}` });
      return { data: tenantView(tenant, subdomainSuffix) };
    },
  );
}

function readRoute(routes: Routes, { subdomainSuffix }: TenantDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: TENANT,
      summary: 'One tenant',
      tag: TAG,
      access: 'owner',
      versioned: true,
      answers: { 200: answers.tenantAnswer },
    },
    ({ tenant, request, reply }) => {
      const etag = entityTag(tenant);
      reply.header('etag', etag);
      if (request.headers['if-none-match']?.split(',').some((tag) => tag.trim() === etag) === true)
        return reply.code(304).send();
      return { data: tenantView(tenant, subdomainSuffix) };
    },
  );
}

function patchRoute(routes: Routes, dependencies: TenantDependencies): void {
  const { subdomainSuffix } = dependencies;
  routes.add(
    {
      method: 'PATCH',
      path: TENANT,
      summary: 'Scale, suspend, activate, or set environment and hostnames',
      tag: TAG,
      access: 'owner',
      versioned: true,
      query: waitQuerySchema,
      body: patchSchema,
      answers: { 200: answers.tenantAnswer, 202: answers.tenantAnswer },
      errors: ['conflict', 'invalid_state', 'invalid', 'subscription_inactive', 'plan_limit'],
    },
    async ({ tenant, store, body, query, request, reply }) => {
      refuseBuiltIn(body.hostnames ?? [], subdomainSuffix);
      if (body.status === 'active') await requireSubscription(dependencies, request, tenant);
      if (body.memory_mb !== undefined)
        await requireWithinPlan(dependencies, request, { tenant, memoryMb: body.memory_mb });
      const ifMatch = request.headers['if-match'];
      const changed = await changeSpec({ store, tenant, ifMatch }, (now) => applyPatch(now, body));
      const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
      return { data: tenantView(now, subdomainSuffix) };
    },
  );
}

function deleteRoute(routes: Routes): void {
  routes.add(
    {
      method: 'DELETE',
      path: TENANT,
      summary: 'Delete the tenant and all that it has on Fly',
      tag: TAG,
      access: 'owner',
      versioned: true,
      answers: { 204: { description: 'It is being deleted.' } },
      errors: ['conflict'],
    },
    async ({ tenant, store, request, reply }) => {
      await deleteTenant({ store, tenant, ifMatch: request.headers['if-match'] });
      return reply.code(204).send();
    },
  );
}
