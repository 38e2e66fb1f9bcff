/**
 * Which secrets does a tenant have, and which of them has Fly already received? Values are encrypted at rest
 * and leave only through `reveal`, which only the loop's act stage calls. Every change bumps a revision, and
 * desired state is the spec and that revision.
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
  recordApplied(uid: string, applied: AppliedSecrets): Promise<void>;
  /** Removes everything of the tenant. */
  forget(uid: string): Promise<void>;
}
