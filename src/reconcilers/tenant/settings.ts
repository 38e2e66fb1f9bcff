/** Where do tenants live, and how long is a tenant left alone? What planning needs beside the tenant itself. */

export interface TenantSettings {
  /** Fly organisation that owns every app. */
  readonly orgSlug: string;
  /** Host of the registry as it stands in image references, for example `registry.fly.io`. */
  readonly registryHost: string;
  /** App whose repository holds one tag for each tenant. */
  readonly sharedRegistryApp: string;
  /** Built-in hostnames are `<uid>.<suffix>`. */
  readonly subdomainSuffix: string;
}

/**
 * How long "not found" is not believed after a thing was asked for whose name is unique: a second create is
 * refused by Fly, so being wrong costs one call.
 */
export const NAMED_GRACE_MS = 5_000;

/**
 * The same for what Fly would make twice (volumes, addresses), and for what would be taken as gone. Longer than the
 * request of a process that has died, or could not write down how it ended, can be under way: the client gives a write up
 * after 30 s, and Fly may act on it some seconds later. Lists lag up to about two seconds behind (fly-api: eventual
 * consistency).
 */
export const UNNAMED_GRACE_MS = 45_000;

/** The same for the app of a tenant that is deleted: nobody looks for it afterwards, so there is some time to spare. */
export const LAST_GRACE_MS = 60_000;

/** A converged tenant is looked at this often even when nothing seems to have happened; spread by ±10 %. */
export const SWEEP_INTERVAL_MS = 300_000;

/** How long an image that the registry does not know is looked for: pushes become visible with a delay. */
export const IMAGE_GRACE_MS = 15_000;

/** A machine longer in a transient state than this is reported as wedged (Fly: 5 min, 10 min for updates). */
export const WEDGED_AFTER_MS = 600_000;
