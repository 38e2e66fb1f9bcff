/**
 * May this be written? Pure checks of what a door hands to the store, before the store is touched: the schema, the
 * rules that span fields, what may not change, and the syntax of Kubernetes' metadata. Nothing is stored half.
 */
import { z } from 'zod';
import {
  metadataSchema,
  statusSchema,
  type Tenant,
  type TenantSpec,
  type TenantStatus,
} from '../tenant/schema.ts';
import {
  transitionIssues,
  validate,
  validateSpec,
  type Issue,
  type Validated,
} from '../tenant/validation.ts';
import { LABEL_KEY, LABEL_VALUE } from './label-selector.ts';
import { InvalidError, type NewTenant, type TenantName, type TenantUpdate } from './store.ts';

/** What a writer may say of metadata, complete: absent lists and maps are empty. */
export interface AdmittedMetadata {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly finalizers: readonly string[];
}

export interface Admitted {
  readonly metadata: AdmittedMetadata;
  readonly spec: TenantSpec;
}

const writableSchema = metadataSchema.pick({ name: true, namespace: true }).extend({
  // Whether a key or a value is one is told below, as Kubernetes tells it: of the map as a whole.
  labels: z.record(z.string(), z.string()).default({}),
  annotations: z.record(z.string(), z.string()).default({}),
  finalizers: metadataSchema.shape.finalizers.unwrap().default([]),
});

/** Kubernetes' own bound for all annotations of an object together. */
const MOST_ANNOTATION_BYTES = 256 * 1024;
const MOST_LABELS = 64;
/** PostgreSQL's JSONB cannot hold a NUL or half of a surrogate pair; JSON.stringify escapes exactly these. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

/** Throws InvalidError with every issue. */
export function admitNew(tenant: NewTenant): Admitted {
  const admitted = admit(tenant.metadata, tenant.spec);
  if (!admitted.ok) throw invalid('create', tenant.metadata, admitted.issues);
  return admitted.value;
}

/** Throws InvalidError with every issue, among them what may not follow `before`. */
export function admitUpdate(before: Tenant, update: TenantUpdate): Admitted {
  const admitted = admit(update.metadata, update.spec);
  if (!admitted.ok) throw invalid('update', before.metadata, admitted.issues);
  const issues = transitionIssues(before, admitted.value.spec);
  const deleting = before.metadata.deletionTimestamp !== undefined;
  const kept = before.metadata.finalizers ?? [];
  if (deleting && admitted.value.metadata.finalizers.some((finalizer) => !kept.includes(finalizer)))
    issues.push({
      path: 'metadata.finalizers',
      message: 'cannot be added while the tenant is being deleted',
    });
  if (issues.length > 0) throw invalid('update', before.metadata, issues);
  return admitted.value;
}

/** Throws InvalidError. The result is plain JSON: a field that was undefined is absent. */
export function admitStatus(name: TenantName, status: TenantStatus): TenantStatus {
  const parsed = validate<TenantStatus>(statusSchema, status, 'status');
  const issues = parsed.ok ? unstorable(parsed.value, 'status') : parsed.issues;
  if (!parsed.ok || issues.length > 0) throw invalid('update the status of', name, issues);
  return plain(parsed.value);
}

function admit(metadata: unknown, spec: unknown): Validated<Admitted> {
  const checked = [checkMetadata(metadata), checkSpec(spec)] as const;
  const [admittedMetadata, admittedSpec] = checked;
  if (admittedMetadata.ok && admittedSpec.ok)
    return { ok: true, value: { metadata: admittedMetadata.value, spec: plain(admittedSpec.value) } };
  return { ok: false, issues: checked.flatMap((result) => (result.ok ? [] : result.issues)) };
}

function checkMetadata(input: unknown): Validated<AdmittedMetadata> {
  const parsed = validate<z.infer<typeof writableSchema>>(writableSchema, input, 'metadata');
  if (!parsed.ok) return parsed;
  const { labels, annotations, finalizers } = parsed.value;
  const issues = [...labelIssues(labels), ...annotationIssues(annotations), ...finalizerIssues(finalizers)];
  return issues.length > 0 ? { ok: false, issues } : { ok: true, value: { labels, annotations, finalizers } };
}

function checkSpec(input: unknown): Validated<TenantSpec> {
  const parsed = validateSpec(input);
  if (!parsed.ok) return parsed;
  const issues = unstorable(parsed.value, 'spec');
  return issues.length > 0 ? { ok: false, issues } : parsed;
}

function labelIssues(labels: Readonly<Record<string, string>>): Issue[] {
  const entries = Object.entries(labels);
  if (entries.length > MOST_LABELS)
    return [{ path: 'metadata.labels', message: `must not have more than ${MOST_LABELS} entries` }];
  return entries.flatMap(([key, value]) => [
    ...(LABEL_KEY.test(key)
      ? []
      : [{ path: 'metadata.labels', message: `"${key}" is not a valid label key` }]),
    ...(LABEL_VALUE.test(value)
      ? []
      : [{ path: 'metadata.labels', message: `"${value}" is not a valid label value` }]),
  ]);
}

function annotationIssues(annotations: Readonly<Record<string, string>>): Issue[] {
  const issues = unstorable(annotations, 'metadata.annotations');
  for (const key of Object.keys(annotations))
    if (!LABEL_KEY.test(key.toLowerCase()))
      issues.push({ path: 'metadata.annotations', message: `"${key}" is not a valid annotation key` });
  const bytes = Buffer.byteLength(Object.entries(annotations).flat().join(''));
  if (bytes > MOST_ANNOTATION_BYTES)
    issues.push({
      path: 'metadata.annotations',
      message: `must not be larger than ${MOST_ANNOTATION_BYTES} bytes together`,
    });
  return issues;
}

function finalizerIssues(finalizers: readonly string[]): Issue[] {
  return finalizers.flatMap((finalizer) =>
    LABEL_KEY.test(finalizer)
      ? []
      : [{ path: 'metadata.finalizers', message: `"${finalizer}" is not a valid finalizer` }],
  );
}

function unstorable(value: unknown, path: string): Issue[] {
  return UNSTORABLE.test(JSON.stringify(value))
    ? [{ path, message: 'must not hold NUL or malformed Unicode' }]
    : [];
}

function plain<T>(value: T): T {
  // An edge: JSON gives back what JSON.stringify was given, apart from the fields that were undefined.
  return JSON.parse(JSON.stringify(value)) as T;
}

function invalid(verb: string, name: TenantName, issues: readonly Issue[]): InvalidError {
  const shown = issues.slice(0, 5).map((issue) => `${issue.path} ${issue.message}`);
  const more = issues.length > shown.length ? `; and ${issues.length - shown.length} more` : '';
  return new InvalidError(
    `cannot ${verb} tenant "${name.namespace}/${name.name}": ${shown.join('; ')}${more}`,
    issues,
  );
}
