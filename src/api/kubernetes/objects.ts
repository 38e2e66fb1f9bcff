/**
 * What of a submitted object counts? Its identity must fit the path; spec, labels, annotations and finalizers are
 * the writer's; everything else in metadata belongs to the server and is ignored, as the API server does.
 */
import { z } from 'zod';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import { statusSchema, type TenantStatus } from '../../tenant/schema.ts';
import { validate } from '../../tenant/validation.ts';
import { parse } from '../edge.ts';
import { ApiError } from '../errors.ts';

/** Clients of Go send null or an empty string for what they leave out. */
const text = z
  .string()
  .nullish()
  .transform((value) => (value === null || value === '' ? undefined : value));
/** Only the form: what may stand in it is for the store to judge. */
const textMap = z.record(z.string(), z.string()).nullish();

const objectSchema = z.object({
  apiVersion: z.string().min(1),
  kind: z.string().min(1),
  metadata: z
    .object({
      name: text,
      generateName: text,
      namespace: text,
      uid: text,
      resourceVersion: text,
      labels: textMap,
      annotations: textMap,
      finalizers: z.array(z.string()).nullish(),
    })
    .nullish(),
  spec: z.unknown().optional(),
  status: z.unknown().optional(),
});

/** What is written: an object that was sent, or what a patch has made of the one that is there. */
export type Origin = 'object' | 'patch';

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

/**
 * Takes an object apart. Throws ApiError `invalid_request` when it is not the one of the path, `invalid` when it is
 * no Tenant: as the API server does.
 */
export function readSubmission(body: unknown, place: Place, origin: Origin): Submission {
  const { apiVersion, kind, metadata, spec, status } = parse(objectSchema, body, 'the object');
  if (kind !== KIND) throw notATenant('kind', `must be ${KIND}`);
  if (apiVersion !== API_VERSION && origin === 'patch')
    throw notATenant('apiVersion', `must be ${API_VERSION}`);
  if (apiVersion !== API_VERSION)
    throw new ApiError(
      'invalid_request',
      `the API version in the data (${apiVersion}) does not match the expected API version (${API_VERSION})`,
    );
  if ((metadata?.namespace ?? place.namespace) !== place.namespace)
    throw new ApiError(
      'invalid_request',
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  // What a patch took away, the path still tells.
  const name = metadata?.name ?? (origin === 'patch' ? place.name : undefined);
  if (place.name !== undefined && name === undefined)
    throw new ApiError(
      'invalid_request',
      `the name of the object (${place.name} based on URL) was undeterminable: name must be provided`,
    );
  if (place.name !== undefined && name !== place.name)
    throw new ApiError(
      'invalid_request',
      `the name of the object (${name ?? ''}) does not match the name on the URL (${place.name})`,
    );
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

function notATenant(path: 'kind' | 'apiVersion', message: string): ApiError {
  return new ApiError('invalid', `cannot write the object: its ${path} ${message}`, {
    issues: [{ path, message }],
  });
}
