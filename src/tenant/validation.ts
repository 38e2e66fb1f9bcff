/**
 * May this Tenant be stored, and may it follow that one? What a schema cannot say. Every rule here has its twin
 * in CEL in the CRD (`crd.ts`), so that `kubectl` against a cluster and the REST API refuse the same things.
 */
import type { z } from 'zod';
import { MOST_ENV_ENTRIES, RESERVED_ENV, specSchema, type Tenant, type TenantSpec } from './schema.ts';

/** Pattern of a name in `spec.env`; RE2-compatible, the CRD carries it as well. */
export const ENV_NAME_PATTERN = '^[A-Z_][A-Z0-9_]*$';

/** What a person reads who breaks a rule, through whichever door. */
export const MESSAGES = {
  immutable: 'cannot be changed',
  regionFixed: 'cannot be changed once the volume exists',
  volumeShrinks: 'may grow, never shrink',
  envName: 'must be an uppercase name such as LOG_LEVEL',
  envReserved: 'is set by Landlord or by Fly and cannot be set here',
} as const;

/** One thing that is wrong: the field's path, such as `spec.memoryMb` or `spec.hostnames[1]`, and a sentence. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

/** What came of checking a document: the value, or everything that is wrong with it. */
export type Validated<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly issues: readonly Issue[] };

/** Parses with a schema and reports every issue by path, below `prefix`. */
export function validate<T>(schema: z.ZodType<T>, input: unknown, prefix = ''): Validated<T> {
  const result = schema.safeParse(input);
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, issues: result.error.issues.flatMap((issue) => flatten(issue, prefix)) };
}

/** Parses a spec and applies the rules that span fields. */
export function validateSpec(input: unknown): Validated<TenantSpec> {
  const parsed = validate<TenantSpec>(specSchema, input, 'spec');
  if (!parsed.ok) return parsed;
  const issues = [...environmentIssues(parsed.value), ...hostnameIssues(parsed.value)];
  return issues.length > 0 ? { ok: false, issues } : parsed;
}

/** What may not change from one spec of a tenant to the next. */
export function transitionIssues(before: Tenant, after: TenantSpec): Issue[] {
  const issues: Issue[] = [];
  const volume = before.status?.volume;
  if (after.owner !== before.spec.owner) issues.push({ path: 'spec.owner', message: MESSAGES.immutable });
  if (after.adopt?.app !== before.spec.adopt?.app)
    issues.push({ path: 'spec.adopt', message: MESSAGES.immutable });
  if (volume !== undefined && after.region !== before.spec.region)
    issues.push({ path: 'spec.region', message: MESSAGES.regionFixed });
  if (after.volumeGb < before.spec.volumeGb)
    issues.push({ path: 'spec.volumeGb', message: MESSAGES.volumeShrinks });
  return issues;
}

function environmentIssues(spec: TenantSpec): Issue[] {
  const issues: Issue[] = [];
  if (Object.keys(spec.env).length > MOST_ENV_ENTRIES)
    issues.push({ path: 'spec.env', message: `must not have more than ${MOST_ENV_ENTRIES} entries` });
  for (const name of Object.keys(spec.env)) {
    const path = `spec.env.${name}`;
    if (!new RegExp(ENV_NAME_PATTERN).test(name)) issues.push({ path, message: MESSAGES.envName });
    else if (name.startsWith('FLY_') || RESERVED_ENV.some((reserved) => reserved === name))
      issues.push({ path, message: MESSAGES.envReserved });
  }
  return issues;
}

function hostnameIssues(spec: TenantSpec): Issue[] {
  return spec.hostnames.flatMap((name, index) =>
    spec.hostnames.indexOf(name) === index
      ? []
      : [{ path: `spec.hostnames[${index}]`, message: 'must not be listed twice' }],
  );
}

function flatten(issue: z.core.$ZodIssue, prefix: string): Issue[] {
  const path = issue.path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    prefix,
  );
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      path: path === '' ? key : `${path}.${key}`,
      message: 'is not a known field',
    }));
  return [{ path, message: issue.message }];
}
