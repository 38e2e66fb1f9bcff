/**
 * How is one secret kept where others may read? As a compact JWE (RFC 7516): AES-256-GCM with one of the
 * operator's keys, whose id stands in the header. The header also names the tenant and the secret, and the cipher
 * authenticates it: so a ciphertext that somebody moves to another row does not open there.
 */
import { CompactEncrypt, compactDecrypt, errors } from 'jose';

/** 32 bytes, and a name for them that appears in every ciphertext. */
export interface EncryptionKey {
  readonly id: string;
  readonly key: Uint8Array;
}

/** Which secret it is; bound into the ciphertext. */
export interface SecretName {
  readonly uid: string;
  readonly name: string;
}

export interface Sealer {
  /** Id of the key that seals. */
  readonly keyId: string;
  seal(secret: SecretName, value: string): Promise<string>;
  /** Throws VaultError when the key is not known or the ciphertext is not this secret's. */
  open(secret: SecretName, ciphertext: string): Promise<string>;
}

/** Its message names the secret, never its value. */
export class VaultError extends Error {
  override readonly name = 'VaultError';
  /** `refused`: the caller asked for what is not allowed. `broken`: keys and ciphertexts do not fit. */
  readonly kind: 'refused' | 'broken';

  constructor(message: string, kind: 'refused' | 'broken' = 'broken') {
    super(message);
    this.kind = kind;
  }
}

const KEY_BYTES = 32;

/** The first key seals; all of them open. Throws VaultError when there is none or one is not 32 bytes long. */
export function createSealer(keys: readonly EncryptionKey[]): Sealer {
  const byId = new Map(keys.map(({ id, key }) => [id, key]));
  const [first] = keys;
  if (first === undefined) throw new VaultError('cannot open the vault: there is no encryption key');
  if (byId.size < keys.length)
    throw new VaultError('cannot open the vault: two encryption keys have the same id');
  for (const { id, key } of keys)
    if (key.length !== KEY_BYTES)
      throw new VaultError(
        `cannot open the vault: the encryption key "${id}" is ${key.length} bytes long, not ${KEY_BYTES}`,
      );
  const encoder = new TextEncoder();
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return {
    keyId: first.id,
    seal: ({ uid, name }, value) =>
      new CompactEncrypt(encoder.encode(value))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: first.id, tenant: uid, secret: name })
        .encrypt(first.key),
    async open(secret, ciphertext) {
      try {
        const opened = await compactDecrypt(ciphertext, ({ kid }) => keyFor(byId, kid, secret), {
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM'],
        });
        const { tenant, secret: name } = opened.protectedHeader;
        if (tenant === secret.uid && name === secret.name) return decoder.decode(opened.plaintext);
      } catch (error) {
        if (!(error instanceof errors.JOSEError)) throw error;
      }
      throw cannotOpen(secret, 'it was changed, or belongs to another secret');
    },
  };
}

function keyFor(
  keys: ReadonlyMap<string, Uint8Array>,
  kid: string | undefined,
  secret: SecretName,
): Uint8Array {
  const key = keys.get(kid ?? '');
  if (key !== undefined) return key;
  throw cannotOpen(secret, `its key "${kid ?? ''}" is not among LANDLORD_ENCRYPTION_KEYS`);
}

function cannotOpen({ uid, name }: SecretName, cause: string): VaultError {
  const what = name === '' ? 'the database password' : `secret "${name}"`;
  return new VaultError(`cannot open ${what} of tenant "${uid}": ${cause}`);
}
