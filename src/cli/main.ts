#!/usr/bin/env node
/**
 * The command line of Landlord's operators. It reads the same environment as the daemon. Exit codes: 0 done, 1 could
 * not, 2 the environment or the command is wrong.
 */
import { Command, CommanderError } from 'commander';
import { createPlanBook } from '../accounts/plans.ts';
import { ConfigError, readConfig } from '../config.ts';
import { rotateKeys, showKeys, withVault } from './keys.ts';
import { applyPlans, showPlans } from './plans.ts';
import { withDatabase, type Terminal } from './terminal.ts';

const terminal: Terminal = {
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
};

const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());

const program = new Command('landlord')
  .description('operate a Landlord; run it with the environment of the daemon')
  .exitOverride((error) => {
    throw error;
  });

const keys = program.command('keys').description('the keys that secrets are encrypted with at rest');
keys
  .command('status')
  .description('which keys there are, which are in use, and which may be dropped')
  .action(() => withVault(readConfig(), (vault, ids) => showKeys(vault, { ids, terminal })));
keys
  .command('rotate')
  .description('seal with the first of LANDLORD_ENCRYPTION_KEYS what another one has sealed')
  .action(() =>
    withVault(readConfig(), (vault, ids) => rotateKeys(vault, { ids, terminal, signal: stopped.signal })),
  );

const plans = program.command('plans').description('what can be bought');
plans
  .command('list')
  .description('the plans on offer')
  .action(() => withDatabase(readConfig(), (database) => showPlans(createPlanBook(database), terminal)));
plans
  .command('apply')
  .argument(
    '<file>',
    'a file such as examples/plans.yaml; let LANDLORD_PLANS_FILE name it too, for the next start',
  )
  .description('offer what the file says, and nothing else, while the daemons run')
  .action((file: string) =>
    withDatabase(readConfig(), (database) => applyPlans(createPlanBook(database), { file, terminal })),
  );

try {
  await program.parseAsync();
} catch (error) {
  // Commander has said what is wrong already; asking for help is nothing wrong.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    terminal.complain(error instanceof Error ? error.message : String(error));
    process.exitCode = error instanceof ConfigError ? 2 : 1;
  }
}
