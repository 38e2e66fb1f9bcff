/** Which environment does a tenant's machine get? All of it by name; the values of secrets are not shown. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { machineEnvironment } from '../../tenant/environment.ts';
import { hostname, internalHostname } from '../../tenant/names.ts';
import { findTenant } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { appOf, TENANT } from './tenant-of.ts';

export const environmentAnswer = z.object({
  data: z.object({
    /** What the machine gets, with the owner's own entries. */
    environment: z.record(z.string(), z.string()),
    /** The entries that the owner has set: `PATCH /tenants/{id}` changes them. */
    custom: z.record(z.string(), z.string()),
    /** Names of what comes from the vault, with DATABASE_URL and JWT_SECRET. */
    secrets: z.array(z.string()),
    hostname: z.string(),
    internal_hostname: z.string(),
  }),
});

export function environmentRoute(
  scope: FastifyInstance,
  dependencies: Pick<ApiDependencies, 'store' | 'vault' | 'subdomainSuffix'>,
): void {
  const { vault, subdomainSuffix } = dependencies;
  scope.get(`${TENANT}/environment`, async (request) => {
    const tenant = await findTenant(dependencies, request);
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
  });
}
