/** What every store that keeps tenants says of the same write: when it is refused, in which words, and what it stores. */
import type { Tenant, TenantMetadata } from '../tenant/schema.ts';
import type { AdmittedMetadata } from './admission.ts';
import { ConflictError, NotFoundError, type TenantName } from './store.ts';

/** What a dry run answers with, where a store would have given a number. */
export const DRY_RUN_VERSION = '0';
/** Why a write is refused that was made for another version. */
export const CHANGED = 'it was changed in the meantime';

/** Empty maps and lists are left out, so that a tenant looks the same before and after it was stored. */
export function written(metadata: AdmittedMetadata): Partial<TenantMetadata> {
  const { labels, annotations, finalizers } = metadata;
  return {
    ...(finalizers.length > 0 && { finalizers: [...finalizers] }),
    ...(Object.keys(labels).length > 0 && { labels: { ...labels } }),
    ...(Object.keys(annotations).length > 0 && { annotations: { ...annotations } }),
  };
}

/** Throws ConflictError when what is stored is not what was read: another tenant, or another version of it. */
export function requireSame(
  verb: string,
  stored: Tenant,
  read: { readonly uid?: string; readonly resourceVersion?: string },
): void {
  const { uid, resourceVersion } = stored.metadata;
  if (read.uid !== undefined && read.uid !== uid)
    refuse(verb, stored.metadata, 'it was deleted and made anew');
  if (read.resourceVersion !== undefined && read.resourceVersion !== resourceVersion)
    refuse(verb, stored.metadata, CHANGED);
}

/** Throws ConflictError. */
export function refuse(verb: string, name: TenantName, cause: string): never {
  throw new ConflictError(`cannot ${verb} tenant ${quoted(name)}: ${cause}`);
}

export function notFound(verb: string, name: TenantName): NotFoundError {
  return new NotFoundError(`cannot ${verb} tenant ${quoted(name)}: it does not exist`);
}

/** As messages name a tenant. */
export function quoted(name: TenantName): string {
  return `"${name.namespace}/${name.name}"`;
}
