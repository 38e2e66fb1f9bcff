/**
 * May this Tenant be stored, and may it follow that one? What a schema cannot say. Every rule here has its twin
 * in CEL in the CRD (`crd.ts`), so that `kubectl` against a cluster and the REST API refuse the same things.
 */
import type { z } from 'zod';
import { RESERVED_ENV, specSchema, type Tenant, type TenantSpec } from './schema.ts';

/** One thing that is wrong: the field's path, such as `spec.memoryMb` or `spec.hostnames[1]`, and a sentence. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

/** What came of checking a document: the value, or everything that is wrong with it. */
export type Validated<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly issues: readonly Issue[] };

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
  if (after.owner !== before.spec.owner) issues.push({ path: 'spec.owner', message: 'cannot be changed' });
  if (after.adopt?.app !== before.spec.adopt?.app)
    issues.push({ path: 'spec.adopt', message: 'cannot be changed' });
  if (volume !== undefined && after.region !== before.spec.region)
    issues.push({ path: 'spec.region', message: 'cannot be changed once the volume exists' });
  if (after.volumeGb < before.spec.volumeGb)
    issues.push({ path: 'spec.volumeGb', message: 'may grow, never shrink' });
  return issues;
}

function environmentIssues(spec: TenantSpec): Issue[] {
  const issues: Issue[] = [];
  if (Object.keys(spec.env).length > 100)
    issues.push({ path: 'spec.env', message: 'must not have more than 100 entries' });
  for (const name of Object.keys(spec.env)) {
    const path = `spec.env.${name}`;
    if (!/^[A-Z_][A-Z0-9_]*$/.test(name))
      issues.push({ path, message: 'must be an uppercase name such as LOG_LEVEL' });
    else if (name.startsWith('FLY_') || RESERVED_ENV.some((reserved) => reserved === name))
      issues.push({ path, message: 'is set by Landlord or by Fly and cannot be set here' });
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
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`),
    prefix,
  );
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: path === '' ? key : `${path}.${key}`, message: 'is not a known field' }));
  return [{ path, message: issue.message }];
}
