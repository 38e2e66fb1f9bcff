/**
 * How do watchers learn of changes, in the order of commit and without a gap? One tail reads the feed while anybody
 * watches, and keeps the newest changes in memory. Each watcher has only a position: it takes what follows from
 * memory, or from the table when it is further behind. So a slow watcher costs nothing, and nobody waits for it.
 */
import { sql } from 'kysely';
import type { Clock } from '../../clock.ts';
import type { Database } from '../../database/connection.ts';
import { attempt } from '../../database/errors.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { GoneError, InvalidError, type TenantStore, type WatchEvent } from '../store.ts';
import { createBell, type Bell } from './bell.ts';
import type { Decoder } from './decode.ts';
import { TENANTS_CHANNEL, type ChangeRow, type StoreDatabase } from './tables.ts';

export interface FeedOptions {
  readonly db: StoreDatabase;
  readonly listen: Database['listen'];
  readonly decode: Decoder;
  readonly clock: Clock;
  /** How often the tail looks without having been woken: the bound on what a lost notification costs. */
  readonly pollIntervalMs: number;
  readonly bookmarkIntervalMs: number;
  /** Changes kept in memory for watchers that are nearly up to date. */
  readonly cacheSize: number;
}

interface FedChange {
  readonly revision: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly tenant: Tenant;
}

/** Some of the changes after a position, and the revision up to which there are no others. */
interface Page {
  readonly changes: readonly FedChange[];
  readonly upTo: number;
}

/** The newest changes: all with a revision above `from` and up to `head`. Undefined until the first look. */
interface Tail {
  newest:
    { readonly from: number; readonly head: number; readonly changes: readonly FedChange[] } | undefined;
  /** Set when the tail has ended because the feed could not be read: every watcher ends with it. */
  failure: unknown;
  readonly advanced: Bell;
  readonly ended: AbortController;
  watchers: number;
}

const PAGE_SIZE = 200;

export interface Feed {
  readonly watch: TenantStore['watch'];
  /** Ends every watch with an error; resolves when nothing reads any more. */
  close(): Promise<void>;
}

export function createFeed(options: FeedOptions): Feed {
  const { clock } = options;
  let tail: Tail | undefined;
  let following: Promise<void> = Promise.resolve();
  let closed = false;

  function join(): Tail {
    if (closed) throw new Error('cannot watch tenants: the store is closed');
    if (tail === undefined) {
      const fresh = {
        newest: undefined,
        failure: undefined,
        advanced: createBell(clock),
        ended: new AbortController(),
        watchers: 0,
      };
      tail = fresh;
      following = follow(options, fresh).finally(() => {
        if (tail === fresh) tail = undefined;
      });
    }
    tail.watchers += 1;
    return tail;
  }

  function leave(left: Tail): void {
    left.watchers -= 1;
    if (left.watchers > 0) return;
    left.ended.abort();
    if (tail === left) tail = undefined;
  }

  return {
    watch: (watched) => watchFrom(options, { ...watched, join, leave }),
    async close() {
      closed = true;
      if (tail !== undefined) end(tail, new Error('cannot watch tenants: the store is closed'));
      await following;
    },
  };
}

type Watched = Parameters<Feed['watch']>[0];

/** One watcher's walk along the feed. Nothing happens before the first `next()`. */
async function* watchFrom(
  options: FeedOptions,
  watched: Watched & { readonly join: () => Tail; readonly leave: (tail: Tail) => void },
): AsyncGenerator<WatchEvent> {
  const { clock, bookmarkIntervalMs } = options;
  const { signal } = watched;
  let position = parseRevision(watched.resourceVersion);
  const tail = watched.join();
  try {
    for (let bookmarkAt = clock.monotonic(); !signal.aborted;) {
      // Counted before looking, so that what happens while looking ends the wait below.
      const seen = tail.advanced.rings;
      if (tail.failure !== undefined) throw asError(tail.failure);
      const page = recall(tail, position) ?? (await readFeed(options, position));
      yield* tell(page.changes, watched);
      position = page.upTo;
      if (page.changes.length > 0) continue;
      if (clock.monotonic() >= bookmarkAt) {
        bookmarkAt = clock.monotonic() + bookmarkIntervalMs;
        yield { type: 'BOOKMARK', resourceVersion: String(position) };
      }
      await tail.advanced.wait({ seen, limitMs: bookmarkAt - clock.monotonic(), signal });
    }
  } finally {
    watched.leave(tail);
  }
}

function* tell(changes: readonly FedChange[], { namespace, signal }: Watched): Generator<WatchEvent> {
  for (const { type, tenant } of changes) {
    // The consumer may have aborted while it had the change before this one.
    if (signal.aborted) return;
    if (namespace === undefined || tenant.metadata.namespace === namespace) yield { type, tenant };
  }
}

/** Reads the feed's end into memory until the tail is ended; woken by notifications, and by the clock without them. */
async function follow(options: FeedOptions, tail: Tail): Promise<void> {
  const written = createBell(options.clock);
  const unlisten = options.listen(TENANTS_CHANNEL, () => written.ring());
  const { signal } = tail.ended;
  try {
    while (!signal.aborted) {
      const seen = written.rings;
      const { newest } = tail;
      const page = await readFeed(options, newest?.head);
      tail.newest = extend(newest ?? { from: page.upTo, changes: [] }, page, options.cacheSize);
      if (page.upTo !== newest?.head) tail.advanced.ring();
      if (page.changes.length < PAGE_SIZE)
        await written.wait({ seen, limitMs: options.pollIntervalMs, signal });
    }
  } catch (error) {
    end(tail, error);
  } finally {
    unlisten();
  }
}

function end(tail: Tail, failure: unknown): void {
  tail.failure ??= failure;
  tail.ended.abort();
  tail.advanced.ring();
}

function extend(
  newest: { readonly from: number; readonly changes: readonly FedChange[] },
  page: Page,
  cacheSize: number,
): Tail['newest'] {
  const changes = [...newest.changes, ...page.changes];
  const dropped = changes.splice(0, Math.max(0, changes.length - cacheSize));
  return { from: dropped.at(-1)?.revision ?? newest.from, head: page.upTo, changes };
}

/** What follows a position, from memory. Undefined when memory does not reach back that far, or not yet that far on. */
function recall({ newest }: Tail, position: number): Page | undefined {
  if (newest === undefined || position < newest.from || position > newest.head) return undefined;
  if (position === newest.head) return { changes: [], upTo: position };
  // From the end: most watchers are only a change or two behind.
  const seen = newest.changes.findLastIndex((change) => change.revision <= position);
  return { changes: newest.changes.slice(seen + 1), upTo: newest.head };
}

/** Reads a page of the feed, or with no position only where it ends. Throws GoneError. */
function readFeed({ db, decode }: FeedOptions, position?: number): Promise<Page> {
  return attempt('watch tenants', async () => {
    // One statement is one snapshot: the bounds fit the rows.
    const { rows } = await sql<
      { head: number; compacted: number } & Nullable<Pick<ChangeRow, 'revision' | 'type' | 'after'>>
    >`
      SELECT tenant_revision.value AS head, tenant_compaction.revision AS compacted, change.*
      FROM tenant_revision CROSS JOIN tenant_compaction LEFT JOIN LATERAL (
        SELECT revision, type, after FROM tenant_changes
        WHERE revision > ${position ?? null}::bigint ORDER BY revision LIMIT ${PAGE_SIZE}
      ) AS change ON true ORDER BY change.revision`.execute(db);
    const [bounds] = rows;
    if (bounds === undefined) throw new Error('cannot watch tenants: the table tenant_revision is empty');
    if (position === undefined) return { changes: [], upTo: bounds.head };
    if (position < bounds.compacted || position > bounds.head)
      throw new GoneError(
        `cannot watch tenants from resourceVersion "${position}": it is no longer kept; list anew`,
      );
    const changes = rows.flatMap(({ revision, type, after }) =>
      revision === null || type === null ? [] : [{ revision, type, tenant: decode.object(after, revision) }],
    );
    const full = changes.length === PAGE_SIZE ? changes.at(-1) : undefined;
    return { changes, upTo: full?.revision ?? bounds.head };
  });
}

type Nullable<T> = { readonly [Key in keyof T]: T[Key] | null };

function parseRevision(resourceVersion: string): number {
  const revision = /^\d{1,15}$/.test(resourceVersion) ? Number(resourceVersion) : undefined;
  if (revision !== undefined) return revision;
  const message = 'must be one that a list, a watch or a write has answered with';
  throw new InvalidError(`cannot watch tenants: resourceVersion ${message}`, [
    { path: 'resourceVersion', message },
  ]);
}

function asError(failure: unknown): Error {
  return failure instanceof Error ? failure : new Error(String(failure));
}
