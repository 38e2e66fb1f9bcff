/**
 * What do the doors need from the rest of the house? Only this: main.ts hands it in, so that src/api knows neither
 * Fly nor the reconcilers nor the database.
 */
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Accounts } from '../accounts/accounts.ts';
import type { Clock } from '../clock.ts';
import type { EventStore, TenantStore } from '../store/store.ts';
import type { Tenant } from '../tenant/schema.ts';
import type { Authenticator } from './auth.ts';

export interface ApiDependencies {
  readonly store: TenantStore;
  readonly events: EventStore;
  readonly auth: Authenticator;
  readonly accounts: Accounts;
  /** What a tenant's machine connects to its database with, the password masked. */
  readonly maskedDatabaseUrl: (uid: string) => string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Host of the registry that tenants push to, such as `registry.fly.io`. */
  readonly registryHost: string;
  /** The empty app on Fly under whose name every tenant has its one tag. */
  readonly sharedRegistryApp: string;
  /** Tenants are served at `<uid>.<suffix>`. */
  readonly subdomainSuffix: string;
  readonly resolveImage: ResolveImage;
  readonly planTenant: PlanTenant;
  readonly health: () => Promise<HealthView>;
  /** True: nothing but the probes and the figures is answered. */
  readonly probesOnly?: boolean;
  /** Where the HTTP figures are registered, and what /metrics prints. */
  readonly metrics: Registry;
}

/** Digest (`sha256:…`) of a reference, undefined when the registry has no such image; throws when it cannot tell. */
export type ResolveImage = (reference: string, signal: AbortSignal) => Promise<string | undefined>;

/** What the loop would do next, from a fresh observation, without doing it. Throws when Fly cannot be observed. */
export type PlanTenant = (tenant: Tenant, signal: AbortSignal) => Promise<PlanView>;

export interface PlanView {
  /** Generation of the spec that was planned for. */
  readonly generation: number;
  readonly steps: readonly {
    readonly kind: string;
    readonly part: string;
    readonly target: string;
    readonly why: string;
    /** Kinds of the steps that must be done first. */
    readonly needs: readonly string[];
  }[];
  readonly waits: readonly {
    readonly part: string;
    readonly reason: string;
    readonly message: string;
    readonly retryAfterMs: number;
  }[];
  readonly problems: readonly { readonly part: string; readonly reason: string; readonly message: string }[];
  /** True when there is nothing to do, to wait for, or to complain of. */
  readonly converged: boolean;
}

export interface HealthView {
  /** False turns /readyz red. */
  readonly healthy: boolean;
  readonly checks: readonly HealthCheck[];
}

export interface HealthCheck {
  /** Stable, in lowercase with dashes: `database`, `tenant-watch`. */
  readonly name: string;
  readonly healthy: boolean;
  /** Why not, in a sentence without secrets: anybody who reaches the port may read it. */
  readonly message?: string;
}
