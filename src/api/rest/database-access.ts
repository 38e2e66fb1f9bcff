/**
 * May a tenant's database be reached from outside? A wish in the spec; the loop lets the tenant's role into the group
 * that the server's own rules (pg_hba.conf) admit from elsewhere.
 */
import { z } from 'zod';
import type { ApiDependencies } from '../dependencies.ts';
import type { Routes } from '../routes.ts';
import { changeSpec } from './change.ts';
import { waitQuerySchema } from './requests.ts';
import { notProvisioned, TAG, TENANT } from './tenant-of.ts';
import { refuseDeleted } from './verbs.ts';
import { accept } from './wait.ts';

/** Body of `PUT /external-db-access`. */
export const databaseAccessSchema = z.strictObject({ enabled: z.boolean() });

/** Its answer. The password is shown when access is given, for that is what it is asked for; masked otherwise. */
export const databaseAccessAnswer = z.object({
  data: z.object({ tenant_id: z.string(), external_db_access: z.boolean(), database_url: z.string() }),
});

/** The CLI keeps the address that it has when it sees this. */
const MASKED_PASSWORD = '********';

export function databaseAccessRoute(
  routes: Routes,
  dependencies: Pick<ApiDependencies, 'store' | 'clock' | 'vault' | 'databaseUrls'>,
): void {
  const { vault, databaseUrls } = dependencies;
  routes.add(
    {
      method: 'PUT',
      path: `${TENANT}/external-db-access`,
      summary: 'Let the database be reached from outside, or no longer',
      tag: TAG,
      access: 'owner',
      versioned: true,
      query: waitQuerySchema,
      body: databaseAccessSchema,
      answers: { 200: databaseAccessAnswer, 202: databaseAccessAnswer },
      errors: ['not_provisioned', 'conflict', 'invalid_state'],
    },
    async ({ tenant, store, body: { enabled }, query, request, reply }) => {
      const { uid } = tenant.metadata;
      const secrets = await vault.reveal(uid);
      if (secrets === undefined)
        throw notProvisioned(tenant, 'change the database access of', 'it has no database yet');
      const ifMatch = request.headers['if-match'];
      const changed = await changeSpec({ store, tenant, ifMatch }, (now) => {
        refuseDeleted(now, 'change the database access of');
        return { ...now.spec, externalDatabaseAccess: enabled };
      });
      await accept(dependencies, { reply, changed, waitMs: query.wait });
      const { external } = databaseUrls(uid, enabled ? secrets.databasePassword : MASKED_PASSWORD);
      return { data: { tenant_id: uid, external_db_access: enabled, database_url: external } };
    },
  );
}
