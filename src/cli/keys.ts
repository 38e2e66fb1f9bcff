/**
 * How does an operator change the key that secrets are encrypted with? Put the new key first and start the daemons
 * again; `keys rotate` seals everything with it while they run; `keys status` says when the old one may go.
 */
import { systemClock } from '../clock.ts';
import { ConfigError, type Config } from '../config.ts';
import { createVault, type PostgresVault } from '../vault/postgres-vault.ts';
import { DATABASE_MISSING, withDatabase, type Terminal } from './terminal.ts';

type KeyVault = Pick<PostgresVault, 'reseal' | 'keysInUse'>;

/** Opens the vault that the environment names, and closes it whatever comes. Throws ConfigError. */
export async function withVault(
  config: Config,
  use: (vault: KeyVault, ids: readonly string[]) => Promise<void>,
): Promise<void> {
  const { databaseUrl, encryptionKeys: keys } = config;
  if (keys === undefined)
    throw new ConfigError([
      ...(databaseUrl === undefined ? [DATABASE_MISSING] : []),
      'LANDLORD_ENCRYPTION_KEYS: must be set, as the daemon has it',
    ]);
  await withDatabase(config, (database) =>
    use(
      createVault({ database, keys, clock: systemClock }),
      keys.map(({ id }) => id),
    ),
  );
}

/** Prints a line for each key, the first one being the one that seals. */
export async function showKeys(
  vault: KeyVault,
  { ids, terminal }: { readonly ids: readonly string[]; readonly terminal: Terminal },
): Promise<void> {
  const inUse = await vault.keysInUse();
  for (const [index, id] of ids.entries()) {
    const count = inUse.get(id) ?? 0;
    const advice = index === 0 ? 'seals' : count === 0 ? 'may be dropped' : 'run `landlord keys rotate`';
    terminal.print(`${id}\t${count} secrets\t${advice}`);
  }
  for (const [id, count] of inUse)
    if (!ids.includes(id))
      terminal.print(`${id}\t${count} secrets\tMISSING: they cannot be opened without it`);
}

/**
 * Seals anew what another key has sealed. Throws when some of it cannot be opened, or when it was told to stop before
 * the end; what was done by then stays done, and the next run goes on.
 */
export async function rotateKeys(
  vault: KeyVault,
  options: {
    readonly ids: readonly string[];
    readonly terminal: Terminal;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { ids, terminal, signal } = options;
  const resealed = await vault.reseal(signal);
  terminal.print(`sealed ${resealed} secrets with key "${ids[0] ?? ''}"`);
  if (signal.aborted) throw new Error('cannot finish the rotation: it was stopped; run it again to go on');
  await showKeys(vault, options);
}
