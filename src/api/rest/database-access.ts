/**
 * May a tenant's database be reached from outside? A wish in the spec; the loop lets the tenant's role into the group
 * that the server's own rules (pg_hba.conf) admit from elsewhere.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { findTenant } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { parse } from '../edge.ts';
import { changeSpec } from './change.ts';
import { accepted, notProvisioned, TENANT } from './tenant-of.ts';
import { refuseDeleted } from './verbs.ts';

/** Body of `PUT /external-db-access`. */
export const databaseAccessSchema = z.strictObject({ enabled: z.boolean() });

/** Its answer. The password is shown when access is given, for that is what it is asked for; masked otherwise. */
export const databaseAccessAnswer = z.object({
  data: z.object({ tenant_id: z.string(), external_db_access: z.boolean(), database_url: z.string() }),
});

/** The CLI keeps the address that it has when it sees this. */
const MASKED_PASSWORD = '********';

export function databaseAccessRoute(
  scope: FastifyInstance,
  dependencies: Pick<ApiDependencies, 'store' | 'vault' | 'databaseUrls'>,
): void {
  const { store, vault, databaseUrls } = dependencies;
  scope.put(`${TENANT}/external-db-access`, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const { enabled } = parse(databaseAccessSchema, request.body, 'the body');
    const { uid } = tenant.metadata;
    const secrets = await vault.reveal(uid);
    if (secrets === undefined)
      throw notProvisioned(tenant, 'change the database access of', 'it has no database yet');
    const ifMatch = request.headers['if-match'];
    const changed = await changeSpec({ store, tenant, ifMatch }, (now) => {
      refuseDeleted(now, 'change the database access of');
      return { ...now.spec, externalDatabaseAccess: enabled };
    });
    const { external } = databaseUrls(uid, enabled ? secrets.databasePassword : MASKED_PASSWORD);
    return accepted(reply, changed).send({
      data: { tenant_id: uid, external_db_access: enabled, database_url: external },
    });
  });
}
