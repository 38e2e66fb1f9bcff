/**
 * What went wrong between us and the API server, said once? Every failure of a call becomes a KubernetesError here;
 * callers tell apart by `kind` what is worth trying again, and by `reason` what the server meant.
 */
import { z } from 'zod';

/**
 * - `unavailable`: no answer, or one that says that the server is not well. `busy`: it asks us to slow down.
 * - `refused`: it does not know us, or does not grant us the right.
 * - `rejected`: it understood the request and cannot grant this one; `status` and `reason` say why.
 */
export type KubernetesErrorKind = 'unavailable' | 'busy' | 'refused' | 'rejected';

/** One field that the server complains of, or a cause by name. */
export interface StatusCause {
  /** Path such as `spec.memoryMb`; empty when no field is meant. */
  readonly field: string;
  readonly reason: string;
  readonly message: string;
}

export interface KubernetesErrorDetails {
  readonly kind: KubernetesErrorKind;
  /** HTTP status, or the code of an ERROR event; absent when there was no answer. */
  readonly status?: number;
  /** Word of `metav1.Status`, such as `AlreadyExists`. */
  readonly reason?: string;
  readonly causes?: readonly StatusCause[];
  /** Resource that the server speaks of, such as `namespaces`. */
  readonly subject?: string;
  /** Asked for by the server. */
  readonly retryAfterMs?: number;
  /** True when the server may have carried out the request all the same. */
  readonly ambiguous?: boolean;
}

/** The message is the cause alone: one line without secrets, for `cannot <verb> <thing> "<name>": <cause>`. */
export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';
  readonly kind: KubernetesErrorKind;
  readonly status: number | undefined;
  readonly reason: string | undefined;
  readonly causes: readonly StatusCause[];
  readonly subject: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly ambiguous: boolean;

  constructor(message: string, details: KubernetesErrorDetails) {
    super(message);
    this.kind = details.kind;
    this.status = details.status;
    this.reason = details.reason;
    this.causes = details.causes ?? [];
    this.subject = details.subject;
    this.retryAfterMs = details.retryAfterMs;
    this.ambiguous = details.ambiguous ?? false;
  }
}

/** Longer than that nobody is asked to wait in earnest. */
const LONGEST_RETRY_AFTER_MS = 10 * 60_000;
/** A message of the server may quote a whole object. */
const LONGEST_MESSAGE = 512;

const statusSchema = z.object({
  message: z.string().catch(''),
  reason: z.string().catch(''),
  code: z.number().optional().catch(undefined),
  details: z
    .object({
      kind: z.string().catch(''),
      causes: z
        .array(
          z.object({
            field: z.string().catch(''),
            reason: z.string().catch(''),
            message: z.string().catch(''),
          }),
        )
        .catch([]),
      retryAfterSeconds: z.number().min(0).catch(0),
    })
    .partial()
    .optional()
    .catch(undefined),
});

/** The error that an answer other than success means, or an ERROR event of a watch. */
export function refusal(answer: {
  /** HTTP status; absent for an event, which carries its own. */
  readonly status?: number;
  readonly body: unknown;
  /** Header `Retry-After`, in seconds. */
  readonly retryAfter?: string | undefined;
}): KubernetesError {
  const parsed = statusSchema.safeParse(answer.body);
  const told = parsed.success ? parsed.data : undefined;
  const status = answer.status ?? told?.code ?? 500;
  const kind = kindOf(status);
  const seconds = Number(answer.retryAfter ?? told?.details?.retryAfterSeconds ?? 0);
  const retryAfterMs = Number.isFinite(seconds) ? Math.min(seconds * 1_000, LONGEST_RETRY_AFTER_MS) : 0;
  return new KubernetesError(sentence(status, told?.message ?? ''), {
    kind,
    status,
    ...(told !== undefined && { reason: told.reason, causes: told.details?.causes ?? [] }),
    ...(told?.details?.kind !== undefined && { subject: told.details.kind }),
    ...(retryAfterMs > 0 && { retryAfterMs }),
    ambiguous: kind === 'unavailable',
  });
}

function kindOf(status: number): KubernetesErrorKind {
  if (status === 429) return 'busy';
  if (status === 401 || status === 403) return 'refused';
  return status >= 500 ? 'unavailable' : 'rejected';
}

/** The server's own words name the missing right, or the field; of its internal errors only the code is repeated. */
function sentence(status: number, message: string): string {
  if (status === 401)
    return 'the API server does not accept our credentials (401): check those in KUBECONFIG or the service account';
  if (status === 429) return 'the API server has too much to do (429)';
  if (status >= 500) return `the API server is not well (${status})`;
  const words = message.replace(/\s+/g, ' ').trim().slice(0, LONGEST_MESSAGE);
  return words === '' ? `the API server refused it (${status})` : `${words} (${status})`;
}

/** Codes of a failure before the request was sent: the server cannot know of it. */
const UNSENT: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'its host name is unknown',
  EAI_AGAIN: 'its host name could not be looked up',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no way to it',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
};
const CERTIFICATE = /CERT|SIGNATURE|UNABLE_TO/;

/** The error that a request without an answer means, by what the connection threw. */
export function disconnection(error: unknown): KubernetesError {
  const code = codeOf(error);
  const unsent = code === undefined ? undefined : UNSENT[code];
  if (unsent !== undefined)
    return new KubernetesError(`the API server cannot be reached: ${unsent} (${code ?? ''})`, {
      kind: 'unavailable',
    });
  if (code !== undefined && CERTIFICATE.test(code))
    return new KubernetesError(
      `the certificate of the API server is not trusted (${code}): check the certificate authority in KUBECONFIG`,
      { kind: 'unavailable' },
    );
  // The same cut shows as one of several codes by chance, so the sentence names none of them.
  return new KubernetesError('the connection to the API server was lost', {
    kind: 'unavailable',
    ambiguous: true,
  });
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'cause' in error ? codeOf(error.cause) : undefined;
}
