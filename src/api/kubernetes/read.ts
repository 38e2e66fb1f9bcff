/**
 * How are tenants read through the declarative door? Get and list, in the shapes of the API server.
 */
import type { TenantList, TenantStore } from '../../store/store.ts';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { asParameterError } from '../edge.ts';
import { ApiError } from '../errors.ts';
import type { ListQuery } from './query.ts';

export interface ListView {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: `${typeof KIND}List`;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly Tenant[];
}

/** One tenant. Throws ApiError `tenant_not_found`. */
export async function getTenant(
  store: TenantStore,
  place: { readonly namespace: string; readonly name: string },
): Promise<Tenant> {
  const tenant = await store.get(place);
  if (tenant !== undefined) return tenant;
  throw new ApiError('tenant_not_found', `cannot find tenant "${place.name}": it does not exist`);
}

/** The tenants that a query selects, of one namespace or of all. */
export async function listTenants(
  store: TenantStore,
  query: ListQuery,
  namespace: string | undefined,
): Promise<ListView> {
  const list = await readList(store, query, namespace ?? query.fields.namespace);
  return {
    apiVersion: API_VERSION,
    kind: `${KIND}List`,
    metadata: {
      resourceVersion: list.resourceVersion,
      ...(list.continue !== undefined && { continue: list.continue }),
    },
    items: list.items.filter((tenant) => query.fields.matches(tenant)),
  };
}

async function readList(
  store: TenantStore,
  query: ListQuery,
  namespace: string | undefined,
): Promise<TenantList> {
  const { name, owner } = query.fields;
  if (name !== undefined && namespace !== undefined) return readOne(store, query, { namespace, name });
  const list = store.list({
    ...(namespace !== undefined && { namespace }),
    ...(owner !== undefined && { owner }),
    ...(query.labels.text !== '' && { labelSelector: query.labels.text }),
    ...(query.limit !== undefined && { limit: query.limit }),
    ...(query.continue !== undefined && { continue: query.continue }),
  });
  return list.catch((error: unknown) => {
    throw asParameterError(error);
  });
}

/**
 * What `kubectl wait` and `kubectl delete` ask for, many times over: a list of one name must not read them all.
 * The version is taken before the tenant, so that a watch from it sees every change that this answer does not.
 */
async function readOne(
  store: TenantStore,
  query: ListQuery,
  place: { readonly namespace: string; readonly name: string },
): Promise<TenantList> {
  const { resourceVersion } = await store.list({ namespace: place.namespace, limit: 1 });
  const tenant = await store.get(place);
  return { resourceVersion, items: tenant !== undefined && query.labels.matches(tenant) ? [tenant] : [] };
}
