/**
 * What is the vault, without a database? The counters and values of `vault.ts` for each tenant, unencrypted and all
 * at once. Passwords are drawn from the history's own chance, so that the same seed has the same secrets.
 */
import type { AppliedSecrets, RevealedSecrets, VaultState } from '../../../src/vault/vault.ts';

interface Held {
  revision: number;
  passwordRevision: number;
  password: string;
  rotatedAt: string | undefined;
  applied: AppliedSecrets | undefined;
  readonly values: Map<string, string>;
}

export interface ModelVault {
  describe(uid: string): VaultState | undefined;
  generate(uid: string): VaultState;
  rotate(uid: string, requestedAt: string): VaultState;
  set(uid: string, values: Readonly<Record<string, string | null>>): VaultState;
  reveal(uid: string): RevealedSecrets | undefined;
  recordApplied(uid: string, applied: AppliedSecrets): void;
  forget(uid: string): void;
  /** Every value that ever was in the vault and must not be told. */
  readonly secrets: ReadonlySet<string>;
}

/** `newText` makes a random text of so many characters. */
export function createModelVault(newText: (length: number) => string): ModelVault {
  const tenants = new Map<string, Held>();
  const secrets = new Set<string>();

  function secret(length: number): string {
    const text = newText(length);
    secrets.add(text);
    return text;
  }

  function lock(uid: string): Held {
    const known = tenants.get(uid);
    if (known !== undefined) return known;
    const held: Held = {
      revision: 1,
      passwordRevision: 1,
      password: secret(32),
      rotatedAt: undefined,
      applied: undefined,
      values: new Map([['JWT_SECRET', secret(64)]]),
    };
    tenants.set(uid, held);
    return held;
  }

  return {
    secrets,
    describe: (uid) => stateOf(tenants.get(uid)),
    generate: (uid) => stateOf(lock(uid)),
    rotate(uid, requestedAt) {
      const held = lock(uid);
      const served = held.rotatedAt;
      if (served !== undefined && Date.parse(requestedAt) <= Date.parse(served)) return stateOf(held);
      held.rotatedAt = requestedAt;
      held.passwordRevision += 1;
      held.password = secret(32);
      held.revision += 1;
      return stateOf(held);
    },
    set(uid, values) {
      const held = lock(uid);
      let changed = false;
      for (const [name, value] of Object.entries(values)) {
        if (held.values.get(name) === (value ?? undefined)) continue;
        changed = true;
        if (value === null) held.values.delete(name);
        else held.values.set(name, value);
        if (value !== null) secrets.add(value);
      }
      if (changed) held.revision += 1;
      return stateOf(held);
    },
    reveal(uid) {
      const held = tenants.get(uid);
      if (held === undefined) return undefined;
      const { revision, password: databasePassword, passwordRevision } = held;
      return { revision, databasePassword, passwordRevision, values: Object.fromEntries(held.values) };
    },
    recordApplied(uid, applied) {
      const held = tenants.get(uid);
      if (held !== undefined && (held.applied?.revision ?? 0) <= applied.revision) held.applied = applied;
    },
    forget: (uid) => void tenants.delete(uid),
  };
}

function stateOf(held: Held): VaultState;
function stateOf(held: Held | undefined): VaultState | undefined;
function stateOf(held: Held | undefined): VaultState | undefined {
  if (held === undefined) return undefined;
  const { revision, passwordRevision, rotatedAt, applied, values } = held;
  return {
    revision,
    names: [...values.keys()].sort(),
    passwordRevision,
    ...(rotatedAt !== undefined && { rotatedAt }),
    ...(applied !== undefined && { applied }),
  };
}
