/**
 * How is a source followed that breaks now and then? List once, then watch, for ever: after any error or end the
 * reflector connects again with jittered back-off, from the last version that it saw, or with a fresh list when that
 * version is gone. A connection on which nothing is heard for too long counts as broken.
 */
import type { Logger } from 'pino';
import { sleep, type Clock } from '../clock.ts';
import { fullJitterMs, type BackoffOptions } from './backoff.ts';
import { openConnection, SilenceError, type Connection } from './connection.ts';
import type { RestartCause } from './metrics.ts';

export interface ListPage<T> {
  readonly items: readonly T[];
  /** A watch from here misses nothing that came after the list. */
  readonly resourceVersion: string;
  /** Present when there is more. */
  readonly continue?: string | undefined;
}

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** Where objects come from. Every object that it gives is a fresh one: the informer freezes it. */
export interface InformerSource<T> {
  list(options: { readonly continue?: string; readonly signal: AbortSignal }): Promise<ListPage<T>>;
  /**
   * All changes after `resourceVersion`, in order. Sends a bookmark once the backlog is through and every so often
   * from then on, which tells a quiet source from a dead one. A deleted object carries the version of its deletion.
   */
  watch(options: {
    readonly resourceVersion: string;
    readonly signal: AbortSignal;
  }): AsyncIterable<WatchEvent<T>>;
}

/** Who is told what the source holds. */
export interface Sink<T> {
  /** These objects and no others exist. */
  replace(objects: readonly T[]): void;
  /** The object was added or has changed. */
  upsert(object: T): void;
  /** The object is gone. */
  remove(object: T): void;
  /** Something was heard on the watch, so it stands. */
  connected(): void;
  disconnected(cause: RestartCause): void;
}

export interface ReflectorOptions<T> {
  readonly source: InformerSource<T>;
  readonly sink: Sink<T>;
  readonly identify: (object: T) => { readonly resourceVersion: string };
  /** Whether an error means that the version asked for is too old to continue from. */
  readonly isGone: (error: unknown) => boolean;
  /** A source that says nothing for this long is taken for dead; two of its bookmark intervals. */
  readonly silentMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const RECONNECT: BackoffOptions = { baseMs: 250, capMs: 30_000 };
/** The end of a connection that lasted this long starts the back-off anew: servers end watches every few minutes. */
const STEADY_MS = 5_000;
/** After so many short connections in a row the version itself is suspect: not every source says Gone in known words. */
const FAILURES_BEFORE_RELIST = 5;
/** A list with more pages than this has no end. */
const MAX_PAGES = 10_000;

/** Follows the source until `signal` aborts. Never rejects. */
export async function reflect<T>(options: ReflectorOptions<T>, signal: AbortSignal): Promise<void> {
  const { sink, clock, log } = options;
  let resourceVersion: string | undefined;
  let failures = 0;
  const isStopped = () => signal.aborted;

  /** One connection, from its beginning to its end. */
  async function connect(connection: Connection): Promise<void> {
    if (resourceVersion === undefined) {
      const list = await listAll(options.source, connection);
      sink.replace(list.items);
      resourceVersion = list.resourceVersion;
    }
    for await (const event of watchAll(options.source, connection, resourceVersion)) {
      sink.connected();
      apply(sink, event);
      resourceVersion =
        event.type === 'BOOKMARK' ? event.resourceVersion : options.identify(event.object).resourceVersion;
    }
  }

  while (!isStopped()) {
    const startedAt = clock.monotonic();
    const connection = openConnection({ ...options, stop: signal });
    const end = await connect(connection).then(
      () => ({ cause: 'ended', message: 'the watch ended' }) as const,
      (error: unknown) => ({ cause: causeOf(error, options.isGone), message: messageOf(error) }),
    );
    connection.close();
    if (isStopped()) return;
    sink.disconnected(end.cause);
    failures = clock.monotonic() - startedAt < STEADY_MS ? failures + 1 : 1;
    if (end.cause === 'gone' || failures % FAILURES_BEFORE_RELIST === 0) resourceVersion = undefined;
    const retryAfterMs = fullJitterMs({ ...RECONNECT, attempt: failures, random: clock.random() });
    log[end.cause === 'ended' ? 'debug' : 'warn'](
      { cause: end.cause, retryAfterMs },
      `connecting again: ${end.message}`,
    );
    await sleep(clock, retryAfterMs, signal);
  }
}

/** Every page of the list. Its version is the first page's: what changed while paging is then watched once more. */
async function listAll<T>(source: InformerSource<T>, connection: Connection): Promise<ListPage<T>> {
  const { signal } = connection;
  const first = await connection.heard(source.list({ signal }));
  const items = [...first.items];
  let next = first.continue;
  for (let pages = 1; next !== undefined; pages += 1) {
    if (pages === MAX_PAGES) throw new Error(`cannot list: there are more than ${MAX_PAGES} pages`);
    const page = await connection.heard(source.list({ signal, continue: next }));
    for (const item of page.items) items.push(item);
    next = page.continue;
  }
  return { items, resourceVersion: first.resourceVersion };
}

/** Every event until the source ends the watch. */
async function* watchAll<T>(source: InformerSource<T>, connection: Connection, resourceVersion: string) {
  const iterator = source.watch({ resourceVersion, signal: connection.signal })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await connection.heard(iterator.next());
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    // Not awaited: a source that does not heed its signal would hold up the next connection. Its last words are
    // of no use to anybody.
    Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

function apply<T>(sink: Sink<T>, event: WatchEvent<T>): void {
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
      sink.upsert(event.object);
      return;
    case 'DELETED':
      sink.remove(event.object);
      return;
    case 'BOOKMARK':
      return;
    default:
      event satisfies never;
  }
}

function causeOf(error: unknown, isGone: (error: unknown) => boolean): RestartCause {
  if (isGone(error)) return 'gone';
  return error instanceof SilenceError ? 'silent' : 'error';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : `a ${typeof error} was thrown`;
}
