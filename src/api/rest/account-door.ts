/**
 * Who am I, and what do I have? The routes about the caller: identity with all tenants in one answer, which is what
 * the CLI keeps on its disk, the end of a login, and the activity that the CLI reports.
 */
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { Tenant } from '../../tenant/schema.ts';
import { identityOf, requireIdentity } from '../access.ts';
import type { Identity } from '../auth.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { acceptJson, parse } from '../edge.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import { activitySchema, type meAnswerSchema } from './account-schemas.ts';
import { addressOf, ownedStatus } from './view.ts';

export type AccountDependencies = Pick<
  ApiDependencies,
  'accounts' | 'auth' | 'store' | 'subdomainSuffix' | 'maskedDatabaseUrl'
>;

/** More than any customer has; what lies beyond is in `GET /tenants`, page by page. */
const MOST_TENANTS = 500;
/** Reserved (RFC 2606), and of the shape without which the CLI ends itself: for an issuer that tells no address. */
const UNKNOWN_EMAIL = 'unknown@users.invalid';

export function openAccountDoor(scope: FastifyInstance, dependencies: AccountDependencies): void {
  const routes = collectRoutes(scope);
  scope.addHook('onRequest', requireIdentity(dependencies.auth));
  acceptJson(scope, ['application/json']);

  scope.get('/api/v1/auth/me', (request) => describe(dependencies, identityOf(request)));

  scope.post('/api/v1/auth/logout', async (request, reply) => {
    const { sessionId } = identityOf(request);
    if (sessionId !== undefined) await dependencies.accounts.users.logOut(sessionId);
    return reply.code(204).send();
  });

  scope.post('/api/v1/activity', (request, reply) => {
    const { event } = parse(activitySchema, request.body, 'the body');
    // Who it was is in the token; what the body says of that is anybody's word.
    request.log.info({ event, subject: identityOf(request).subject }, 'activity of the CLI');
    return reply.code(204).send();
  });

  refuseOtherMethods(scope, routes);
}

type Me = z.infer<typeof meAnswerSchema>;

async function describe(dependencies: AccountDependencies, identity: Identity): Promise<Me> {
  const { store, accounts } = dependencies;
  const { subject, email = UNKNOWN_EMAIL, name, customer } = identity;
  const user = { id: subject, email, ...(name !== undefined && { name }) };
  if (customer === undefined) return { user, tenants: [] };
  const { items } = await store.list({ owner: customer, limit: MOST_TENANTS });
  const [subscriptions, plans] = await Promise.all([
    accounts.subscriptions.ofTenants(items.map(({ metadata }) => metadata.uid)),
    accounts.plans.offered(),
  ]);
  const tenants = items.map((tenant) => {
    const subscription = subscriptions.get(tenant.metadata.uid);
    return {
      ...(subscription !== undefined && {
        subscription_id: subscription.id,
        subscription_status: subscription.status,
      }),
      ...tenantOf(dependencies, tenant, plans.find(({ id }) => id === tenant.spec.plan)?.name),
    };
  });
  return { user, customer: { id: customer, status: 'active' }, tenants };
}

function tenantOf(
  { subdomainSuffix, maskedDatabaseUrl }: AccountDependencies,
  tenant: Tenant,
  planName: string | undefined,
): Me['tenants'][number] {
  const { metadata, spec, status } = tenant;
  return {
    id: metadata.uid,
    name: metadata.name,
    ...(status?.app !== undefined && { app_id: status.app.name }),
    hostname: addressOf(tenant, subdomainSuffix).host,
    region: spec.region,
    status: ownedStatus(tenant),
    plan: {
      id: spec.plan,
      name: planName ?? spec.plan,
      memory_mb: spec.memoryMb,
      volume_gb: spec.volumeGb,
    },
    external_db_access: false,
    database_url: maskedDatabaseUrl(metadata.uid),
  };
}
