/**
 * How does an owner get the credentials once, and nobody twice? By a link whose token is 256 bits long. The database
 * keeps a hash of it, which proves it, and a nonce, from which only the holder of an encryption key can make the token
 * again: so it can be shown until it is used, and a dump of the database opens nothing. Using a link deletes it.
 */
import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import type { EncryptionKey } from './seal.ts';
import type { VaultDatabase } from './tables.ts';

/** The shape of every token; no JSON Web Token has it, so the two can never be taken for each other. */
export const LINK_TOKEN_PATTERN = /^[A-Za-z0-9_-]{43}$/;

const NONCE_BYTES = 16;
/** Separates these keys from those that seal, which come from the same operator's key. */
const PURPOSE = 'landlord credentials link';

export interface Links {
  /** Makes a new link in place of the tenant's old one, used or not. `now`: milliseconds since the epoch. */
  issue(db: VaultDatabase, uid: string, now: number): Promise<string>;
  /** The token of the link that waits to be used. One whose key was dropped is replaced by a new one. */
  show(db: VaultDatabase, uid: string, now: number): Promise<string | undefined>;
  /** True exactly once for each link, whoever else tries at the same time. */
  use(db: VaultDatabase, uid: string, token: string): Promise<boolean>;
}

export function createLinks(keys: readonly EncryptionKey[]): Links {
  const [first] = keys;
  if (first === undefined) throw new Error('cannot make links: there is no encryption key');
  const secrets = new Map(
    keys.map(({ id, key }) => [id, Buffer.from(hkdfSync('sha256', key, '', PURPOSE, 32))]),
  );

  const tokenOf = (uid: string, { keyId, nonce }: { keyId: string; nonce: string }): string | undefined => {
    const secret = secrets.get(keyId);
    return secret && createHmac('sha256', secret).update(`${uid}\0${nonce}`).digest('base64url');
  };

  const links: Links = {
    async issue(db, uid, now) {
      const nonce = randomBytes(NONCE_BYTES).toString('base64url');
      const token = tokenOf(uid, { keyId: first.id, nonce }) ?? '';
      const row = { token_hash: hashOf(token), key_id: first.id, nonce, issued_at: new Date(now) };
      await db
        .insertInto('vault_links')
        .values({ uid, ...row })
        .onConflict((conflict) => conflict.column('uid').doUpdateSet(row))
        .execute();
      return token;
    },
    async show(db, uid, now) {
      const row = await db.selectFrom('vault_links').selectAll().where('uid', '=', uid).executeTakeFirst();
      if (row === undefined) return undefined;
      return tokenOf(uid, { keyId: row.key_id, nonce: row.nonce }) ?? links.issue(db, uid, now);
    },
    async use(db, uid, token) {
      const result = await db
        .deleteFrom('vault_links')
        .where('uid', '=', uid)
        .where('token_hash', '=', hashOf(token))
        .executeTakeFirst();
      return result.numDeletedRows > 0n;
    },
  };
  return links;
}

/** A plain hash will do: nobody guesses 256 bits. */
function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
