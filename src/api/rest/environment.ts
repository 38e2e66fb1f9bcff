/** Which environment does a tenant's machine get? All of it by name; the values of secrets are not shown. */
import { z } from 'zod';
import { machineEnvironment } from '../../tenant/environment.ts';
import { hostname, internalHostname } from '../../tenant/names.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { Routes } from '../routes.ts';
import { appOf, TAG, TENANT } from './tenant-of.ts';

export const environmentAnswer = z.object({
  data: z.object({
    environment: z.record(z.string(), z.string()).describe('All that is no secret.'),
    custom: z
      .record(z.string(), z.string())
      .describe('Those of them that the owner has set: `PATCH /tenants/{id}` changes them.'),
    secrets: z
      .array(z.string())
      .describe('Names of what comes from the vault, with DATABASE_URL and JWT_SECRET.'),
    hostname: z.string(),
    internal_hostname: z.string(),
  }),
});

export function environmentRoute(
  routes: Routes,
  { vault, subdomainSuffix }: Pick<ApiDependencies, 'vault' | 'subdomainSuffix'>,
): void {
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/environment`,
      summary: 'What the machine gets as its environment; secrets by name alone',
      tag: TAG,
      access: 'owner',
      answers: { 200: environmentAnswer },
    },
    async ({ tenant }) => {
      const host = hostname(tenant.metadata.uid, subdomainSuffix);
      const state = await vault.describe(tenant.metadata.uid);
      return {
        data: {
          environment: machineEnvironment(tenant, host),
          custom: tenant.spec.env,
          secrets: state === undefined ? [] : ['DATABASE_URL', ...state.names].sort(),
          hostname: host,
          internal_hostname: internalHostname(appOf(tenant)),
        },
      };
    },
  );
}
