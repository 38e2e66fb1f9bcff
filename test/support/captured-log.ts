/** A real logger whose lines a test can read. */
import { pino, type Logger } from 'pino';

export interface CapturedLog {
  readonly log: Logger;
  /** Everything that was logged, oldest first. */
  readonly lines: () => Record<string, unknown>[];
}

export function captureLog(): CapturedLog {
  const written: string[] = [];
  return {
    log: pino({ level: 'trace', base: null, timestamp: false }, { write: (line) => void written.push(line) }),
    lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}
