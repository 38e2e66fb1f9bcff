/**
 * How does a process learn at once that something was written? One connection holds every LISTEN of the process.
 * A notification is only a wake-up: the rows carry the truth, and whoever listens also looks on its own now and
 * then. So a lost notification or a lost connection costs time, never a change.
 */
import pg from 'pg';
import type { Logger } from 'pino';
import { sleep, type Clock } from '../clock.ts';
import { toDatabaseError } from './errors.ts';
import { within } from './within.ts';

/** Called with the payload of a notification, or with undefined when some may have been missed: then look. */
export type WakeUp = (payload: string | undefined) => void;

export interface Listener {
  /** Wakes on every notification of the channel until the returned function is called. Must not throw. */
  listen(channel: string, wakeUp: WakeUp): () => void;
  close(): Promise<void>;
}

/** A connection that is silent for this long is asked whether it still lives: a half-open one never speaks. */
const PROBE_INTERVAL_MS = 30_000;
const ANSWER_TIMEOUT_MS = 5_000;
const SHORTEST_BACK_OFF_MS = 100;
const LONGEST_BACK_OFF_MS = 10_000;

/** The connection is opened with the first listener and stays until `close`. */
export function createListener(options: { config: pg.ClientConfig; log: Logger; clock: Clock }): Listener {
  const { clock, log } = options;
  const channels = new Map<string, Set<WakeUp>>();
  const stopped = new AbortController();
  let asked: Asked | undefined;
  let running: Promise<void> | undefined;

  const wakeAll = () => channels.forEach((wakeUps) => wakeUps.forEach((wakeUp) => wakeUp(undefined)));

  /** Listens until the connection ends; resolves with the cause, or undefined when we were stopped. */
  async function serve(): Promise<string | undefined> {
    const connection = new pg.Client({ ...options.config, query_timeout: ANSWER_TIMEOUT_MS });
    const ended = new AbortController();
    connection.on('error', () => ended.abort());
    connection.on('end', () => ended.abort());
    connection.on('notification', ({ channel, payload }) =>
      channels.get(channel)?.forEach((wakeUp) => wakeUp(payload ?? '')),
    );
    const until = AbortSignal.any([stopped.signal, ended.signal]);
    try {
      await connection.connect();
      const ask = oneByOne(connection);
      const known = [...channels.keys()];
      // Before the first answer: a channel that comes while it is awaited is asked for by whoever brings it.
      asked = { ask, giveUp: () => ended.abort() };
      await ask(known.map(listenStatement).join('; '));
      wakeAll();
      for (;;) {
        await sleep(clock, PROBE_INTERVAL_MS, until);
        if (until.aborted) break;
        await ask('SELECT 1');
      }
      return stopped.signal.aborted ? undefined : 'the connection was lost';
    } catch (error) {
      return toDatabaseError(error).message;
    } finally {
      asked = undefined;
      // Not awaited for longer than an answer may take: the socket may be half-open.
      await within(
        connection.end().catch(() => undefined),
        { clock, limitMs: ANSWER_TIMEOUT_MS },
      );
    }
  }

  return {
    listen(channel, wakeUp) {
      const wakeUps = channels.get(channel) ?? new Set();
      channels.set(channel, wakeUps.add(wakeUp));
      // The first listener of a channel may have missed what was sent before the statement took effect.
      if (wakeUps.size === 1 && asked !== undefined)
        asked.ask(listenStatement(channel)).then(wakeAll, asked.giveUp);
      running ??= keepServing({ serve, clock, log, signal: stopped.signal });
      return () => wakeUps.delete(wakeUp);
    },
    async close() {
      stopped.abort();
      await running;
    },
  };
}

/** The connection that listens at present. */
interface Asked {
  readonly ask: (text: string) => Promise<unknown>;
  /** Has it opened anew. */
  readonly giveUp: () => void;
}

/** Statements one after the other: the driver does not queue them for us. */
function oneByOne(connection: pg.Client): Asked['ask'] {
  let last: Promise<unknown> = Promise.resolve();
  return (text) => {
    const answer = last.then(() => connection.query(text));
    last = answer.catch(() => undefined);
    return answer;
  };
}

function listenStatement(channel: string): string {
  return `LISTEN ${pg.escapeIdentifier(channel)}`;
}

/** Opens the connection again whenever it is lost, with back-off. */
async function keepServing(options: {
  readonly serve: () => Promise<string | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { clock, signal } = options;
  for (let failures = 0; ; failures += 1) {
    const startedAt = clock.monotonic();
    const cause = await options.serve();
    if (cause === undefined || signal.aborted) return;
    if (clock.monotonic() - startedAt > PROBE_INTERVAL_MS) failures = 0;
    options.log.warn(
      { cause },
      'lost the connection that listens for changes; looking at intervals until it is back',
    );
    const backOffMs = Math.min(SHORTEST_BACK_OFF_MS * 2 ** Math.min(failures, 10), LONGEST_BACK_OFF_MS);
    await sleep(clock, backOffMs * (0.5 + clock.random() / 2), signal);
  }
}
