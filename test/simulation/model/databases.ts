/**
 * What is the server of the tenants' databases, without a server? Roles and databases by tenant. What takes several
 * statements there can stop after any of them here: `share` says how much of the work was done when it stopped.
 */
import { DatabaseError } from '../../../src/database/errors.ts';
import type { TenantDatabaseState } from '../../../src/database/tenant-databases.ts';

interface Credentials {
  readonly password: string;
  readonly passwordRevision: number;
}

interface Held {
  role: boolean;
  database: boolean;
  passwordRevision: number | undefined;
  password: string | undefined;
  externalAccess: boolean;
}

export interface ModelDatabases {
  describe(uid: string): TenantDatabaseState;
  create(uid: string, credentials: Credentials, share: number): void;
  setPassword(uid: string, credentials: Credentials, share: number): void;
  setExternalAccess(uid: string, allowed: boolean, share: number): void;
  drop(uid: string, share: number): void;
  url(uid: string, password: string): string;
  /** What the role of the tenant logs in with now. */
  passwordOf(uid: string): string | undefined;
}

export function createModelDatabases(): ModelDatabases {
  const tenants = new Map<string, Held>();

  function setPassword(held: Held, { password, passwordRevision }: Credentials): void {
    held.password = password;
    held.passwordRevision = passwordRevision;
  }

  return {
    describe(uid) {
      const held = tenants.get(uid);
      const state = {
        roleExists: held?.role ?? false,
        databaseExists: held?.database ?? false,
        ...(held?.externalAccess === true && { externalAccess: true }),
      };
      return held?.passwordRevision === undefined
        ? state
        : { ...state, passwordRevision: held.passwordRevision };
    },
    create(uid, credentials, share) {
      const held = tenants.get(uid) ?? {
        role: false,
        database: false,
        passwordRevision: undefined,
        password: undefined,
        externalAccess: false,
      };
      tenants.set(uid, held);
      some(share, [
        () => void (held.role = true),
        () => void (held.database = true),
        () => setPassword(held, credentials),
      ]);
    },
    setPassword(uid, credentials, share) {
      const held = tenants.get(uid);
      if (held?.role !== true) throw new DatabaseError('it does not exist', { kind: 'refused' });
      some(share, [() => setPassword(held, credentials)]);
    },
    setExternalAccess(uid, allowed, share) {
      const held = tenants.get(uid);
      if (held?.role !== true) throw new DatabaseError('its role does not exist', { kind: 'refused' });
      some(share, [() => void (held.externalAccess = allowed)]);
    },
    drop(uid, share) {
      const held = tenants.get(uid);
      if (held === undefined) return;
      some(share, [() => void (held.database = false), () => void tenants.delete(uid)]);
    },
    url: (uid, password) => `postgresql://t_${uid}:${password}@db.test/t_${uid}`,
    passwordOf: (uid) => tenants.get(uid)?.password,
  };
}

/** The first statements of several: all of them for a share of 1, perhaps none below. */
function some(share: number, statements: readonly (() => void)[]): void {
  for (const statement of statements.slice(0, Math.floor(share * (statements.length + 1)))) statement();
}
