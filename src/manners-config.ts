/**
 * How shall the API treat whoever calls it, and how long is kept what is known of requests? The variables for that, and
 * what they mean. src/config.ts reads them with all the others.
 */
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';

/** Addresses and networks, separated by commas: `10.0.0.0/8,fd00::1`. */
const networks = z.string().transform((text, context) => {
  const list = new BlockList();
  for (const entry of text.split(',').map((part) => part.trim())) {
    const [address = '', prefix] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const longest = family === 'ipv6' ? 128 : 32;
    const bits = prefix === undefined ? longest : Number(prefix);
    if (isIP(address) !== 0 && Number.isInteger(bits) && bits >= 0 && bits <= longest)
      list.addSubnet(address, bits, family);
    else
      context.addIssue({
        code: 'custom',
        message: 'must be addresses or networks such as 10.0.0.0/8,fd00::1',
      });
  }
  return list;
});
const origins = z.string().transform((text, context) =>
  text.split(',').map((entry) => {
    const origin = entry.trim();
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      context.addIssue({ code: 'custom', message: 'must be origins such as https://app.example.com' });
    return origin;
  }),
);
const perMinute = z.coerce.number().int().min(1).max(1_000_000_000);
const days = z.coerce.number().int().min(1).max(3_650);

const port = z.coerce.number().int().min(1).max(65_535);

/** See the README's table. */
export const mannersVariables = {
  LANDLORD_TRUSTED_PROXIES: networks.optional(),
  LANDLORD_CORS_ORIGINS: origins.optional(),
  LANDLORD_READS_PER_MINUTE: perMinute.default(1_200),
  LANDLORD_WRITES_PER_MINUTE: perMinute.default(300),
  LANDLORD_ANONYMOUS_PER_MINUTE: perMinute.default(120),
  LANDLORD_AUDIT_DAYS: days.default(365),
  LANDLORD_REQUEST_METRICS_DAYS: days.default(14),
  OPENSEARCH_HOST: z
    .string()
    .regex(/^[A-Za-z0-9.-]+$/, 'must be a host name')
    .optional(),
  OPENSEARCH_PORT: port.default(9200),
  OPENSEARCH_USE_SSL: z.enum(['true', 'false']).default('true'),
  OPENSEARCH_AUTH_TYPE: z.enum(['none', 'basic']).default('none'),
  OPENSEARCH_USERNAME: z.string().min(1).optional(),
  OPENSEARCH_PASSWORD: z.string().min(1).optional(),
};

type Variables = z.infer<z.ZodObject<typeof mannersVariables>>;

export interface OpenSearchConfig {
  readonly url: string;
  readonly credentials?: { readonly username: string; readonly password: string };
}

/** How the API treats whoever calls it. */
export interface MannersConfig {
  readonly limits: {
    readonly readsPerMinute: number;
    readonly writesPerMinute: number;
    readonly anonymousPerMinute: number;
  };
  /** Whether a peer is a proxy whose word about addresses counts. */
  readonly trustsProxy: (address: string) => boolean;
  readonly corsOrigins: readonly string[];
  readonly keepAuditDays: number;
  readonly keepRequestsDays: number;
  /** Absent: records of requests go to PostgreSQL alone. */
  readonly openSearch: OpenSearchConfig | undefined;
}

/** What fits none of the variables alone. */
export function mannersGaps(given: Readonly<Record<string, unknown>>): string[] {
  const basic = given['OPENSEARCH_AUTH_TYPE'] === 'basic';
  return ['OPENSEARCH_USERNAME', 'OPENSEARCH_PASSWORD']
    .filter((name) => basic !== (given[name] !== undefined))
    .map((name) => `${name}: must be set together with OPENSEARCH_AUTH_TYPE=basic, and only then`);
}

/** The typed form of the variables. */
export function mannersConfig(env: Variables): MannersConfig {
  const proxies = env.LANDLORD_TRUSTED_PROXIES;
  return {
    limits: {
      readsPerMinute: env.LANDLORD_READS_PER_MINUTE,
      writesPerMinute: env.LANDLORD_WRITES_PER_MINUTE,
      anonymousPerMinute: env.LANDLORD_ANONYMOUS_PER_MINUTE,
    },
    // A socket that takes both families shows an IPv4 address in its IPv6 form.
    trustsProxy: (address) => {
      const plain = address.replace(/^::ffff:/i, '');
      return proxies?.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4') ?? false;
    },
    corsOrigins: env.LANDLORD_CORS_ORIGINS ?? [],
    keepAuditDays: env.LANDLORD_AUDIT_DAYS,
    keepRequestsDays: env.LANDLORD_REQUEST_METRICS_DAYS,
    openSearch: openSearchConfig(env),
  };
}

function openSearchConfig(env: Variables): OpenSearchConfig | undefined {
  if (env.OPENSEARCH_HOST === undefined) return undefined;
  const scheme = env.OPENSEARCH_USE_SSL === 'true' ? 'https' : 'http';
  const { OPENSEARCH_USERNAME: username, OPENSEARCH_PASSWORD: password } = env;
  return {
    url: `${scheme}://${env.OPENSEARCH_HOST}:${env.OPENSEARCH_PORT}`,
    ...(username !== undefined && password !== undefined && { credentials: { username, password } }),
  };
}
