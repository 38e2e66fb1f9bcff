/**
 * Who looks after the embedded server while it runs? A server that dies by itself is started again with back-off,
 * on the same port, so that the pool finds it there; and it is ended when Landlord ends, however that comes about.
 */
import type { Logger } from 'pino';
import { sleep, type Clock } from '../clock.ts';
import type { RunningServer } from './embedded-server.ts';

const SHORTEST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
/** 250 ms doubled ten times is beyond the longest pause. */
const MOST_DOUBLINGS = 10;

/** Starts the server again whenever it dies by itself. Returns what ends it for good. */
export function keepRunning(options: {
  readonly running: RunningServer;
  readonly restart: () => Promise<RunningServer>;
  readonly log: Logger;
  readonly clock: Clock;
}): () => Promise<void> {
  const { log, clock } = options;
  const stopped = new AbortController();
  let running: RunningServer | undefined = options.running;
  const isStopped = () => stopped.signal.aborted;
  const endNow = () => void running?.stop();
  // When Landlord ends without a word (an uncaught error), the signal to the server is still sent.
  process.once('exit', endNow);

  async function restartOnce(failures: number): Promise<void> {
    await sleep(clock, Math.min(SHORTEST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS), stopped.signal);
    if (isStopped()) return;
    try {
      running = await options.restart();
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      log.error({ cause }, 'cannot start the embedded PostgreSQL again');
    }
  }

  async function supervise(): Promise<void> {
    for (let failures = 0; !isStopped(); failures = Math.min(failures + 1, MOST_DOUBLINGS)) {
      if (running !== undefined) {
        const lastWords = await running.exited;
        if (isStopped()) return;
        running = undefined;
        failures = 0;
        log.error({ lastWords }, 'the embedded PostgreSQL died; starting it again');
      }
      await restartOnce(failures);
    }
    await running?.stop(); // Stopped in the middle of a restart.
  }

  const supervised = supervise();
  return async () => {
    stopped.abort();
    process.off('exit', endNow);
    await running?.stop();
    await supervised;
  };
}
