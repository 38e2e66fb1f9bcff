/**
 * Which fields of a submitted object does nobody know? The API server takes away what the schema of a Tenant does
 * not have, and null where a value is expected ("pruning"), and tells the writer as strictly as the writer asked.
 */
import { tenantStructuralSchema } from '../../tenant/crd.ts';
import type { StructuralSchema } from '../../tenant/structural.ts';

/** metav1.ObjectMeta has these, whatever the server makes of them. */
export const METADATA_FIELDS = [
  'annotations',
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'finalizers',
  'generateName',
  'generation',
  'labels',
  'managedFields',
  'name',
  'namespace',
  'ownerReferences',
  'resourceVersion',
  'selfLink',
  'uid',
] as const;

const { metadata: _metadata, ...topLevel } = tenantStructuralSchema().properties ?? {};
const TENANT: StructuralSchema = { type: 'object', properties: topLevel };

export interface Pruned {
  readonly object: unknown;
  /** Paths of what was taken away, such as `spec.imag`; in the API server's order. */
  readonly unknown: readonly string[];
}

/** The object without what a Tenant does not have. Whatever is no object stays as it is, for others to refuse. */
export function prune(object: unknown): Pruned {
  if (!isObject(object)) return { object, unknown: [] };
  const { metadata, ...rest } = object;
  const ofMetadata: string[] = [];
  const others: string[] = [];
  const pruned = pruneValue(rest, TENANT, { path: '', unknown: others });
  const known = isObject(metadata) ? pruneMetadata(metadata, ofMetadata) : metadata;
  return {
    object: { ...(isObject(pruned) && pruned), ...(metadata !== undefined && { metadata: known }) },
    unknown: [...ofMetadata.sort(), ...others.sort()],
  };
}

function pruneMetadata(metadata: Readonly<Record<string, unknown>>, unknown: string[]): object {
  const entries = Object.entries(metadata);
  const known = entries.filter(([name]) => METADATA_FIELDS.some((field) => field === name));
  for (const [name] of entries)
    if (!METADATA_FIELDS.some((field) => field === name)) unknown.push(`metadata.${name}`);
  return Object.fromEntries(known);
}

interface Place {
  readonly path: string;
  readonly unknown: string[];
}

/** Recursion ends with the schema, which has no circles. */
function pruneValue(value: unknown, schema: StructuralSchema, place: Place): unknown {
  const { items, properties, additionalProperties } = schema;
  if (Array.isArray(value) && items !== undefined)
    return value.map((item, index) => pruneValue(item, items, { ...place, path: `${place.path}[${index}]` }));
  if (!isObject(value)) return value;
  const below = (name: string): Place => ({
    ...place,
    path: place.path === '' ? name : `${place.path}.${name}`,
  });
  if (additionalProperties !== undefined)
    return Object.fromEntries(
      Object.entries(value).flatMap(([name, entry]) =>
        entry === null ? [] : [[name, pruneValue(entry, additionalProperties, below(name))]],
      ),
    );
  if (properties === undefined) return value;
  const kept: [string, unknown][] = [];
  for (const [name, entry] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (known === undefined) place.unknown.push(below(name).path);
    else if (entry !== null) kept.push([name, pruneValue(entry, known, below(name))]);
  }
  return Object.fromEntries(kept);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
