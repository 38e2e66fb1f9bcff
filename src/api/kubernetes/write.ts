/**
 * How are tenants changed through the declarative door? Create, replace, patch and delete, of the object and
 * of its status, with the API server's rules for versions: a replace must name the one it has seen, a patch that
 * names none is tried again on whatever is newest.
 */
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import {
  AlreadyExistsError,
  ConflictError,
  InvalidError,
  type TenantName,
  type TenantStore,
} from '../../store/store.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { validateSpec } from '../../tenant/validation.ts';
import { parse } from '../edge.ts';
import { ApiError, toApiError } from '../errors.ts';
import type { FieldCheck } from './field-validation.ts';
import { readStatus, readSubmission, type Submission } from './objects.ts';
import type { Patch } from './patches.ts';
import { requireOption } from './query.ts';
import { getTenant } from './read.ts';

/** Which half of the object a write is about: each leaves the other alone. */
export type Subresource = 'object' | 'status';

export interface WriteRequest {
  readonly store: TenantStore;
  readonly clock: Clock;
  readonly place: TenantName;
  readonly subresource: Subresource;
  readonly body: unknown;
  readonly fields: FieldCheck;
  readonly dryRun: boolean;
}

/** As many as the API server tries; each loses only to somebody else's success. */
const MOST_PATCH_ATTEMPTS = 5;
const MOST_GENERATED_NAMES = 8;
/** Kubernetes' alphabet for generated names: no vowels, so that no words come out. */
const NAME_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const LONGEST_NAME_BASE = 58;

/** Creates a tenant; with `generateName`, under a name that is still free. */
export async function createTenant(
  request: Omit<WriteRequest, 'place' | 'subresource'> & { readonly namespace: string },
): Promise<Tenant> {
  const { store, namespace, body, dryRun } = request;
  const submission = readSubmission(request.fields.admit(body, 'object'), { namespace }, 'object');
  const attempts = submission.name === undefined ? MOST_GENERATED_NAMES : 1;
  for (let attempt = 1; ; attempt += 1) {
    const name = submission.name ?? generatedName(submission, request.clock);
    const { labels, annotations, finalizers, spec } = submission;
    const metadata = {
      namespace,
      name,
      ...(labels !== undefined && { labels }),
      ...(annotations !== undefined && { annotations }),
      ...(finalizers !== undefined && { finalizers }),
    };
    try {
      return await store.create({ metadata, spec }, { dryRun });
    } catch (error) {
      if (!(error instanceof AlreadyExistsError) || attempt >= attempts) throw about(name, error);
    }
  }
}

/** Replaces the object or its status with the one in the body, if that is of the stored version. */
export async function replaceTenant(request: WriteRequest): Promise<Tenant> {
  const submission = readSubmission(request.fields.admit(request.body, 'object'), request.place, 'object');
  const current = await getTenant(request.store, request.place);
  if (submission.resourceVersion === undefined)
    throw new InvalidError('cannot replace the tenant: resourceVersion is missing', [
      { path: 'metadata.resourceVersion', message: 'must be specified for an update' },
    ]);
  return save(request, { current, submission, resourceVersion: submission.resourceVersion });
}

/** Applies a patch to the object or its status. */
export async function patchTenant(
  request: Omit<WriteRequest, 'body'> & { readonly patch: Patch },
): Promise<Tenant> {
  for (let attempt = 1; ; attempt += 1) {
    const current = await getTenant(request.store, request.place);
    const patched = request.fields.admit(request.patch(current), 'patch');
    const submission = readSubmission(patched, request.place, 'patch');
    if ((submission.uid ?? current.metadata.uid) !== current.metadata.uid)
      throw new InvalidError('cannot patch the tenant: its uid cannot be changed', [
        { path: 'metadata.uid', message: 'field is immutable' },
      ]);
    try {
      const resourceVersion = submission.resourceVersion ?? current.metadata.resourceVersion;
      return await save(request, { current, submission, resourceVersion });
    } catch (error) {
      // A patch that names an old version loses every time, which costs a few reads and needs no rule of its own.
      if (!(error instanceof ConflictError) || attempt >= MOST_PATCH_ATTEMPTS) throw error;
    }
  }
}

const deleteOptionsSchema = z
  .object({
    preconditions: z.object({ uid: z.string().nullish(), resourceVersion: z.string().nullish() }).nullish(),
    dryRun: z.array(z.string()).nullish(),
    propagationPolicy: z.string().nullish(),
  })
  .nullish();
/** A tenant has no dependents, so that all of these come to the same. */
const PROPAGATION_POLICIES = ['Foreground', 'Background', 'Orphan'];

/** Asks for a tenant's end. Answers it as it stands: with finalizers left it lives on until they are gone. */
export async function deleteTenant(request: Omit<WriteRequest, 'subresource' | 'fields'>): Promise<Tenant> {
  const options = parse(deleteOptionsSchema, request.body, 'the delete options');
  requireOption('propagationPolicy', options?.propagationPolicy ?? '', ['', ...PROPAGATION_POLICIES]);
  for (const directive of options?.dryRun ?? []) requireOption('dryRun', directive, ['All']);
  const uid = options?.preconditions?.uid ?? undefined;
  const resourceVersion = options?.preconditions?.resourceVersion ?? undefined;
  if (!request.dryRun && (options?.dryRun ?? []).length === 0)
    return request.store.delete(request.place, {
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
    });
  const current = await getTenant(request.store, request.place);
  const { metadata } = current;
  if (
    (uid ?? metadata.uid) !== metadata.uid ||
    (resourceVersion ?? metadata.resourceVersion) !== metadata.resourceVersion
  )
    throw new ApiError(
      'conflict',
      `cannot delete tenant "${metadata.name}": it is not the one that was meant`,
    );
  const deletionTimestamp = metadata.deletionTimestamp ?? new Date(request.clock.now()).toISOString();
  return { ...current, metadata: { ...metadata, deletionTimestamp } };
}

/** Writes one half of the object, if it is still the same tenant and of that version. */
async function save(
  { store, subresource, dryRun }: Pick<WriteRequest, 'store' | 'subresource' | 'dryRun'>,
  change: { readonly current: Tenant; readonly submission: Submission; readonly resourceVersion: string },
): Promise<Tenant> {
  const { current, submission, resourceVersion } = change;
  const { namespace, name, uid } = current.metadata;
  if ((submission.uid ?? uid) !== uid)
    throw new ApiError('conflict', `cannot write tenant "${name}": another one has its name now`);
  switch (subresource) {
    case 'status': {
      const status = readStatus(submission.status);
      const metadata = { ...current.metadata, resourceVersion };
      if (!dryRun) return store.updateStatus({ metadata, status });
      if (resourceVersion === current.metadata.resourceVersion) return { ...current, status };
      throw new ConflictError(`cannot write the status of tenant "${name}": it was changed meanwhile`);
    }
    case 'object': {
      const spec = validateSpec(submission.spec);
      if (!spec.ok)
        throw new InvalidError(`cannot write tenant "${name}": its spec is not valid`, spec.issues);
      const { labels, annotations, finalizers } = submission;
      const metadata = { namespace, name, uid, resourceVersion, labels, annotations, finalizers };
      return store.update({ metadata, spec: spec.value }, { dryRun });
    }
  }
}

function generatedName({ generateName }: Submission, clock: Clock): string {
  if (generateName === undefined)
    throw new InvalidError('cannot create the tenant: it has no name', [
      { path: 'metadata.name', message: 'name or generateName is required' },
    ]);
  const suffix = Array.from({ length: 5 }, () =>
    NAME_ALPHABET.charAt(Math.floor(clock.random() * NAME_ALPHABET.length)),
  );
  return `${generateName.slice(0, LONGEST_NAME_BASE)}${suffix.join('')}`;
}

/** The path of a create does not tell the name, so the error must. */
function about(name: string, thrown: unknown): ApiError {
  const { code, message, issues, headers, cause } = toApiError(thrown);
  return new ApiError(code, message, { issues, headers, subject: name, cause });
}
