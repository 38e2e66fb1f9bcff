/** How do secrets look as rows? The types of the vault's tables in migrations/, and the names that have a meaning. */
import type { Kysely } from 'kysely';

// Type aliases, because kysely asks for types with an index signature, which an interface does not have.
export type VaultTables = {
  readonly vault_tenants: {
    readonly uid: string;
    readonly revision: number;
    readonly password_revision: number;
    readonly rotated_at: string | null;
    readonly applied: unknown;
  };
  readonly vault_secrets: {
    readonly uid: string;
    readonly name: string;
    readonly key_id: string;
    readonly ciphertext: string;
    readonly created_at: Date;
    readonly changed_at: Date;
  };
  readonly vault_links: {
    readonly uid: string;
    readonly token_hash: Buffer;
    readonly key_id: string;
    readonly nonce: string;
    readonly issued_at: Date;
  };
};

export type VaultDatabase = Kysely<VaultTables>;

/** The database password has no name on Fly: DATABASE_URL is derived from it. */
export const PASSWORD = '';
export const JWT_SECRET = 'JWT_SECRET';

/** Wakes whoever carries a change of secrets to Fly; the payload is the tenant's uid. */
export const SECRETS_CHANNEL = 'landlord_secrets';
