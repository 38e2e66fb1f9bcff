/**
 * Who are the people? Users, known by a verified address; their identities at login providers; the customer that a
 * user is billed as; and their logins, each of which can be ended before its time.
 */
import { randomUUID } from 'node:crypto';
import { sql, type Transaction } from 'kysely';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/connection.ts';
import { attempt, DatabaseError } from '../database/errors.ts';
import type { AccountTables } from './tables.ts';
import { SESSION_LIFETIME_MS } from './tokens.ts';

/** What a login provider says of somebody. */
export interface Profile {
  readonly provider: string;
  /** Never changes and is never given to somebody else, unlike an address. */
  readonly subject: string;
  /** Verified by the provider. */
  readonly email: string;
  readonly name: string | undefined;
}

export interface User {
  readonly id: string;
  readonly email: string;
  readonly name: string | undefined;
  /** Whom they are billed as; absent before the first checkout. */
  readonly customer: string | undefined;
}

export interface Session {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface Users {
  /** Finds or makes the user, and begins a session. Throws AccountError. */
  logIn(profile: Profile): Promise<{ readonly user: User; readonly session: Session }>;
  /** Undefined when there is no such login, or it has ended. */
  ofSession(sessionId: string): Promise<User | undefined>;
  logOut(sessionId: string): Promise<void>;
  /** Makes the user that customer, or tells whom they are already. Throws AccountError when it is somebody else's. */
  setCustomer(userId: string, customer: string): Promise<string>;
}

/** Something that a person can mend; the message is for them. */
export class AccountError extends Error {
  override readonly name = 'AccountError';
}

/** The CLI ends itself on an address that is none: one @, a dot in the domain, two letters at its end. */
const emailSchema = z.email().max(254).toLowerCase();

type AccountTransaction = Transaction<AccountTables>;

export function createUsers({ database, clock }: { database: Database; clock: Clock }): Users {
  const db = database.db.withTables<AccountTables>();
  return {
    logIn: (profile) =>
      attempt('log in', () =>
        db.transaction().execute(async (transaction) => {
          const now = new Date(clock.now());
          const id = await findOrMakeUser(transaction, profile, now);
          const session = { id: randomUUID(), expiresAt: now.getTime() + SESSION_LIFETIME_MS };
          // Expired logins say nothing any more; whoever comes next sweeps them out.
          await transaction.deleteFrom('login_sessions').where('expires_at', '<', now).execute();
          await transaction
            .insertInto('login_sessions')
            .values({ ...row(session), user_id: id, created_at: now, revoked_at: null })
            .execute();
          const user = await readUser(transaction, id);
          if (user === undefined) throw new Error('cannot log in: the user is gone');
          return { user, session };
        }),
      ),
    ofSession: (sessionId) =>
      attempt('look up a login', async () => {
        const session = await db
          .selectFrom('login_sessions')
          .select('user_id')
          .where('id', '=', sessionId)
          .where('expires_at', '>', new Date(clock.now()))
          .where('revoked_at', 'is', null)
          .executeTakeFirst();
        return session && readUser(db, session.user_id);
      }),
    logOut: (sessionId) =>
      attempt('end a login', async () => {
        await db
          .updateTable('login_sessions')
          .set({ revoked_at: new Date(clock.now()) })
          .where('id', '=', sessionId)
          .where('revoked_at', 'is', null)
          .execute();
      }),
    setCustomer: (userId, customer) =>
      attempt(`make a user the customer "${customer}"`, () =>
        setCustomer(db, { userId, customer, now: new Date(clock.now()) }),
      ),
  };
}

function row({ id, expiresAt }: Session): { id: string; expires_at: Date } {
  return { id, expires_at: new Date(expiresAt) };
}

/** By identity first; else by the verified address, so that one person with two providers is one user. */
async function findOrMakeUser(transaction: AccountTransaction, profile: Profile, now: Date): Promise<string> {
  const { provider, subject, name } = profile;
  const parsed = emailSchema.safeParse(profile.email);
  if (!parsed.success) throw new AccountError(`cannot log in: ${provider} gave no usable e-mail address`);
  const email = parsed.data;
  // Two first logins of one person at once would both make the user.
  await sql`SELECT pg_advisory_xact_lock(hashtext('users'), hashtext(${email}))`.execute(transaction);
  const known = await transaction
    .selectFrom('user_identities')
    .select('user_id')
    .where('provider', '=', provider)
    .where('subject', '=', subject)
    .executeTakeFirst();
  const owner = await transaction
    .selectFrom('users')
    .select('id')
    .where('email', '=', email)
    .executeTakeFirst();
  if (known !== undefined) {
    // A new address is taken over unless it is another user's: nobody becomes somebody else by a change of address.
    const changes = { name: name ?? null, ...(owner === undefined && { email }) };
    await transaction.updateTable('users').set(changes).where('id', '=', known.user_id).execute();
    return known.user_id;
  }
  const id = owner?.id ?? randomUUID();
  if (owner === undefined)
    await transaction
      .insertInto('users')
      .values({ id, email, name: name ?? null, created_at: now })
      .execute();
  await transaction
    .insertInto('user_identities')
    .values({ provider, subject, user_id: id, created_at: now })
    .execute();
  return id;
}

async function readUser(db: Pick<AccountTransaction, 'selectFrom'>, id: string): Promise<User | undefined> {
  const found = await db
    .selectFrom('users')
    .leftJoin('customers', 'customers.user_id', 'users.id')
    .select(['users.id', 'users.email', 'users.name', 'customers.id as customer'])
    .where('users.id', '=', id)
    .executeTakeFirst();
  return found && { ...found, name: found.name ?? undefined, customer: found.customer ?? undefined };
}

async function setCustomer(
  db: Pick<AccountTransaction, 'insertInto' | 'selectFrom'>,
  { userId, customer, now }: { userId: string; customer: string; now: Date },
): Promise<string> {
  try {
    await db
      .insertInto('customers')
      .values({ id: customer, user_id: userId, created_at: now })
      .onConflict((conflict) => conflict.column('user_id').doNothing())
      .execute();
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.constraint !== 'customers_pkey') throw error;
  }
  const own = await db.selectFrom('customers').select('id').where('user_id', '=', userId).executeTakeFirst();
  if (own !== undefined) return own.id;
  throw new AccountError(`cannot bill you as customer "${customer}": it is another user's; ask for support`);
}
