/**
 * How does a wish become a spec change? Compare-and-swap on the version that was read, a few times over when
 * somebody else was faster; with `If-Match`, on the version that the client has seen, and once.
 */
import { ConflictError, InvalidError, NotFoundError, type TenantStore } from '../../store/store.ts';
import type { Tenant, TenantSpec } from '../../tenant/schema.ts';
import { tenantNotFound } from '../access.ts';
import { ApiError } from '../errors.ts';

/** Each attempt loses only to somebody else's success; five in a row is a tenant that people fight over. */
const MOST_ATTEMPTS = 5;

/** REST's names of the fields that a change can be wrong about. */
const FIELD_NAMES: Readonly<Record<string, string>> = {
  'spec.memoryMb': 'memory_mb',
  'spec.volumeGb': 'volume_gb',
  'spec.state': 'status',
};

/**
 * Stores what `change` makes of the tenant, and answers it as it then stands. `change` runs again on each attempt
 * and may throw. Throws ApiError `precondition_failed`, `conflict`, `tenant_not_found` or `invalid`.
 */
export async function changeSpec(
  options: { readonly store: TenantStore; readonly tenant: Tenant; readonly ifMatch: string | undefined },
  change: (tenant: Tenant) => TenantSpec,
): Promise<Tenant> {
  const { store, ifMatch } = options;
  let { tenant } = options;
  for (let attempt = 1; ; attempt += 1) {
    checkMatch(tenant, ifMatch);
    try {
      return await store.update({ metadata: tenant.metadata, spec: change(tenant) });
    } catch (error) {
      if (error instanceof InvalidError) throw inRestTerms(error);
      if (!(error instanceof ConflictError) || attempt >= MOST_ATTEMPTS) throw error;
    }
    tenant = await reread(store, tenant);
  }
}

/** Asks for the tenant's end. Throws ApiError `precondition_failed` or `tenant_not_found`. */
export async function deleteTenant(options: {
  readonly store: TenantStore;
  readonly tenant: Tenant;
  readonly ifMatch: string | undefined;
}): Promise<void> {
  const { store, tenant, ifMatch } = options;
  const { namespace, name, uid, resourceVersion } = tenant.metadata;
  checkMatch(tenant, ifMatch);
  try {
    // The uid too: since the tenant was read, another one can have taken its name.
    await store.delete({ namespace, name }, { uid, ...(ifMatch !== undefined && { resourceVersion }) });
  } catch (error) {
    if (!(error instanceof ConflictError || error instanceof NotFoundError)) throw error;
    checkMatch(await reread(store, tenant), ifMatch);
    throw error;
  }
}

/** The entity tag of a tenant: its resourceVersion. */
export function entityTag({ metadata }: Tenant): string {
  return `"${metadata.resourceVersion}"`;
}

/** Throws ApiError `precondition_failed` when `If-Match` names other versions only; absent or `*` is any. */
function checkMatch(tenant: Tenant, ifMatch: string | undefined): void {
  const wanted = ifMatch?.split(',').map((tag) => tag.trim());
  if (wanted === undefined || wanted.includes('*') || wanted.includes(entityTag(tenant))) return;
  throw new ApiError(
    'precondition_failed',
    `cannot change tenant "${tenant.metadata.uid}": it is no longer the version that If-Match names`,
    { headers: { etag: entityTag(tenant) } },
  );
}

async function reread(store: TenantStore, { metadata }: Tenant): Promise<Tenant> {
  const tenant = await store.getByUid(metadata.uid);
  if (tenant === undefined) throw tenantNotFound(metadata.uid);
  return tenant;
}

function inRestTerms(error: InvalidError): ApiError {
  const issues = error.issues.map(({ path, message }) => ({
    path: FIELD_NAMES[path] ?? path.replace(/^spec\./, ''),
    message,
  }));
  const summary = issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
  return new ApiError('invalid', `cannot change the tenant: ${summary}`, { issues });
}
