/** What do the routes below `/tenants/{id}` have in common? Their addresses, and what they refuse alike. */
import { appName } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { ApiError } from '../errors.ts';

export const TENANTS = '/api/v1/tenants';
export const TENANT = `${TENANTS}/:id`;
/** Heading of the reference. */
export const TAG = 'Tenants';

/** The app on Fly, also before it is made: its name follows from the id. */
export function appOf({ metadata, spec }: Tenant): string {
  return spec.adopt?.app ?? appName(metadata.uid);
}

/** The app, once it is there. Throws ApiError `not_provisioned` until then. */
export function madeAppOf(tenant: Tenant, verb: string): string {
  if (tenant.status?.app !== undefined) return tenant.status.app.name;
  throw notProvisioned(tenant, verb, 'it has no app on Fly yet');
}

export function notProvisioned({ metadata }: Tenant, verb: string, cause: string): ApiError {
  return new ApiError('not_provisioned', `cannot ${verb} tenant "${metadata.uid}": ${cause}`);
}

/** Throws ApiError `cloud_disabled` where this Landlord does not use Fly. */
export function requireCloud({ cloudEnabled }: { readonly cloudEnabled: boolean }): void {
  if (!cloudEnabled) throw new ApiError('cloud_disabled', 'Cloud not enabled');
}
