/**
 * What of a submitted object counts? Its identity must fit the path; spec, labels, annotations and finalizers are
 * the writer's; everything else in metadata belongs to the server and is ignored, as the API server does.
 */
import { z } from 'zod';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import { metadataSchema, statusSchema, type TenantStatus } from '../../tenant/schema.ts';
import { validate } from '../../tenant/validation.ts';
import { parse } from '../edge.ts';
import { ApiError } from '../errors.ts';

const { labels, annotations, finalizers } = metadataSchema.shape;
/** Clients of Go send null or an empty string for what they leave out. */
const text = z
  .string()
  .max(253)
  .nullish()
  .transform((value) => (value === null || value === '' ? undefined : value));

const objectSchema = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z
    .object({
      name: text,
      generateName: text,
      namespace: text,
      uid: text,
      resourceVersion: text,
      labels: labels.nullable(),
      annotations: annotations.nullable(),
      finalizers: finalizers.nullable(),
    })
    .nullish(),
  spec: z.unknown().optional(),
  status: z.unknown().optional(),
});

/** Where the object is to live; `name` is absent for a create. */
export interface Place {
  readonly namespace: string;
  readonly name?: string;
}

/** The writer's part of an object. Spec and status are not parsed yet. */
export interface Submission {
  readonly name: string | undefined;
  readonly generateName: string | undefined;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
  readonly finalizers: readonly string[] | undefined;
  readonly spec: unknown;
  readonly status: unknown;
}

/** Takes an object apart. Throws ApiError `invalid_request` when it is no Tenant, or not the one of the path. */
export function readSubmission(body: unknown, place: Place): Submission {
  const { apiVersion, kind, metadata, spec, status } = parse(objectSchema, body, 'the object');
  if (apiVersion !== API_VERSION || kind !== KIND)
    throw new ApiError(
      'invalid_request',
      `cannot read the object: it is a ${kind} of ${apiVersion}, not a ${KIND} of ${API_VERSION}`,
    );
  if ((metadata?.namespace ?? place.namespace) !== place.namespace)
    throw mismatch('namespace', metadata?.namespace ?? '', place.namespace);
  if (place.name !== undefined && (metadata?.name ?? place.name) !== place.name)
    throw mismatch('name', metadata?.name ?? '', place.name);
  return {
    name: metadata?.name,
    generateName: metadata?.generateName,
    uid: metadata?.uid,
    resourceVersion: metadata?.resourceVersion,
    labels: metadata?.labels ?? undefined,
    annotations: metadata?.annotations ?? undefined,
    finalizers: metadata?.finalizers ?? undefined,
    spec,
    status,
  };
}

/** Parses a status. Throws ApiError `invalid`. */
export function readStatus(status: unknown): TenantStatus {
  const parsed = validate<TenantStatus>(statusSchema, status ?? {}, 'status');
  if (parsed.ok) return parsed.value;
  throw new ApiError('invalid', 'cannot write the status: it is not valid', { issues: parsed.issues });
}

function mismatch(field: 'name' | 'namespace', sent: string, inPath: string): ApiError {
  const problem = `the ${field} of the object ("${sent}") is not the one of the path ("${inPath}")`;
  return new ApiError('invalid_request', `cannot read the object: ${problem}`);
}
