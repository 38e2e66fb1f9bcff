/** What does planning look at? The same input always gives the same plan: no clock, no chance, no network. */
import { appName, hostname } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import type { Observed } from './observed.ts';
import type { TenantSettings } from './settings.ts';

export interface PlanInput {
  /** Desired state, and in its status the journal of what was asked for and made. */
  readonly tenant: Tenant;
  readonly observed: Observed;
  readonly settings: TenantSettings;
  /** Milliseconds since the epoch at which the plan is made. */
  readonly now: number;
  /** When the look began that `observed` comes from: what was not found may have come since, however late it is now. */
  readonly observedAt: number;
}

/** The app that holds everything of the tenant: its own, or the one that it adopts. */
export function appOf(tenant: Tenant): string {
  return tenant.spec.adopt?.app ?? appName(tenant.metadata.uid);
}

/** The built-in public hostname. */
export function hostnameOf(tenant: Tenant, settings: TenantSettings): string {
  return hostname(tenant.metadata.uid, settings.subdomainSuffix);
}

/**
 * For how many more milliseconds "not found" proves nothing about a thing that was asked for: 0 when it was
 * never asked for, or so long before it was looked for that any answer must have taken effect.
 */
export function graceLeftMs(input: PlanInput, intent: string, graceMs: number): number {
  const requestedAt = input.tenant.status?.requested?.[intent];
  if (requestedAt === undefined) return 0;
  // Never more than all of it: a clock that was set back would have it last for hours.
  return Math.min(graceMs, Math.max(0, Date.parse(requestedAt) + graceMs - input.observedAt));
}

/** How often to look while a thing that was asked for does not show. */
export const LOOK_INTERVAL_MS = 1_000;
