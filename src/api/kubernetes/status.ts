/**
 * How does Kubernetes say that something went wrong, or that something is gone? With a `Status` object (metav1.Status).
 * The sentences are the API server's own, because tools match on them.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GROUP, KIND, PLURAL } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { ERRORS, type ApiError } from '../errors.ts';

export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Record<string, never>;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
}

interface StatusDetails {
  readonly name?: string;
  readonly group: string;
  readonly kind: string;
  readonly uid?: string;
  readonly causes?: readonly { readonly reason: string; readonly message: string; readonly field: string }[];
  readonly retryAfterSeconds?: number;
}

const RESOURCE = `${PLURAL}.${GROUP}`;
const MODIFIED =
  'the object has been modified; please apply your changes to the latest version and try again';
const HEAD = { kind: 'Status', apiVersion: 'v1', metadata: {} } as const;

/** An error as a Status; `name` is the tenant's, where the request is about one. */
export function failureStatus(error: ApiError, name?: string): Status {
  const { reason } = ERRORS[error.code];
  const retryAfter = error.headers['retry-after'];
  // Where the request itself is not understood, the message says it all.
  const issues = error.code === 'invalid' ? error.issues : [];
  const causes = issues.map(({ path, message }) => ({ reason: 'FieldValueInvalid', message, field: path }));
  return {
    ...HEAD,
    status: 'Failure',
    message: sentence(error, name ?? ''),
    reason,
    details: {
      ...(name !== undefined && { name }),
      group: GROUP,
      // Kubernetes names the kind where the object is at fault, and the resource everywhere else.
      kind: error.code === 'invalid' ? KIND : PLURAL,
      ...(causes.length > 0 && { causes }),
      ...(retryAfter !== undefined && { retryAfterSeconds: Number(retryAfter) }),
    },
    code: error.status,
  };
}

/** What a delete answers once nothing of the tenant remains. */
export function deletedStatus({ metadata }: Tenant): Status {
  return {
    ...HEAD,
    status: 'Success',
    details: { name: metadata.name, group: GROUP, kind: PLURAL, uid: metadata.uid },
  };
}

/** Answers with the error as a Status. Code and headers are already set. */
export function sendStatus(error: ApiError, request: FastifyRequest, reply: FastifyReply): void {
  if (error.code === 'internal') {
    const message = `Internal error occurred: quote request ${request.id}`;
    void reply.type('application/json').send({ ...failureStatus(error), message });
    return;
  }
  void reply.type('application/json').send(failureStatus(error, error.subject ?? nameInPath(request.params)));
}

function sentence(error: ApiError, name: string): string {
  switch (error.code) {
    case 'tenant_not_found':
      return `${RESOURCE} "${name}" not found`;
    case 'already_exists':
      return `${RESOURCE} "${name}" already exists`;
    case 'conflict':
      return `Operation cannot be fulfilled on ${RESOURCE} "${name}": ${MODIFIED}`;
    case 'not_found':
      return error.subject === undefined ? 'the server could not find the requested resource' : error.message;
    case 'method_not_allowed':
      return 'the server does not allow this method on the requested resource';
    case 'invalid': {
      const issues = error.issues.map(({ path, message }) => `${path}: Invalid value: ${message}`);
      return `${KIND}.${GROUP} "${name}" is invalid: ${issues.length === 1 ? (issues[0] ?? '') : `[${issues.join(', ')}]`}`;
    }
    default:
      return error.message;
  }
}

function nameInPath(params: unknown): string | undefined {
  if (typeof params !== 'object' || params === null || !('name' in params)) return undefined;
  return typeof params.name === 'string' ? params.name : undefined;
}
