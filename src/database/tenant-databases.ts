/**
 * The database and the role that belong to one tenant, on the server for tenants. The role carries our mark
 * and the password's revision in its comment; without that comment nothing is changed or dropped.
 */

export interface TenantDatabaseState {
  readonly roleExists: boolean;
  readonly databaseExists: boolean;
  /** Revision of the password that the role has now; undefined when the role is not there or not ours. */
  readonly passwordRevision?: number;
}

export interface TenantDatabases {
  describe(uid: string): Promise<TenantDatabaseState>;
  /** Makes what is missing of role and database; safe to repeat. */
  create(uid: string, credentials: { password: string; passwordRevision: number }): Promise<void>;
  /** Sets the role's password and the revision in its comment, in one transaction. */
  setPassword(uid: string, credentials: { password: string; passwordRevision: number }): Promise<void>;
  /** Drops database (ending its connections) and role; what is not there or not ours is left alone. */
  drop(uid: string): Promise<void>;
  /** What the tenant's machine connects with. Holds the password. */
  url(uid: string, password: string): string;
}
