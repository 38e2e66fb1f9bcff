/**
 * What is everything called? Every name on Fly and in PostgreSQL is derived from the tenant's uid, so that a
 * crash between "made" and "written down" can always be repaired by looking under the name.
 */

/** API group, version and names of the Tenant resource, as `kubectl` and the REST API spell them. */
export const GROUP = 'cloud.systemprompt.io';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;
export const KIND = 'Tenant';
export const PLURAL = 'tenants';
export const SINGULAR = 'tenant';
export const SHORT_NAMES = ['tn'] as const;
/** `kubectl get all` shows tenants too. */
export const CATEGORIES = ['all'] as const;

/** Keeps a deleted Tenant in the store until Fly holds nothing of it. */
export const FINALIZER = `${GROUP}/fly`;

/** Annotation: id of the subscription that pays for the tenant. Absent on what an operator made. */
export const SUBSCRIPTION_ANNOTATION = `${GROUP}/subscription`;

/**
 * Annotation: the status of the subscription (`past_due`, …) that suspended the tenant. While it is there, a renewed
 * subscription resumes the tenant; without it, somebody else suspended it, and it stays so.
 */
export const LAPSED_ANNOTATION = `${GROUP}/suspended-by-subscription`;

/** Prefix of every machine metadata key that is ours; anything else belongs to somebody else and is kept. */
export const METADATA_PREFIX = 'landlord_';

/** Name of the one data volume; Fly allows letters, digits and underscores. */
export const VOLUME_NAME = 'services';

/** Where the machine sees the data volume. */
export const VOLUME_PATH = '/app/services';

/** App on Fly, also the name of its one machine. Well below Fly's 63 characters. */
export function appName(uid: string): string {
  return `sp-${uid}`;
}

/** Public hostname, for example `1b4e28ba-….systemprompt.app`. */
export function hostname(uid: string, subdomainSuffix: string): string {
  return `${uid}.${subdomainSuffix}`;
}

/** Hostname inside the organisation's private network. */
export function internalHostname(app: string): string {
  return `${app}.internal`;
}

/** PostgreSQL database and role of a tenant; both carry the same name. */
export function databaseName(uid: string): string {
  return `sp_${uid.replaceAll('-', '_')}`;
}

/** The one tag in the shared registry app that a tenant may push to. */
export function imageTag(uid: string): string {
  return `tenant-${uid}`;
}
