/**
 * What did the operator ask for? The environment, read once, checked as a whole, and handed on as one typed
 * object. All that is wrong is reported together. This is the only reader of process.env.
 */
import { isAbsolute, resolve } from 'node:path';
import { z } from 'zod';
import {
  accountProblems,
  accountVariables,
  hasLogin,
  toAccountConfig,
  type AccountConfig,
} from './account-config.ts';
import { mannersConfig, mannersGaps, mannersVariables, type MannersConfig } from './manners-config.ts';

/** Fly's own addresses. */
const FLY = {
  api: 'https://api.machines.dev',
  registry: 'https://registry.fly.io',
  logs: 'https://api.fly.io',
  prometheus: 'https://api.fly.io/prometheus',
};

const port = z.coerce.number().int().min(0).max(65_535);
const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .transform((url) => url.replace(/\/+$/, ''));
const postgresUrl = z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// URL' });
const word = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, 'must consist of lowercase letters, digits and dashes');
const encryptionKeys = z.string().transform((text, context) =>
  text.split(',').map((entry) => {
    const [id = '', encoded = ''] = entry.split(':');
    const key = Buffer.from(encoded, 'base64');
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(id) || key.length !== 32)
      context.addIssue({ code: 'custom', message: 'must read id:base64,… with 32 bytes for each key' });
    return { id, key };
  }),
);

/** Every variable, with its default in development. The README's table lists the same names. */
const environmentSchema = z.object({
  NODE_ENV: z.string().optional(),
  LANDLORD_STATE_DIR: z.string().min(1).default('.landlord'),
  LANDLORD_STORE: z.enum(['postgres', 'kubernetes']).default('postgres'),
  KUBECONFIG: z.string().optional(),
  /** Set by Kubernetes in every container. */
  KUBERNETES_SERVICE_HOST: z.string().optional(),
  LANDLORD_ROLE: z.enum(['all', 'api', 'controller']).default('all'),
  LANDLORD_ENCRYPTION_KEYS: encryptionKeys.optional(),
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: port.default(8080),
  ...mannersVariables,
  LANDLORD_KUBECTL_PORT: z.union([z.literal('off'), port], 'must be a port, or off').optional(),
  LANDLORD_KUBECTL_TLS_CERT_FILE: z.string().min(1).optional(),
  LANDLORD_KUBECTL_TLS_KEY_FILE: z.string().min(1).optional(),
  DATABASE_URL: postgresUrl.optional(),
  TENANT_DATABASE_ADMIN_URL: postgresUrl.optional(),
  TENANT_DATABASE_EXTERNAL_HOST: z
    .string()
    .regex(/^[A-Za-z0-9.-]+(:[0-9]{1,5})?$/, 'must be a host, or host:port')
    .optional(),
  FLY_ENABLED: z.enum(['true', 'false']).default('true'),
  FLY_API_TOKEN: z.string().min(1).optional(),
  FLY_API_HOSTNAME: httpUrl.optional(),
  FLY_REGISTRY_URL: httpUrl.optional(),
  FLY_LOGS_URL: httpUrl.optional(),
  FLY_PROMETHEUS_URL: httpUrl.optional(),
  FLY_ORG_SLUG: word.default('systemprompt'),
  FLY_SHARED_REGISTRY_APP: word.default('systemprompt-images'),
  FLY_SUBDOMAIN_SUFFIX: z
    .string()
    .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'must be a DNS name such as tenants.example.com')
    .default('tenants.test'),
  JWT_SECRET: z.string().min(32, 'must have at least 32 characters').optional(),
  JWT_JWKS_URL: httpUrl.optional(),
  JWT_ISSUER: z.string().min(1).default('landlord'),
  ...accountVariables,
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  SIMULATOR_PORT: port.optional(),
  SIMULATOR_LATENCY: z.coerce.number().min(0).max(100).default(1),
  SIMULATOR_SEED: z.coerce.number().int().min(0).default(1),
});

/** Where kubectl finds the daemon: off the beaten track of a local cluster, which takes 6443. */
const KUBECTL_PORT = 8443;

/** What a development run makes up for itself and a production run must be told. */
const REQUIRED_IN_PRODUCTION = [
  'DATABASE_URL',
  'FLY_API_TOKEN',
  'FLY_ORG_SLUG',
  'FLY_SHARED_REGISTRY_APP',
  'FLY_SUBDOMAIN_SUFFIX',
  'LANDLORD_ENCRYPTION_KEYS',
  'LANDLORD_PUBLIC_URL',
] as const;

export interface EncryptionKey {
  readonly id: string;
  /** 32 bytes. */
  readonly key: Buffer;
}

export interface FlyConfig {
  readonly token: string;
  readonly apiUrl: string;
  readonly registryUrl: string;
  readonly logsUrl: string;
  readonly prometheusUrl: string;
}

/** The listener for kubectl. */
export interface KubectlConfig {
  readonly port: number;
  /** Certificate and key in PEM; absent: of an authority of the state folder's own. */
  readonly tlsFiles: { readonly cert: string; readonly key: string } | undefined;
}

/** Where tenants live. */
export type StoreConfig =
  | { readonly kind: 'postgres' }
  /** Files as kubectl takes them; absent: the cluster that the daemon runs in. */
  | { readonly kind: 'kubernetes'; readonly kubeconfig: string | undefined };

export interface Config {
  readonly production: boolean;
  /** `api` acts on no tenant, `controller` answers nothing but probes and figures. */
  readonly role: 'all' | 'api' | 'controller';
  /** Absolute. */
  readonly stateDir: string;
  readonly host: string;
  readonly port: number;
  /** Absent: there is no door for kubectl. */
  readonly kubectl: KubectlConfig | undefined;
  readonly store: StoreConfig;
  /** Absent: the embedded server. */
  readonly databaseUrl: string | undefined;
  /** Absent: the same server as Landlord's own. */
  readonly tenantDatabaseAdminUrl: string | undefined;
  /** `host` or `host:port` at which tenants' databases are reached from outside. Absent: as machines reach them. */
  readonly tenantDatabaseExternalHost: string | undefined;
  /** False: nothing is asked of Fly, and no tenant is acted upon. */
  readonly flyEnabled: boolean;
  /** Absent: the embedded simulator. */
  readonly fly: FlyConfig | undefined;
  readonly orgSlug: string;
  readonly sharedRegistryApp: string;
  readonly subdomainSuffix: string;
  /** Host in image references. */
  readonly registryHost: string;
  /** The first encrypts. Absent: generated and kept in the state folder. */
  readonly encryptionKeys: readonly EncryptionKey[] | undefined;
  readonly jwt: { readonly secret?: string; readonly jwksUrl?: string; readonly issuer: string };
  /** How the API treats whoever calls it. */
  readonly manners: MannersConfig;
  readonly accounts: AccountConfig;
  readonly logLevel: string;
  readonly simulator: { readonly port: number; readonly latency: number; readonly seed: number };
}

/** All that is wrong with the environment, one line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`cannot start with this environment:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/** Reads the environment (by default the process's own). Throws ConfigError. */
export function readConfig(environment: NodeJS.ProcessEnv = process.env, cwd = process.cwd()): Config {
  // An empty variable is an unset one: compose files and CI set many of those.
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = environmentSchema.safeParse(given);
  const problems = [...unknownNames(given), ...productionGaps(given), ...accountProblems(given)];
  if (!parsed.success)
    problems.push(...parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`));
  if (given['JWT_SECRET'] !== undefined && given['JWT_JWKS_URL'] !== undefined)
    problems.push('JWT_SECRET and JWT_JWKS_URL exclude each other: set one of them');
  if (given['FLY_API_HOSTNAME'] !== undefined && given['FLY_API_TOKEN'] === undefined)
    problems.push(
      'FLY_API_TOKEN: must be set together with FLY_API_HOSTNAME (the simulator takes any token)',
    );
  problems.push(...mannersGaps(given));
  problems.push(...kubectlGaps(given));
  // Not ~/.kube/config, as kubectl would: a daemon that writes must not choose a cluster by accident.
  const placed = given['KUBECONFIG'] ?? given['KUBERNETES_SERVICE_HOST'];
  if (given['LANDLORD_STORE'] === 'kubernetes' && placed === undefined)
    problems.push('KUBECONFIG: must be set when LANDLORD_STORE is kubernetes, unless in a cluster');
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems.sort());
  return toConfig(parsed.data, cwd);
}

function unknownNames(given: Record<string, unknown>): string[] {
  const known = Object.keys(environmentSchema.shape);
  return Object.keys(given)
    .filter((name) => name.startsWith('LANDLORD_') && !known.includes(name))
    .map((name) => `${name}: is not a variable of Landlord (see the table in README.md)`);
}

function productionGaps(given: Record<string, unknown>): string[] {
  if (given['NODE_ENV'] !== 'production') return [];
  const missing: string[] = REQUIRED_IN_PRODUCTION.filter((name) => given[name] === undefined);
  if (given['JWT_SECRET'] === undefined && given['JWT_JWKS_URL'] === undefined && !hasLogin(given))
    missing.push('a login provider (such as GITHUB_CLIENT_ID), JWT_SECRET or JWT_JWKS_URL');
  return missing.map((name) => `${name}: must be set in production`);
}

/** A certificate needs its key, and production makes none up. */
function kubectlGaps(given: Record<string, unknown>): string[] {
  const { NODE_ENV: mode, LANDLORD_KUBECTL_PORT: port = 'off', LANDLORD_STORE: store } = given;
  if (store === 'kubernetes')
    return port === 'off' ? [] : ['LANDLORD_KUBECTL_PORT: must be off when LANDLORD_STORE is kubernetes'];
  const files = ['LANDLORD_KUBECTL_TLS_CERT_FILE', 'LANDLORD_KUBECTL_TLS_KEY_FILE'];
  const missing = files.filter((name) => given[name] === undefined);
  if (missing.length === 1) return missing.map((name) => `${name}: must be set together with the other file`);
  if (mode !== 'production' || port === 'off') return [];
  return missing.map((name) => `${name}: must be set in production when LANDLORD_KUBECTL_PORT is`);
}

function toConfig(env: z.infer<typeof environmentSchema>, cwd: string): Config {
  return Object.freeze({
    production: env.NODE_ENV === 'production',
    role: env.LANDLORD_ROLE,
    stateDir: isAbsolute(env.LANDLORD_STATE_DIR)
      ? env.LANDLORD_STATE_DIR
      : resolve(cwd, env.LANDLORD_STATE_DIR),
    host: env.HOST,
    port: env.PORT,
    kubectl: kubectlConfig(env, cwd),
    store: storeConfig(env),
    databaseUrl: env.DATABASE_URL,
    tenantDatabaseAdminUrl: env.TENANT_DATABASE_ADMIN_URL,
    tenantDatabaseExternalHost: env.TENANT_DATABASE_EXTERNAL_HOST,
    flyEnabled: env.FLY_ENABLED === 'true',
    fly: flyConfig(env),
    orgSlug: env.FLY_ORG_SLUG,
    sharedRegistryApp: env.FLY_SHARED_REGISTRY_APP,
    subdomainSuffix: env.FLY_SUBDOMAIN_SUFFIX,
    registryHost: new URL(env.FLY_REGISTRY_URL ?? FLY.registry).host,
    encryptionKeys: env.LANDLORD_ENCRYPTION_KEYS,
    jwt: {
      ...(env.JWT_SECRET !== undefined && { secret: env.JWT_SECRET }),
      ...(env.JWT_JWKS_URL !== undefined && { jwksUrl: env.JWT_JWKS_URL }),
      issuer: env.JWT_ISSUER,
    },
    manners: mannersConfig(env),
    accounts: toAccountConfig(env),
    logLevel: env.LOG_LEVEL,
    simulator: { port: env.SIMULATOR_PORT ?? 0, latency: env.SIMULATOR_LATENCY, seed: env.SIMULATOR_SEED },
  });
}

/** In production only with a certificate: what a person gave is on, what would have to be made up is off. */
function kubectlConfig(env: z.infer<typeof environmentSchema>, cwd: string): KubectlConfig | undefined {
  const { LANDLORD_KUBECTL_TLS_CERT_FILE: cert, LANDLORD_KUBECTL_TLS_KEY_FILE: key } = env;
  const tlsFiles =
    cert === undefined || key === undefined
      ? undefined
      : { cert: resolve(cwd, cert), key: resolve(cwd, key) };
  // On a cluster kubectl speaks to the cluster.
  if (env.LANDLORD_STORE === 'kubernetes') return undefined;
  const possible = env.NODE_ENV !== 'production' || tlsFiles !== undefined;
  const port = env.LANDLORD_KUBECTL_PORT ?? (possible ? KUBECTL_PORT : 'off');
  return port === 'off' ? undefined : { port, tlsFiles };
}

function storeConfig(env: z.infer<typeof environmentSchema>): StoreConfig {
  if (env.LANDLORD_STORE === 'postgres') return { kind: 'postgres' };
  return { kind: 'kubernetes', kubeconfig: env.KUBECONFIG };
}

/** A Machines API that is not Fly's own, such as the simulator, serves the other hosts' paths as well. */
function flyConfig(env: z.infer<typeof environmentSchema>): FlyConfig | undefined {
  if (env.FLY_API_TOKEN === undefined) return undefined;
  const own = env.FLY_API_HOSTNAME;
  return {
    token: env.FLY_API_TOKEN,
    apiUrl: own ?? FLY.api,
    registryUrl: env.FLY_REGISTRY_URL ?? own ?? FLY.registry,
    logsUrl: env.FLY_LOGS_URL ?? own ?? FLY.logs,
    prometheusUrl: env.FLY_PROMETHEUS_URL ?? (own === undefined ? FLY.prometheus : `${own}/prometheus`),
  };
}
