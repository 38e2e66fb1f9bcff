/** Where do tenants live on an API server? Paths of the collection and of one tenant, with their queries. */
import { API_VERSION, PLURAL } from '../../tenant/names.ts';
import { metadataSchema } from '../../tenant/schema.ts';
import type { TenantName } from '../store.ts';

/** Who has written what, as `metadata.managedFields` and server-side apply tell writers apart. */
export const FIELD_MANAGER = 'landlord';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** All tenants, or those of a namespace. */
export function collectionPath(namespace: string | undefined, query: Query = {}): string {
  const place = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `/apis/${API_VERSION}${place}/${PLURAL}${queryString(query)}`;
}

/** One tenant, or its status. The name must be one ({@link isName}): an empty one would be the whole collection. */
export function tenantPath(
  { namespace, name }: TenantName,
  options: { readonly subresource?: 'status'; readonly query?: Query } = {},
): string {
  const { subresource, query = {} } = options;
  const item = `${collectionPath(namespace)}/${encodeURIComponent(name)}`;
  return `${item}${subresource === undefined ? '' : `/${subresource}`}${queryString(query)}`;
}

/** Whether anything can have that name. */
export function isName({ namespace, name }: TenantName): boolean {
  return isLabel(namespace) && isLabel(name);
}

/** Whether a namespace can have that name. */
export function isLabel(text: string): boolean {
  return metadataSchema.shape.name.safeParse(text).success;
}

function queryString(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== false) parameters.set(name, String(value));
  return parameters.size === 0 ? '' : `?${parameters.toString()}`;
}
