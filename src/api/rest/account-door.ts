/**
 * Who am I, and what do I have? The routes about the caller: identity with all tenants in one answer, which is what
 * the CLI keeps on its disk, the end of a login, and the activity that the CLI reports.
 */
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { Tenant } from '../../tenant/schema.ts';
import type { Identity } from '../auth.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { openDoor, type DoorParts } from '../door.ts';
import type { Routes } from '../routes.ts';
import { activitySchema, meAnswerSchema } from './account-schemas.ts';
import { addressOf, ownedStatus } from './view.ts';

export type AccountDependencies = DoorParts & Pick<ApiDependencies, 'subdomainSuffix' | 'maskedDatabaseUrl'>;

const TAG = 'Account';
/** More than any customer has; what lies beyond is in `GET /tenants`, page by page. */
const MOST_TENANTS = 500;
/** Reserved (RFC 2606), and of the shape without which the CLI ends itself: for an issuer that tells no address. */
const UNKNOWN_EMAIL = 'unknown@users.invalid';

export function openAccountDoor(scope: FastifyInstance, dependencies: AccountDependencies): void {
  openDoor(scope, dependencies, { declare: (routes) => accountRoutes(routes, dependencies) });
}

function accountRoutes(routes: Routes, dependencies: AccountDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: '/api/v1/auth/me',
      summary: 'Who the caller is, with all of their tenants',
      tag: TAG,
      access: 'caller',
      answers: { 200: meAnswerSchema },
    },
    ({ identity }) => describe(dependencies, identity),
  );
  routes.add(
    {
      method: 'POST',
      path: '/api/v1/auth/logout',
      summary: 'End the login that the token stands for',
      tag: TAG,
      access: 'caller',
      answers: { 204: { description: 'It has ended.' } },
    },
    async ({ identity: { sessionId }, reply }) => {
      if (sessionId !== undefined) await dependencies.accounts.users.logOut(sessionId);
      return reply.code(204).send();
    },
  );
  routes.add(
    {
      method: 'POST',
      path: '/api/v1/activity',
      summary: 'What the CLI tells of logins and logouts',
      tag: TAG,
      access: 'caller',
      body: activitySchema,
      answers: { 204: { description: 'Noted.' } },
    },
    ({ identity: { subject }, body: { event }, request, reply }) => {
      // Who it was is in the token; what the body says of that is anybody's word.
      request.log.info({ event, subject }, 'activity of the CLI');
      return reply.code(204).send();
    },
  );
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
