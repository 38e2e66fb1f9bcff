/**
 * What do the doors need from the rest of the house? Only this: daemon.ts hands it in, so that src/api knows neither
 * Fly nor the reconcilers nor the database.
 */
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Accounts } from '../accounts/accounts.ts';
import type { Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RevisionStore } from '../store/revisions.ts';
import type { EventStore, TenantStore } from '../store/store.ts';
import type { Tenant } from '../tenant/schema.ts';
import type { OwnersVault } from '../vault/vault.ts';
import type { Authenticator } from './auth.ts';
import type { TrustsProxy } from './client.ts';
import type { RateLimits } from './rate-limit.ts';

export interface ApiDependencies {
  readonly store: TenantStore;
  readonly events: EventStore;
  readonly revisions: RevisionStore;
  readonly vault: DoorVault;
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
  readonly platform: Platform;
  readonly databaseUrls: DatabaseUrls;
  /** False: this Landlord does not use Fly, and what needs it answers 503. */
  readonly cloudEnabled: boolean;
  readonly health: () => Promise<HealthView>;
  /** What is kept of requests. */
  readonly ledger: Pick<Ledger, 'idempotency' | 'audit' | 'requests'>;
  readonly limits: RateLimits;
  /** Whether a peer is a proxy whose word about addresses counts. */
  readonly trustsProxy: TrustsProxy;
  /** Web pages of these origins may read answers; none by default. */
  readonly corsOrigins: readonly string[];
  /** True: nothing but the probes and the figures is answered. */
  readonly probesOnly?: boolean;
  /** Where the HTTP figures are registered, and what /metrics prints. */
  readonly metrics: Registry;
}

/** Digest (`sha256:…`) of a reference, undefined when the registry has no such image; throws when it cannot tell. */
export type ResolveImage = (reference: string, signal: AbortSignal) => Promise<string | undefined>;

/** What the doors may do with secrets. They never rotate what the spec has not asked for. */
export type DoorVault = Pick<
  OwnersVault,
  'describe' | 'list' | 'set' | 'rotate' | 'reveal' | 'link' | 'redeem' | 'forget'
>;

/** Addresses of a tenant's database, with the password: as its machine reaches it, and as the world does. */
export type DatabaseUrls = (
  uid: string,
  password: string,
) => { readonly internal: string; readonly external: string };

/** What the doors may ask of Fly: reads, and a credential. Every function throws when Fly does not answer. */
export interface Platform {
  /** Log lines of an app, oldest first. Without a token the latest hundred; with one the next that came after it. */
  logs(
    app: string,
    query: { readonly nextToken?: string; readonly instance?: string },
    signal: AbortSignal,
  ): Promise<{ readonly lines: readonly LogLine[]; readonly nextToken?: string }>;
  /** PromQL at this moment. */
  metric(promql: string, signal: AbortSignal): Promise<readonly MetricSeries[]>;
  /** PromQL over a range; times in milliseconds since the epoch. */
  metricRange(
    query: {
      readonly promql: string;
      readonly fromMs: number;
      readonly toMs: number;
      readonly stepMs: number;
    },
    signal: AbortSignal,
  ): Promise<readonly MetricSeries[]>;
  /** Undefined while none was requested. */
  certificate(app: string, hostname: string, signal: AbortSignal): Promise<CertificateState | undefined>;
  /** A credential that can push to the shared registry app and nothing else, as `docker login` takes it. */
  registryToken(options: { readonly expiryMs: number }, signal: AbortSignal): Promise<string>;
}

export interface LogLine {
  readonly id: string;
  readonly timestamp: string;
  readonly message: string;
  readonly level?: string;
  readonly instance?: string;
  readonly region?: string;
}

export interface MetricSeries {
  readonly metric: Readonly<Record<string, string>>;
  /** Seconds since the epoch, and the number as text. */
  readonly values: readonly (readonly [number, string])[];
}

export interface CertificateState {
  readonly issued: boolean;
  /** Fly's word. */
  readonly status: string;
  readonly createdAt?: string;
  readonly issuedAt?: string;
  /** Why it is not issued, in Fly's words. */
  readonly problems: readonly string[];
  /** What DNS must say. */
  readonly dns: {
    readonly a: readonly string[];
    readonly aaaa: readonly string[];
    readonly cname?: string;
    readonly challenge?: { readonly name: string; readonly target: string };
  };
}

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
