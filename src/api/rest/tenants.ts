/** The tenant itself: made by operators, listed, read, changed, deleted; and the verbs that carry nothing but their name. */
import type { FastifyInstance } from 'fastify';
import type { Tenant, TenantSpec } from '../../tenant/schema.ts';
import {
  findTenant,
  identityOf,
  requireSubscription,
  requireWithinPlan,
  type GateDependencies,
} from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { asParameterError, parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { changeSpec, deleteTenant, entityTag } from './change.ts';
import { refuseBuiltIn } from './domains.ts';
import { applyPatch, createSchema, listQuerySchema, newTenant, patchSchema, verbSchema } from './requests.ts';
import { accepted, TENANT, TENANTS } from './tenant-of.ts';
import { activate, restart, retryProvision, suspend } from './verbs.ts';
import { tenantView } from './view.ts';

type TenantDependencies = GateDependencies & Pick<ApiDependencies, 'store' | 'subdomainSuffix'>;

/** Registers the tenant itself and the verbs. */
export function tenantRoutes(scope: FastifyInstance, dependencies: TenantDependencies): void {
  collectionRoutes(scope, dependencies);
  itemRoutes(scope, dependencies);
  verbRoutes(scope, dependencies);
}

function collectionRoutes(scope: FastifyInstance, dependencies: TenantDependencies): void {
  const { store, subdomainSuffix } = dependencies;

  scope.get(TENANTS, async (request) => {
    const { limit, cursor } = parse(listQuerySchema, request.query, 'the query');
    const { role, customer } = identityOf(request);
    // Whoever is nobody's customer yet owns nothing.
    if (role !== 'operator' && customer === undefined) return { data: [] };
    const query = {
      limit,
      ...(cursor !== undefined && { continue: cursor }),
      ...(role !== 'operator' && customer !== undefined && { owner: customer }),
    };
    const list = await store.list(query).catch((error: unknown) => {
      throw asParameterError(error);
    });
    return {
      data: list.items.map((tenant) => tenantView(tenant, subdomainSuffix)),
      next_cursor: list.continue,
    };
  });

  scope.post(TENANTS, async (request, reply) => {
    // For a customer this address has no such method: a tenant comes with a subscription.
    if (identityOf(request).role !== 'operator')
      throw new ApiError('method_not_allowed', 'cannot use this method here: allowed are GET', {
        headers: { allow: 'GET' },
      });
    const tenant = await store.create(newTenant(parse(createSchema, request.body, 'the body')));
    return reply
      .code(201)
      .headers({ etag: entityTag(tenant), location: `${TENANTS}/${tenant.metadata.uid}` })
      .send({ data: tenantView(tenant, subdomainSuffix) });
  });
}

function itemRoutes(scope: FastifyInstance, dependencies: TenantDependencies): void {
  const { store, subdomainSuffix } = dependencies;

  scope.get(TENANT, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    return reply.header('etag', entityTag(tenant)).send({ data: tenantView(tenant, subdomainSuffix) });
  });

  scope.patch(TENANT, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const patch = parse(patchSchema, request.body, 'the body');
    refuseBuiltIn(patch.hostnames ?? [], subdomainSuffix);
    if (patch.status === 'active') await requireSubscription(dependencies, request, tenant);
    if (patch.memory_mb !== undefined)
      await requireWithinPlan(dependencies, request, { tenant, memoryMb: patch.memory_mb });
    const ifMatch = request.headers['if-match'];
    const changed = await changeSpec({ store, tenant, ifMatch }, (now) => applyPatch(now, patch));
    return accepted(reply, changed).send({ data: tenantView(changed, subdomainSuffix) });
  });

  scope.delete(TENANT, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    await deleteTenant({ store, tenant, ifMatch: request.headers['if-match'] });
    return reply.code(204).send();
  });
}

type Change = (tenant: Tenant, nowMs: number) => TenantSpec;
type Answer = (tenant: Tenant) => object;

/** The verbs that carry nothing but their name. Restart and retry answer bare, because the CLI decodes them so. */
function verbRoutes(scope: FastifyInstance, dependencies: TenantDependencies): void {
  const { store, clock, subdomainSuffix } = dependencies;
  const tenantAnswer: Answer = (tenant) => ({ data: tenantView(tenant, subdomainSuffix) });
  const verbs: readonly (readonly [string, Change, Answer])[] = [
    ['suspend', suspend, tenantAnswer],
    ['activate', activate, tenantAnswer],
    ['restart', restart, () => ({ status: 'restarting' })],
    ['retry-provision', retryProvision, () => ({ status: 'provisioning' })],
  ];
  for (const [name, change, answer] of verbs)
    scope.post(`${TENANT}/${name}`, async (request, reply) => {
      const tenant = await findTenant(dependencies, request);
      parse(verbSchema, request.body, 'the body');
      if (name === 'activate') await requireSubscription(dependencies, request, tenant);
      const ifMatch = request.headers['if-match'];
      const changed = await changeSpec({ store, tenant, ifMatch }, (now) => change(now, clock.now()));
      return accepted(reply, changed).send(answer(changed));
    });
}
