/**
 * Which secrets does a tenant have, and which of them has Fly already received? Values are encrypted at rest and
 * leave only through `reveal` and `redeem`: for the loop, and for the owner who is given the credentials. Every change
 * bumps a revision, and desired state is the spec and that revision.
 */

/** What was last set on Fly for a tenant. */
export interface AppliedSecrets {
  /** Vault revision that was set. */
  readonly revision: number;
  /** Version that Fly answered with; machines are made with at least this one. */
  readonly version: number;
  /** Fly's opaque digest of each value as answered when it was set: another digest later is drift. */
  readonly digests: Readonly<Record<string, string>>;
}

/** All that may be known of a tenant's secrets without opening them. */
export interface VaultState {
  /** Grows with every change. */
  readonly revision: number;
  /** Names of the secrets, sorted. */
  readonly names: readonly string[];
  /** Grows with every new database password. */
  readonly passwordRevision: number;
  /** Newest `spec.credentialsRotatedAt` that was served. */
  readonly rotatedAt?: string;
  readonly applied?: AppliedSecrets;
}

/** The values themselves. Never logged, never put into an error, a plan or a status. */
export interface RevealedSecrets {
  readonly revision: number;
  readonly databasePassword: string;
  readonly passwordRevision: number;
  /** JWT_SECRET and what the owner has set; DATABASE_URL is derived from the password by who sets it. */
  readonly values: Readonly<Record<string, string>>;
}

/** What may be known of one secret of the owner without opening it. */
export interface SecretRecord {
  readonly name: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface Vault {
  /** Undefined when nothing was ever generated for the tenant. */
  describe(uid: string): Promise<VaultState | undefined>;
  /** Makes the database password (32 characters) and JWT_SECRET (64) unless they exist. */
  generate(uid: string): Promise<VaultState>;
  /** Makes a new database password unless that was already done for `requestedAt` or a later request. */
  rotate(uid: string, requestedAt: string): Promise<VaultState>;
  /** Sets and (with null) removes secrets of the owner. Does nothing when nothing differs. */
  set(uid: string, values: Readonly<Record<string, string | null>>): Promise<VaultState>;
  reveal(uid: string): Promise<RevealedSecrets | undefined>;
  /**
   * Calls back with the uid of every tenant whose owner has changed secrets, in whatever process, until the returned
   * function is called. A call may be lost: it is a wake-up and nothing more.
   */
  onChange(wake: (uid: string) => void): () => void;
  recordApplied(uid: string, applied: AppliedSecrets): Promise<void>;
  /** Removes everything of the tenant. */
  forget(uid: string): Promise<void>;
}

/** What an owner may ask of them beside, through a door. */
export interface OwnersVault extends Vault {
  /** The owner's own secrets, sorted by name. */
  list(uid: string): Promise<SecretRecord[]>;
  /** Token of the one-time link to the credentials while it waits to be used; every new password gets a new one. */
  link(uid: string): Promise<string | undefined>;
  /** Uses the link up, and opens the secrets of that moment. Undefined when the token is not, or no longer, the one. */
  redeem(uid: string, token: string): Promise<RevealedSecrets | undefined>;
}
