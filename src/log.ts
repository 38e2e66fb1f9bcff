/** Where do log lines go? JSON in production, readable lines in development; secrets are cut out of both. */
import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';

/** Keys whose values never reach a log line, wherever they stand in what is logged. */
const SECRET_KEYS = ['authorization', 'password', 'token', 'secret', 'cookie', 'DATABASE_URL', 'JWT_SECRET'];

export function createLogger(options: { readonly level: string; readonly readable: boolean }): Logger {
  const settings = {
    level: options.level,
    base: null,
    redact: {
      paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
      censor: '[redacted]',
    },
  };
  if (!options.readable) return pino(settings);
  // Lines are written at once: the last ones before a crash are the ones that matter.
  return pino(
    settings,
    pretty({
      sync: true,
      translateTime: 'SYS:HH:MM:ss.l',
      // What a person needs of these is in the message.
      ignore: 'pid,hostname,controller,key,passId,phase,reason',
      messageFormat: '{msg}',
      hideObject: false,
      singleLine: true,
    }),
  );
}
