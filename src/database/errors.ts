/**
 * What went wrong in PostgreSQL, said without showing a value? The driver's own messages and details quote
 * rows, parameters and statements, and those hold secrets; so every failure of the database leaves src/database
 * as a DatabaseError, whose words are ours alone.
 */
import pg from 'pg';

/**
 * What a caller may tell apart. Only `unavailable` and `busy` are worth trying again unchanged; `foreign` says that
 * something in the way was not made by Landlord, so that a person must decide; `unpermitted`, that nothing was sent.
 */
export type DatabaseErrorKind = 'unavailable' | 'busy' | 'constraint' | 'refused' | 'foreign' | 'unpermitted';

/** The only error that a query throws. Its message never holds a value, a statement or a password. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  readonly kind: DatabaseErrorKind;
  /** SQLSTATE, or the system's code such as ECONNREFUSED when there was no answer. */
  readonly code: string | undefined;
  /** Name of the violated constraint: ours, from migrations/. */
  readonly constraint: string | undefined;

  constructor(message: string, details: { kind: DatabaseErrorKind; code?: string; constraint?: string }) {
    super(message);
    this.kind = details.kind;
    this.code = details.code;
    this.constraint = details.constraint;
  }
}

/** SQLSTATEs that people meet, in words that say what to do. The longest matching prefix wins. */
const EXPLANATIONS: Readonly<Record<string, readonly [DatabaseErrorKind, string]>> = {
  '08': ['unavailable', 'the connection was lost'],
  '23': ['constraint', 'a constraint of the database refused it'],
  '25P03': ['unavailable', 'a transaction was idle for too long'],
  '2BP01': ['refused', 'other things still depend on it'],
  '28': ['refused', 'the server refused the user or the password'],
  '28P01': ['refused', 'the password is wrong'],
  '3D000': ['refused', 'the database does not exist'],
  '40': ['busy', 'it collided with another transaction'],
  '42501': ['refused', 'the database user may not do this'],
  '42P01': ['refused', 'a table is missing, so the migrations have not run'],
  '53': ['unavailable', 'the server is out of resources'],
  '53100': ['unavailable', 'the disk of the server is full'],
  '53300': ['unavailable', 'the server has too many connections'],
  '55P03': ['busy', 'a lock was not free in time'],
  '55006': ['busy', 'it is in use by other connections'],
  '57': ['unavailable', 'the server ended the connection'],
  '57014': ['busy', 'the statement took too long'],
  '57P03': ['unavailable', 'the server is starting up or shutting down'],
  ECONNREFUSED: ['unavailable', 'nothing listens there'],
  ECONNRESET: ['unavailable', 'the connection was lost'],
  EPIPE: ['unavailable', 'the connection was lost'],
  ENOTFOUND: ['unavailable', 'the host name is unknown'],
  EAI_AGAIN: ['unavailable', 'the host name could not be looked up'],
  ETIMEDOUT: ['unavailable', 'the server did not answer in time'],
};

/**
 * Turns whatever the driver threw into a DatabaseError. The driver's own errors without a code (a lost
 * connection, a wait that took too long) all mean that there is no usable connection.
 */
export function toDatabaseError(error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error;
  const code = codeOf(error);
  const [kind, reason] = explain(code, error instanceof pg.DatabaseError);
  const constraint = error instanceof pg.DatabaseError ? error.constraint : undefined;
  const suffix = code === undefined ? '' : ` (${code}${constraint === undefined ? '' : `, ${constraint}`})`;
  return new DatabaseError(`${reason}${suffix}`, {
    kind,
    ...(code !== undefined && { code }),
    ...(constraint !== undefined && { constraint }),
  });
}

/** The caller lost the right to act while it waited or stood still; nothing was sent. */
export function unpermitted(): DatabaseError {
  return new DatabaseError('this replica may no longer act on it', { kind: 'unpermitted' });
}

/** True when the connection that gave this error must not be used again. */
export function breaksConnection(error: DatabaseError): boolean {
  // After a statement that was not sent, a transaction or a lock may be open that may not be ended any more either.
  return error.kind === 'unavailable' || error.kind === 'unpermitted';
}

function codeOf(error: unknown): string | undefined {
  // A refused connection to a name with several addresses is an AggregateError; the code is the same on it.
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function explain(code: string | undefined, answered: boolean): readonly [DatabaseErrorKind, string] {
  if (code === undefined) return ['unavailable', 'the connection was lost or was not free in time'];
  const known = EXPLANATIONS[code] ?? EXPLANATIONS[code.slice(0, 2)];
  if (known !== undefined) return known;
  return answered
    ? ['refused', 'the database refused it']
    : ['unavailable', 'the server could not be reached'];
}

/**
 * Runs a piece of work whose DatabaseError then says what could not be done: `cannot <what>: <cause>`. A smaller
 * piece inside it that has said so already is more exact, and is left to speak.
 */
export async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.message.startsWith('cannot ')) throw error;
    throw new DatabaseError(`cannot ${what}: ${error.message}`, {
      kind: error.kind,
      ...(error.code !== undefined && { code: error.code }),
      ...(error.constraint !== undefined && { constraint: error.constraint }),
    });
  }
}
