/**
 * Does a tenant match a selector? Labels are read as the store reads them for lists (`store/label-selector.ts`);
 * fields are compared for equality. Watches are filtered here.
 */
import { matchesLabels, parseLabelSelector as parseRequirements } from '../../store/label-selector.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { refuseParameter } from '../edge.ts';
import { ApiError } from '../errors.ts';

export interface LabelSelector {
  /** As it was sent, for the store; empty when everything matches. */
  readonly text: string;
  matches(tenant: Tenant): boolean;
}

export interface FieldSelector {
  /** The one name that can match, when the selector pins it down. */
  readonly name?: string;
  readonly namespace?: string;
  readonly owner?: string;
  matches(tenant: Tenant): boolean;
}

/** No real selector comes near; each part is tried on every change. */
const MOST_PARTS = 8;

/** Throws ApiError `invalid_request` for what is not of Kubernetes' grammar. */
export function parseLabelSelector(text: string): LabelSelector {
  const requirements = refuseParameter(() => parseRequirements(text));
  return {
    text: text.trim(),
    matches: ({ metadata }) => matchesLabels(requirements, metadata.labels ?? {}),
  };
}

/** One part of a field selector: the field must have the value, or must not. */
export interface FieldRequirement<F extends string> {
  readonly field: F;
  readonly equal: boolean;
  readonly value: string;
}

/** Reads `a=b,c!=d` for the fields that a resource can be selected by. Throws ApiError `invalid_request`. */
export function parseFieldRequirements<F extends string>(
  text: string,
  fields: readonly F[],
): FieldRequirement<F>[] {
  const parts = text.trim() === '' ? [] : text.split(',').map((part) => part.trim());
  if (parts.length > MOST_PARTS)
    throw new ApiError(
      'invalid_request',
      `cannot read the field selector: it has more than ${MOST_PARTS} parts`,
    );
  return parts.map((part) => {
    const [, name, operator, value = ''] = /^([A-Za-z.]+)\s*(==?|!=)\s*(.*)$/.exec(part) ?? [];
    const field = fields.find((known) => known === name);
    if (field === undefined)
      throw new ApiError(
        'invalid_request',
        `cannot read the field selector: "${part}" does not compare ${fields.join(' or ')}`,
      );
    return { field, equal: operator !== '!=', value };
  });
}

/** The one value that a field can have, when the selector pins it down. */
export function pinned<F extends string>(
  requirements: readonly FieldRequirement<F>[],
  field: F,
): string | undefined {
  return requirements.find((part) => part.field === field && part.equal)?.value;
}

/** The two fields that every custom resource has, and the one that the CRD adds. */
const READERS = {
  'metadata.name': ({ metadata }: Tenant) => metadata.name,
  'metadata.namespace': ({ metadata }: Tenant) => metadata.namespace,
  'spec.owner': ({ spec }: Tenant) => spec.owner,
} as const;
const FIELDS = ['metadata.name', 'metadata.namespace', 'spec.owner'] as const;

/** Throws ApiError `invalid_request` for any other field than {@link FIELDS}. */
export function parseFieldSelector(text: string): FieldSelector {
  const parts = parseFieldRequirements(text, FIELDS);
  const name = pinned(parts, 'metadata.name');
  const namespace = pinned(parts, 'metadata.namespace');
  const owner = pinned(parts, 'spec.owner');
  return {
    ...(name !== undefined && { name }),
    ...(namespace !== undefined && { namespace }),
    ...(owner !== undefined && { owner }),
    matches: (tenant) =>
      parts.every(({ field, equal, value }) => (READERS[field](tenant) === value) === equal),
  };
}
