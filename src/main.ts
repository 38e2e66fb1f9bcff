/**
 * The daemon as a process: reads the environment, starts, waits for a signal, stops. Exit codes: 0 stopped as
 * told, 1 could not start or broke, 2 the environment is wrong.
 */
import { ConfigError, readConfig, type Config } from './config.ts';
import { startDaemon } from './daemon.ts';
import { createLogger } from './log.ts';

function configOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return process.exit(2);
  }
}

const config = configOrExit();
const log = createLogger({ level: config.logLevel, readable: !config.production });

// A promise that nobody watches or an error that nobody catches leaves a state that nobody has thought of.
process.on('uncaughtException', (error) => {
  log.fatal({ err: error }, 'an unexpected error; stopping');
  process.exit(1);
});

const stopping = new AbortController();
const starting = startDaemon(config, log, stopping.signal);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    log.info(`stopping on ${signal}`);
    stopping.abort(new Error('stopped before the daemon had started'));
    // A start that is under way comes to its end first, without its waits: half of it could not be taken down in order.
    void starting.then((daemon) => daemon.stop()).then(() => process.exit(0));
  });
}
try {
  await starting;
} catch (error) {
  if (error === stopping.signal.reason) process.exit(0);
  const message = error instanceof Error ? error.message : String(error);
  log.fatal(config.logLevel === 'debug' ? { err: error } : {}, message);
  process.exit(1);
}
