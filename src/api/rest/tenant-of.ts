/** What do the routes below `/tenants/{id}` have in common? Their addresses, their 202, and what they refuse alike. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { appName } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { entityTag } from './change.ts';

export const TENANTS = '/api/v1/tenants';
export const TENANT = `${TENANTS}/:id`;

/** As it stands in the path. */
export function tenantId(request: FastifyRequest): string {
  return parse(z.object({ id: z.string() }), request.params, 'the path').id;
}

/** Every change is accepted, not done: the loop does it. */
export function accepted(reply: FastifyReply, tenant: Tenant): FastifyReply {
  return reply.code(202).header('etag', entityTag(tenant));
}

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
