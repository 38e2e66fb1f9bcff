/**
 * Which keys sign Landlord's own tokens? RSA pairs in the database, shared by every replica, made anew every month
 * under a lock. The private half is sealed with the operator's encryption keys. Once one of those is dropped, what it
 * sealed no longer signs, but goes on verifying, and a new pair takes over.
 */
import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, importJWK, type CryptoKey, type JWK } from 'jose';
import { sql, type Transaction } from 'kysely';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/connection.ts';
import { attempt } from '../database/errors.ts';
import { VaultError, type Sealer } from '../vault/seal.ts';
import { nextKeyFrom, publishedKeys, signingKey, type KeyTimes } from './key-schedule.ts';
import type { AccountTables } from './tables.ts';

/** What tenants of every age verify (their tokens come from the same issuer). */
export const ALGORITHM = 'RS256';
const MODULUS_BITS = 2_048;
/** How stale the view of the database may be; far below the day for which a key is published before it signs. */
const FRESH_MS = 60_000;
/** A key that is not known is looked for this often at most, whoever makes key ids up. */
const LOOK_AGAIN_MS = 5_000;

const publicJwkSchema = z.object({ kty: z.literal('RSA'), n: z.string(), e: z.string() });
const privateJwkSchema = z.looseObject({ kty: z.literal('RSA'), d: z.string() });

export interface SigningKeys {
  /** The key to sign with now. */
  signer(): Promise<{ readonly kid: string; readonly key: CryptoKey }>;
  /** What verifies the tokens of that key; undefined when there is no such key, or no longer. */
  verifier(kid: string): Promise<CryptoKey | undefined>;
  /** Every public key whose tokens may be valid, as a JWK Set (RFC 7517). */
  published(): Promise<{ readonly keys: readonly JWK[] }>;
}

interface Key extends KeyTimes {
  readonly publicJwk: JWK;
  readonly verify: CryptoKey;
  /** Absent when it cannot be opened. */
  readonly sign: CryptoKey | undefined;
}

export function createSigningKeys(options: {
  readonly database: Database;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly log: Logger;
}): SigningKeys {
  const { clock } = options;
  const db = options.database.db.withTables<AccountTables>();
  let known: { readonly at: number; readonly keys: Promise<readonly Key[]> } | undefined;

  const refresh = (): Promise<readonly Key[]> =>
    attempt('read the signing keys', async () => {
      const keys = await readKeys(db, options);
      if (nextKeyFrom(keys.filter(canSign), clock.now()) === undefined) return keys;
      await db.transaction().execute((transaction) => addKey(transaction, options));
      return readKeys(db, options);
    });

  /** One read serves all who ask at once; a failed one is asked again. */
  function keys(maxAgeMs: number): Promise<readonly Key[]> {
    const now = clock.now();
    if (known !== undefined && Math.abs(now - known.at) < maxAgeMs) return known.keys;
    const reading = { at: now, keys: refresh() };
    known = reading;
    reading.keys.catch(() => {
      if (known === reading) known = undefined;
    });
    return reading.keys;
  }

  return {
    async signer() {
      const found = signingKey((await keys(FRESH_MS)).filter(canSign), clock.now());
      if (found?.sign === undefined) throw new Error('cannot sign a token: there is no signing key');
      return { kid: found.kid, key: found.sign };
    },
    async verifier(kid) {
      const find = (all: readonly Key[]): Key | undefined =>
        publishedKeys(all, clock.now()).find((key) => key.kid === kid);
      const found = find(await keys(FRESH_MS)) ?? find(await keys(LOOK_AGAIN_MS));
      return found?.verify;
    },
    async published() {
      const all = publishedKeys(await keys(FRESH_MS), clock.now());
      return { keys: all.map(({ publicJwk }) => publicJwk) };
    },
  };
}

const canSign = (key: Key): boolean => key.sign !== undefined;

type KeyOptions = Parameters<typeof createSigningKeys>[0];

async function readKeys(
  db: Pick<Transaction<AccountTables>, 'selectFrom'>,
  { sealer, log }: KeyOptions,
): Promise<readonly Key[]> {
  const rows = await db.selectFrom('signing_keys').selectAll().orderBy('signs_from').execute();
  return Promise.all(
    rows.map(async ({ kid, public_jwk, private_jwe, signs_from }) => {
      const jwk = publicJwkSchema.parse(public_jwk);
      return {
        kid,
        signsFrom: signs_from.getTime(),
        publicJwk: { ...jwk, kid, alg: ALGORITHM, use: 'sig' },
        verify: await importKey(jwk),
        sign: await openPrivate({ sealer, log, kid, ciphertext: private_jwe }),
      };
    }),
  );
}

async function openPrivate(options: {
  readonly sealer: Sealer;
  readonly log: Logger;
  readonly kid: string;
  readonly ciphertext: string;
}): Promise<CryptoKey | undefined> {
  const { sealer, log, kid, ciphertext } = options;
  try {
    const text = await sealer.open(secretName(kid), ciphertext);
    return await importKey(privateJwkSchema.parse(JSON.parse(text)));
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    log.warn({ kid }, `a signing key only verifies from now on: ${error.message}`);
    return undefined;
  }
}

/** One replica at a time; whoever waited finds the key that the other one has made. */
async function addKey(transaction: Transaction<AccountTables>, options: KeyOptions): Promise<void> {
  const { sealer, clock, log } = options;
  await sql`SELECT pg_advisory_xact_lock(hashtext('signing_keys'))`.execute(transaction);
  const now = clock.now();
  const signsFrom = nextKeyFrom((await readKeys(transaction, options)).filter(canSign), now);
  if (signsFrom === undefined) return;
  const kid = randomUUID();
  const pair = await generateKeyPair(ALGORITHM, { modulusLength: MODULUS_BITS, extractable: true });
  const { kty, n, e } = publicJwkSchema.parse(await exportJWK(pair.publicKey));
  const privateJwk = JSON.stringify(await exportJWK(pair.privateKey));
  await transaction
    .insertInto('signing_keys')
    .values({
      kid,
      public_jwk: JSON.stringify({ kty, n, e }),
      private_jwe: await sealer.seal(secretName(kid), privateJwk),
      created_at: new Date(now),
      signs_from: new Date(signsFrom),
    })
    .execute();
  log.info({ kid, signsFrom: new Date(signsFrom).toISOString() }, 'made a new signing key');
}

/** No tenant has this name, so a tenant's secret can never be taken for a signing key. */
function secretName(kid: string): { uid: string; name: string } {
  return { uid: 'landlord', name: `signing-key-${kid}` };
}

async function importKey(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, ALGORITHM);
  if (key instanceof Uint8Array) throw new Error('cannot use a signing key: it is not a pair of keys');
  return key;
}
