/**
 * Was this very request served already? The first one with a key claims it, runs, and leaves its answer; whoever comes
 * later with the same key gets that answer. A claim ends by itself, so that a process that died in the middle holds up
 * a repetition for minutes, not for ever: a repetition then runs again, as one without a key would.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { attempt } from '../database/errors.ts';
import type { Sealer } from '../vault/seal.ts';
import type { LedgerDatabase } from './tables.ts';

/** One request with a key. */
export interface KeyedRequest {
  /** Whose key it is: keys of different callers never meet. */
  readonly principal: string;
  readonly key: string;
  /** All that makes it this request: method, address, body. */
  readonly content: string;
}

export interface StoredAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type Claim =
  /** Nobody was faster: run, then `finish` or `release`. */
  | { readonly kind: 'first'; readonly ticket: Ticket }
  | { readonly kind: 'answered'; readonly answer: StoredAnswer }
  | { readonly kind: 'in-flight' }
  /** The key was used for something else. */
  | { readonly kind: 'mismatch' };

export interface Ticket {
  readonly id: string;
  readonly claim: string;
}

export interface IdempotencyStore {
  claim(request: KeyedRequest): Promise<Claim>;
  finish(ticket: Ticket, answer: StoredAnswer): Promise<void>;
  /** The request came to nothing: the key is free again. */
  release(ticket: Ticket): Promise<void>;
}

/** As long as clients of other services are used to. */
const KEEP_MS = 24 * 60 * 60_000;
/** Longer than any answer takes, the longest `?wait=` included. */
const CLAIM_MS = 3 * 60_000;
/** Each round loses only to somebody who has just released the key. */
const MOST_ROUNDS = 5;

const answerSchema = z.object({ headers: z.record(z.string(), z.string()), body: z.string() });

export function createIdempotencyStore(options: {
  readonly db: LedgerDatabase;
  readonly clock: Clock;
  readonly sealer: Sealer;
}): IdempotencyStore {
  const { db, clock, sealer } = options;

  async function take(id: string, fingerprint: string): Promise<Ticket | undefined> {
    const now = clock.now();
    const claim = randomUUID();
    const taken = await sql`
      INSERT INTO idempotency_keys (id, claim, fingerprint, claimed_until, expires_at)
      VALUES (${id}, ${claim}, ${fingerprint}, ${new Date(now + CLAIM_MS)}, ${new Date(now + KEEP_MS)})
      ON CONFLICT (id) DO UPDATE SET
        claim = EXCLUDED.claim, fingerprint = EXCLUDED.fingerprint, claimed_until = EXCLUDED.claimed_until,
        expires_at = EXCLUDED.expires_at, status = NULL, answer = NULL
      WHERE idempotency_keys.expires_at <= ${new Date(now)}
        OR (idempotency_keys.status IS NULL AND idempotency_keys.claimed_until <= ${new Date(now)})
      RETURNING claim`.execute(db);
    return taken.rows.length > 0 ? { id, claim } : undefined;
  }

  async function look(id: string, fingerprint: string): Promise<Claim | undefined> {
    const row = await db.selectFrom('idempotency_keys').selectAll().where('id', '=', id).executeTakeFirst();
    if (row === undefined) return undefined;
    if (row.fingerprint !== fingerprint) return { kind: 'mismatch' };
    if (row.status === null || row.answer === null) return { kind: 'in-flight' };
    const opened = answerSchema.parse(JSON.parse(await sealer.open(sealedAs(id), row.answer)));
    return { kind: 'answered', answer: { status: row.status, ...opened } };
  }

  const owned = ({ id, claim }: Ticket) => sql`id = ${id} AND claim = ${claim} AND status IS NULL`;
  return {
    claim: ({ principal, key, content }) =>
      attempt('look up an idempotency key', async () => {
        const id = createHash('sha256').update(`${principal}\0${key}`).digest('base64url');
        const fingerprint = createHmac('sha256', key).update(content).digest('base64url');
        for (let round = 0; round < MOST_ROUNDS; round += 1) {
          const ticket = await take(id, fingerprint);
          if (ticket !== undefined) return { kind: 'first', ticket };
          const found = await look(id, fingerprint);
          if (found !== undefined) return found;
        }
        return { kind: 'in-flight' };
      }),
    finish: (ticket, { status, headers, body }) =>
      attempt('keep the answer for an idempotency key', async () => {
        const answer = await sealer.seal(sealedAs(ticket.id), JSON.stringify({ headers, body }));
        await sql`UPDATE idempotency_keys SET status = ${status}, answer = ${answer} WHERE ${owned(ticket)}`.execute(
          db,
        );
      }),
    release: (ticket) =>
      attempt('release an idempotency key', async () => {
        await sql`DELETE FROM idempotency_keys WHERE ${owned(ticket)}`.execute(db);
      }),
  };
}

function sealedAs(id: string): { readonly uid: string; readonly name: string } {
  return { uid: id, name: 'idempotent answer' };
}
