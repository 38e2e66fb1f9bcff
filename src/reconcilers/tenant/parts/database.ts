/**
 * The tenant's own database: credentials in the vault, a role, a database. Passwords stay in the vault; here
 * are only revisions, and a role whose revision lags behind the vault's gets the new password.
 */
import { databaseName } from '../../../tenant/names.ts';
import type { PlanInput } from '../input.ts';
import { settled, working, type PartPlan } from '../steps.ts';

/** Sets DatabaseReady together with {@link planDatabase}; first of all, since other parts need the password. */
export function planCredentials({ tenant, observed }: PlanInput): PartPlan {
  const target = tenant.metadata.uid;
  if (observed.vault === undefined)
    return working('GeneratingCredentials', 'the database password and JWT secret are being generated', [
      { kind: 'generateCredentials', target, why: 'the tenant has no credentials yet' },
    ]);
  const wanted = tenant.spec.credentialsRotatedAt;
  const served = observed.vault.rotatedAt;
  if (wanted !== undefined && (served === undefined || Date.parse(wanted) > Date.parse(served)))
    return working('RotatingCredentials', 'a new database password is being made', [
      {
        kind: 'rotateCredentials',
        target,
        requestedAt: wanted,
        why: 'spec.credentialsRotatedAt is newer than the last rotation',
      },
    ]);
  return settled('Generated', 'credentials exist');
}

/** Sets DatabaseReady: True/Created once role and database exist with the vault's password. */
export function planDatabase({ tenant, observed }: PlanInput): PartPlan {
  const name = databaseName(tenant.metadata.uid);
  const { roleExists, databaseExists, passwordRevision, externalAccess = false } = observed.database;
  if (!roleExists || !databaseExists)
    return working('CreatingDatabase', `database "${name}" is being created`, [
      {
        kind: 'createDatabase',
        target: name,
        why: roleExists ? 'the database does not exist' : 'the role and its database do not exist',
      },
    ]);
  if (observed.vault !== undefined && passwordRevision !== observed.vault.passwordRevision)
    return working('SettingPassword', `the password of role "${name}" is being set`, [
      { kind: 'setDatabasePassword', target: name, why: 'the role still has an older password' },
    ]);
  const external = tenant.spec.externalDatabaseAccess === true;
  if (externalAccess !== external)
    return working('ChangingAccess', `the access to database "${name}" is being changed`, [
      {
        kind: 'setDatabaseAccess',
        external,
        target: name,
        why: external
          ? 'spec.externalDatabaseAccess lets it be reached from outside'
          : 'spec.externalDatabaseAccess no longer lets it be reached from outside',
      },
    ]);
  return settled('Created', `database "${name}" exists`);
}
