/**
 * What may the doors ask of Fly, and where do tenants' databases stand? A few reads, one credential and addresses, in
 * the words of src/api, which knows neither Fly nor the servers.
 */
import type { ApiDependencies, CertificateState, DatabaseUrls, Platform } from './api/dependencies.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import type { Database } from './database/connection.ts';
import type { TenantDatabases } from './database/tenant-databases.ts';
import type { Fly } from './fly/fly.ts';
import { registryPassword } from './fly/token.ts';
import type { WireCertificateDetail } from './fly/wire.ts';
import { createRevisionStore } from './store/revisions.ts';
import type { OwnersVault } from './vault/vault.ts';

/** What the doors to one tenant stand on. */
export function tenantDoors(parts: {
  readonly config: Pick<Config, 'sharedRegistryApp' | 'tenantDatabaseExternalHost' | 'flyEnabled'>;
  readonly database: Database;
  readonly databases: TenantDatabases;
  readonly fly: Fly;
  readonly vault: OwnersVault;
  readonly clock: Clock;
}): Pick<ApiDependencies, 'vault' | 'revisions' | 'platform' | 'databaseUrls' | 'cloudEnabled'> {
  const { config, database, databases, fly, vault, clock } = parts;
  return {
    vault,
    revisions: createRevisionStore({ database, clock }),
    platform: createPlatform({ fly, sharedRegistryApp: config.sharedRegistryApp }),
    databaseUrls: databaseUrls(databases, config.tenantDatabaseExternalHost),
    cloudEnabled: config.flyEnabled,
  };
}

/** `sharedRegistryApp`: the empty app whose repository holds the tag of every tenant. */
export function createPlatform({
  fly,
  sharedRegistryApp,
}: {
  readonly fly: Pick<Fly, 'apps' | 'certificates' | 'telemetry'>;
  readonly sharedRegistryApp: string;
}): Platform {
  return {
    logs: (app, query, signal) => fly.telemetry.logs(app, query, signal),
    metric: (promql, signal) => fly.telemetry.query(promql, signal),
    metricRange: (query, signal) => fly.telemetry.queryRange(query, signal),
    async certificate(app, hostname, signal) {
      const detail = await fly.certificates.get(app, hostname, signal);
      return detail && stateOf(detail);
    },
    registryToken: async (options, signal) =>
      registryPassword(await fly.apps.createDeployToken(sharedRegistryApp, options, signal)),
  };
}

function stateOf(detail: WireCertificateDetail): CertificateState {
  const { dns_requirements: dns, certificates = [] } = detail;
  const issued = certificates.find((certificate) => certificate.status === 'active');
  const challenge = dns?.acme_challenge;
  const createdAt = detail.created_at ?? undefined;
  const issuedAt = issued?.created_at ?? undefined;
  return {
    issued: detail.status === 'active',
    status: detail.status ?? 'pending',
    ...(createdAt !== undefined && { createdAt }),
    ...(issuedAt !== undefined && { issuedAt }),
    problems: (detail.validation_errors ?? []).flatMap(({ message }) => message ?? []),
    dns: {
      a: dns?.a ?? [],
      aaaa: dns?.aaaa ?? [],
      ...(dns?.cname !== undefined && { cname: dns.cname }),
      ...(challenge?.name !== undefined &&
        challenge.target !== undefined && {
          challenge: { name: challenge.name, target: challenge.target },
        }),
    },
  };
}

/** `externalHost`: `host` or `host:port`; from outside nobody comes without TLS. Absent: one address for everybody. */
export function databaseUrls(
  databases: Pick<TenantDatabases, 'url'>,
  externalHost: string | undefined,
): DatabaseUrls {
  return (uid, password) => {
    const internal = databases.url(uid, password);
    if (externalHost === undefined) return { internal, external: internal };
    const external = new URL(internal);
    external.port = '';
    external.host = externalHost;
    external.searchParams.set('sslmode', 'require');
    return { internal, external: external.href };
  };
}
