/**
 * What does each verb change in the spec? Pure functions from the tenant as it stands to the spec as it shall be, so
 * that a verb that was accepted survives any crash. Each throws ApiError `invalid_state` where the verb makes no
 * sense; all refuse a tenant that is being deleted.
 */
import type { Tenant, TenantSpec } from '../../tenant/schema.ts';
import { ApiError } from '../errors.ts';
import { notProvisioned } from './tenant-of.ts';
import { isFailed } from './view.ts';

/** The machine is stopped and its data kept. Suspending twice is no error. */
export function suspend(tenant: Tenant): TenantSpec {
  refuseDeleted(tenant, 'suspend');
  return { ...tenant.spec, state: 'Suspended' };
}

/** The machine runs again. Activating twice is no error. */
export function activate(tenant: Tenant): TenantSpec {
  refuseDeleted(tenant, 'activate');
  return { ...tenant.spec, state: 'Running' };
}

/** Asks for one restart of the machine. `nowMs` is the time of the request, in milliseconds since the epoch. */
export function restart(tenant: Tenant, nowMs: number): TenantSpec {
  const { spec } = tenant;
  refuseDeleted(tenant, 'restart');
  if (spec.image === undefined) throw notProvisioned(tenant, 'restart', 'nothing is deployed yet');
  if (spec.state === 'Suspended') throw invalidState(tenant, 'restart', 'it is suspended');
  return { ...spec, restartedAt: laterThan(spec.restartedAt, nowMs) };
}

/** Clears a failure and its back-off. Only where there is one. */
export function retryProvision(tenant: Tenant, nowMs: number): TenantSpec {
  const { spec } = tenant;
  refuseDeleted(tenant, 'retry provisioning of');
  if (!isFailed(tenant)) throw invalidState(tenant, 'retry provisioning of', 'it has not failed');
  return { ...spec, retriedAt: laterThan(spec.retriedAt, nowMs) };
}

/** Runs another image, by tag and digest. */
export function deploy(tenant: Tenant, image: string): TenantSpec {
  refuseDeleted(tenant, 'deploy to');
  return { ...tenant.spec, image };
}

/** Asks for a new database password. */
export function rotateCredentials(tenant: Tenant, nowMs: number): TenantSpec {
  const { spec } = tenant;
  refuseDeleted(tenant, 'rotate the credentials of');
  return { ...spec, credentialsRotatedAt: laterThan(spec.credentialsRotatedAt, nowMs) };
}

/** Throws when the tenant is on its way out: no wish about it can be met any more. */
export function refuseDeleted(tenant: Tenant, verb: string): void {
  if (tenant.metadata.deletionTimestamp !== undefined)
    throw invalidState(tenant, verb, 'it is being deleted');
}

/** A request counts only when its time is newer than the last one, whatever the clock has done meanwhile. */
function laterThan(earlier: string | undefined, nowMs: number): string {
  const earliestMs = earlier === undefined ? nowMs : Date.parse(earlier) + 1;
  return new Date(Math.max(nowMs, earliestMs)).toISOString();
}

function invalidState({ metadata }: Tenant, verb: string, cause: string): ApiError {
  return new ApiError('invalid_state', `cannot ${verb} tenant "${metadata.uid}": ${cause}`);
}
