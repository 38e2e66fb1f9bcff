/**
 * Does a tenant match a selector? Labels in the equality form of Kubernetes (`a=b,c!=d,e,!f`), read as the store
 * reads them for lists; fields are the two that every custom resource has, `metadata.name` and `metadata.namespace`.
 * Watches are filtered here.
 */
import { parseLabelSelector as parseRequirements, type Requirement } from '../../store/label-selector.ts';
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
  matches(tenant: Tenant): boolean;
}

/** No real selector comes near; each part is tried on every change. */
const MOST_PARTS = 8;

/** Throws ApiError `invalid_request` for anything but the equality form. */
export function parseLabelSelector(text: string): LabelSelector {
  const requirements = refuseParameter(() => parseRequirements(text));
  return {
    text: text.trim(),
    matches: ({ metadata }) => requirements.every((requirement) => meets(requirement, metadata.labels ?? {})),
  };
}

/** Throws ApiError `invalid_request` for any other field, as the API server does for custom resources. */
export function parseFieldSelector(text: string): FieldSelector {
  const texts = text.trim() === '' ? [] : text.split(',').map((part) => part.trim());
  if (texts.length > MOST_PARTS)
    throw new ApiError(
      'invalid_request',
      `cannot read the field selector: it has more than ${MOST_PARTS} parts`,
    );
  const parts = texts.map(fieldRequirement);
  const pinned = (field: 'name' | 'namespace') =>
    parts.find((part) => part.field === field && part.equal)?.value;
  const name = pinned('name');
  const namespace = pinned('namespace');
  return {
    ...(name !== undefined && { name }),
    ...(namespace !== undefined && { namespace }),
    matches: ({ metadata }) =>
      parts.every(({ field, equal, value }) => (metadata[field] === value) === equal),
  };
}

function meets({ key, operator, value }: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const label = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'equals':
      return label === value;
    case 'differs':
      return label !== value;
    case 'exists':
      return label !== undefined;
    case 'absent':
      return label === undefined;
  }
}

function fieldRequirement(part: string): { field: 'name' | 'namespace'; equal: boolean; value: string } {
  const [, field, operator, value = ''] = /^metadata\.(name|namespace)\s*(==?|!=)\s*(.*)$/.exec(part) ?? [];
  if (field !== 'name' && field !== 'namespace')
    throw new ApiError(
      'invalid_request',
      `cannot read the field selector: "${part}" does not compare metadata.name or metadata.namespace`,
    );
  return { field, equal: operator !== '!=', value };
}
