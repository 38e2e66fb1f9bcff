/** What every command needs: where it speaks, and the database of the daemon whose environment it was given. */
import { systemClock } from '../clock.ts';
import { ConfigError, type Config } from '../config.ts';
import { connect, type Database } from '../database/connection.ts';
import { createLogger } from '../log.ts';

/** Where a command speaks: results, and what is wrong. */
export interface Terminal {
  print(line: string): void;
  complain(line: string): void;
}

/** Connects to the database that the environment names, and closes it whatever comes. Throws ConfigError. */
export async function withDatabase(
  { databaseUrl: url }: Config,
  use: (database: Database) => Promise<void>,
): Promise<void> {
  if (url === undefined) throw new ConfigError([DATABASE_MISSING]);
  const log = createLogger({ level: 'warn', readable: false });
  const database = connect({ url, log, clock: systemClock, maxConnections: 2 });
  try {
    await use(database);
  } finally {
    await database.close();
  }
}

export const DATABASE_MISSING = 'DATABASE_URL: must be set, as the daemon has it';
