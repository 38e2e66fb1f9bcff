/**
 * Which environment does a tenant's machine get? This is the only place that lists the variables. Secrets are
 * not here: DATABASE_URL, JWT_SECRET and the owner's own reach the machine as Fly app secrets.
 */
import type { Tenant } from './schema.ts';

/** Port on which every tenant's image listens. */
export const MACHINE_PORT = 8080;

/** What an owner may override in `spec.env`. */
function defaults(): Record<string, string> {
  return { RUST_LOG: 'info' };
}

/** What Landlord sets and nobody overrides. */
function fixed(tenant: Tenant, hostname: string): Record<string, string> {
  return {
    HOST: '0.0.0.0',
    PORT: String(MACHINE_PORT),
    SYSTEMPROMPT_SERVICES_PATH: '/app/services',
    WEB_DIR: '/app/web',
    DATABASE_TYPE: 'postgres',
    JWT_ISSUER: 'systemprompt',
    JWT_ACCESS_TOKEN_EXPIRATION: '3600',
    API_SERVER_URL: `http://0.0.0.0:${MACHINE_PORT}`,
    API_EXTERNAL_URL: `https://${hostname}`,
    APP_URL: `https://${hostname}`,
    TENANT_ID: tenant.metadata.uid,
    TENANT_NAME: tenant.metadata.name,
  };
}

/** The complete environment of the machine, sorted by name so that equal environments look equal. */
export function machineEnvironment(tenant: Tenant, hostname: string): Record<string, string> {
  const merged = { ...defaults(), ...tenant.spec.env, ...fixed(tenant, hostname) };
  return Object.fromEntries(Object.entries(merged).sort(([a], [b]) => (a < b ? -1 : 1)));
}
