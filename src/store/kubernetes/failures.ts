/**
 * What does a refusal of the API server mean in the words of the store? Every KubernetesError leaves this adapter as
 * one of the store's errors, saying what could not be done.
 */
import { KubernetesError } from '../../kubernetes/errors.ts';
import type { Issue } from '../../tenant/validation.ts';
import {
  AlreadyExistsError,
  ConflictError,
  GoneError,
  InvalidError,
  NotFoundError,
  StoreError,
} from '../store.ts';

/** What every message of a missing definition tells the person to do. */
const NOT_INSTALLED = 'the cluster knows no tenants: apply crds/tenants.yaml to it';
const OUTDATED =
  'the cluster cannot choose tenants by owner: apply crds/tenants.yaml to it (Kubernetes 1.31 or newer)';

/** Runs `work`; what the API server refuses is thrown as `cannot <what>: <cause>` in the store's terms. */
export async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof KubernetesError ? inStoreTerms(what, error) : error;
  }
}

/** The store's error for a refusal; `what` completes "cannot …". */
export function inStoreTerms(what: string, error: KubernetesError): Error {
  const message = `cannot ${what}: ${error.message}`;
  const { retryAfterMs, ambiguous } = error;
  switch (error.kind) {
    case 'unavailable':
    case 'busy':
      return new StoreError(message, { kind: error.kind, retryAfterMs, ambiguous });
    case 'refused':
      return endsWithNamespace(error)
        ? invalid(what, 'metadata.namespace', 'names a namespace that is being deleted')
        : new StoreError(message, { kind: 'refused' });
    case 'rejected':
      return rejection(what, error);
    default:
      return error.kind satisfies never;
  }
}

function rejection(what: string, error: KubernetesError): Error {
  switch (error.status) {
    case 404:
      return missing(what, error);
    case 409:
      return error.reason === 'AlreadyExists'
        ? new AlreadyExistsError(`cannot ${what}: it exists already`)
        : new ConflictError(`cannot ${what}: it was changed in the meantime`);
    case 410:
      return new GoneError(`cannot ${what}: the version is no longer kept; list anew`);
    case 400:
      if (error.message.startsWith('field label not supported'))
        return new StoreError(`cannot ${what}: ${OUTDATED}`, { kind: 'refused' });
      return new InvalidError(`cannot ${what}: ${error.message}`, issues(error));
    case 413:
    case 422:
      return new InvalidError(`cannot ${what}: ${error.message}`, issues(error));
    default:
      return new StoreError(`cannot ${what}: ${error.message}`, { kind: 'refused' });
  }
}

/** A tenant, its namespace, or the very kind. */
function missing(what: string, { subject, reason }: KubernetesError): Error {
  if (subject === 'namespaces')
    return invalid(what, 'metadata.namespace', 'names a namespace that does not exist in the cluster');
  if (reason === 'NotFound' && subject !== undefined && subject !== '')
    return new NotFoundError(`cannot ${what}: it does not exist`);
  return new StoreError(`cannot ${what}: ${NOT_INSTALLED}`, { kind: 'refused' });
}

function endsWithNamespace({ causes }: KubernetesError): boolean {
  return causes.some(({ reason }) => reason === 'NamespaceTerminating');
}

function issues({ causes }: KubernetesError): Issue[] {
  return causes.map(({ field, message }) => ({ path: field, message }));
}

function invalid(what: string, path: string, message: string): InvalidError {
  return new InvalidError(`cannot ${what}: ${path} ${message}`, [{ path, message }]);
}
