/**
 * What can go wrong at the doors, and what is it called? One list of codes with the HTTP status, Kubernetes'
 * reason and a title of each; both doors render from it. Whatever else is thrown is a bug: it is logged with its
 * stack, and the answer carries nothing but the id of the request.
 */
import {
  AlreadyExistsError,
  ConflictError,
  GoneError,
  InvalidError,
  NotFoundError,
  StoreError,
} from '../store/store.ts';
import type { Issue } from '../tenant/validation.ts';
import { VaultError } from '../vault/seal.ts';

interface Kind {
  readonly status: number;
  /** Kubernetes' machine-readable word (metav1.StatusReason). */
  readonly reason: string;
  readonly title: string;
}

/** Every code that a client may see. A code never changes its meaning; adding one is not a breaking change. */
export const ERRORS = {
  invalid_request: { status: 400, reason: 'BadRequest', title: 'The request cannot be understood' },
  invalid_image: { status: 400, reason: 'BadRequest', title: 'This image is not the one of the tenant' },
  unauthorized: { status: 401, reason: 'Unauthorized', title: 'A valid bearer token is needed' },
  subscription_inactive: { status: 402, reason: 'Forbidden', title: 'The subscription is not active' },
  forbidden: { status: 403, reason: 'Forbidden', title: 'Not allowed with this token' },
  plan_limit: { status: 403, reason: 'Forbidden', title: 'The plan does not allow it' },
  not_found: { status: 404, reason: 'NotFound', title: 'There is nothing at this address' },
  tenant_not_found: { status: 404, reason: 'NotFound', title: 'There is no such tenant' },
  secret_not_found: { status: 404, reason: 'NotFound', title: 'The tenant has no such secret' },
  link_not_found: { status: 404, reason: 'NotFound', title: 'The link was used, or there never was one' },
  revision_not_found: { status: 404, reason: 'NotFound', title: 'There is no such revision' },
  domain_not_found: { status: 404, reason: 'NotFound', title: 'The tenant has no custom domain' },
  provider_not_found: { status: 404, reason: 'NotFound', title: 'Nobody can log in this way here' },
  checkout_not_found: { status: 404, reason: 'NotFound', title: 'There is no such checkout' },
  subscription_not_found: { status: 404, reason: 'NotFound', title: 'No subscription pays for it' },
  event_not_found: { status: 404, reason: 'NotFound', title: 'There is no such notification' },
  image_not_found: { status: 404, reason: 'NotFound', title: 'The image was never pushed' },
  method_not_allowed: { status: 405, reason: 'MethodNotAllowed', title: 'Not with this method' },
  not_acceptable: { status: 406, reason: 'NotAcceptable', title: 'Not in this form' },
  conflict: { status: 409, reason: 'Conflict', title: 'Somebody else changed the tenant meanwhile' },
  already_exists: { status: 409, reason: 'AlreadyExists', title: 'A tenant of this name exists' },
  invalid_state: { status: 409, reason: 'Conflict', title: 'Not possible as the tenant stands now' },
  not_provisioned: { status: 409, reason: 'Conflict', title: 'What is needed for this is not there yet' },
  plan_limit_reached: { status: 409, reason: 'Conflict', title: 'The plan allows no more tenants' },
  already_subscribed: { status: 409, reason: 'Conflict', title: 'A subscription pays for it already' },
  expired: { status: 410, reason: 'Expired', title: 'This position is too old' },
  precondition_failed: { status: 412, reason: 'Conflict', title: 'If-Match names another version' },
  payload_too_large: { status: 413, reason: 'RequestEntityTooLarge', title: 'The body is too large' },
  unsupported_media_type: {
    status: 415,
    reason: 'UnsupportedMediaType',
    title: 'Not with this content type',
  },
  invalid: { status: 422, reason: 'Invalid', title: 'The tenant would not be valid' },
  idempotency_in_flight: {
    status: 409,
    reason: 'Conflict',
    title: 'The first request with this Idempotency-Key is still under way',
  },
  idempotency_mismatch: {
    status: 422,
    reason: 'Invalid',
    title: 'This Idempotency-Key was used for another request',
  },
  too_many_requests: { status: 429, reason: 'TooManyRequests', title: 'Too many requests' },
  invalid_secret: { status: 422, reason: 'Invalid', title: 'This secret cannot be set' },
  reserved_secret: { status: 422, reason: 'Invalid', title: 'Landlord or Fly sets this variable itself' },
  too_many_streams: { status: 429, reason: 'TooManyRequests', title: 'Too many open streams' },
  billing_refused: { status: 422, reason: 'Invalid', title: 'The payment provider refused it' },
  internal: { status: 500, reason: 'InternalError', title: 'A defect of this service' },
  cloud_disabled: { status: 503, reason: 'ServiceUnavailable', title: 'This Landlord does not use Fly' },
  billing_disabled: { status: 503, reason: 'ServiceUnavailable', title: 'Nothing can be bought here' },
  unavailable: { status: 503, reason: 'ServiceUnavailable', title: 'Something needed cannot be reached' },
} as const satisfies Record<string, Kind>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorExtras {
  /** What is wrong field by field; only ever about what the client sent. */
  readonly issues?: readonly Issue[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Name of the tenant that it is about, where the path does not tell. */
  readonly subject?: string;
  readonly cause?: unknown;
}

/** An answer other than success. The message is shown to the client: one line, no secrets. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ErrorCode;
  readonly issues: readonly Issue[];
  readonly headers: Readonly<Record<string, string>>;
  readonly subject: string | undefined;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, { cause: extras.cause });
    this.code = code;
    this.issues = extras.issues ?? [];
    this.headers = extras.headers ?? {};
    this.subject = extras.subject;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** Turns whatever was thrown into what the client is told. The code `internal` marks a bug. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof NotFoundError) return new ApiError('tenant_not_found', error.message);
  if (error instanceof AlreadyExistsError) return new ApiError('already_exists', error.message);
  if (error instanceof ConflictError) return new ApiError('conflict', error.message);
  if (error instanceof GoneError) return new ApiError('expired', error.message);
  if (error instanceof InvalidError) return new ApiError('invalid', error.message, { issues: error.issues });
  if (error instanceof VaultError && error.kind === 'refused')
    return new ApiError('invalid_secret', error.message);
  if (isOutage(error))
    return new ApiError('unavailable', 'cannot answer the request: the database is not available', {
      headers: { 'retry-after': '2' },
      cause: error,
    });
  if (error instanceof StoreError)
    return new ApiError('unavailable', 'cannot answer the request: the Kubernetes API server cannot serve', {
      headers: { 'retry-after': String(Math.ceil((error.retryAfterMs ?? 2_000) / 1_000)) },
      cause: error,
    });
  return (
    fromFramework(error) ??
    new ApiError('internal', 'cannot answer the request: internal error', { cause: error })
  );
}

/** What src/database throws when it is down or overloaded; known by its shape, since the doors do not import it. */
function isOutage(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== 'DatabaseError' || !('kind' in error)) return false;
  return error.kind === 'unavailable' || error.kind === 'busy';
}

/**
 * Fastify's own refusals carry a `FST_` code and a status, and their messages speak of the request alone. What Node
 * says of a connection that broke while the body came in is not worth repeating.
 */
function fromFramework(error: unknown): ApiError | undefined {
  if (!(error instanceof Error) || !('statusCode' in error) || !('code' in error)) return undefined;
  const { statusCode, code } = error;
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode > 499) return undefined;
  if (statusCode === 413)
    return new ApiError('payload_too_large', 'cannot read the body: it is larger than 1 MiB');
  if (statusCode === 415)
    return new ApiError('unsupported_media_type', 'cannot read the body: send application/json');
  const known = typeof code === 'string' && code.startsWith('FST_');
  return new ApiError(
    'invalid_request',
    `cannot read the request: ${known ? error.message : 'it broke off'}`,
  );
}
