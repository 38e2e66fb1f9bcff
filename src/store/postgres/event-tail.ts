/**
 * How do many streams of events cost one query, not one each? While anybody watches, one look at intervals tells for
 * all of them which tenants have newer events; a notification tells it at once for one. Each watcher then reads what
 * is new to it. A lost notification costs one interval.
 */
import { sql } from 'kysely';
import { sleep, type Clock } from '../../clock.ts';
import type { Database } from '../../database/connection.ts';
import type { Bell } from './bell.ts';
import { EVENTS_CHANNEL, type StoreDatabase } from './tables.ts';

export interface EventWatcher {
  /** The tenant's uid, in lowercase. */
  readonly uid: string;
  /** Id of the last event that it has. */
  position: number;
  readonly written: Bell;
}

export interface EventTail {
  /** Rings `watcher.written` whenever there may be more for it, until the returned function is called. */
  follow(watcher: EventWatcher): () => void;
}

export function createEventTail(options: {
  readonly db: StoreDatabase;
  readonly listen: Database['listen'];
  readonly clock: Clock;
  readonly pollIntervalMs: number;
}): EventTail {
  const { db, listen, clock, pollIntervalMs } = options;
  const watchers = new Map<string, Set<EventWatcher>>();
  let stop: (() => void) | undefined;

  function ring(uid: string, newest: number): void {
    for (const watcher of watchers.get(uid) ?? []) if (watcher.position < newest) watcher.written.ring();
  }

  async function look(): Promise<void> {
    const uids = [...watchers.keys()];
    const { rows } = await sql<{ uid: string; newest: number }>`
      SELECT tenant_uid AS uid, max(id) AS newest FROM tenant_events
      WHERE tenant_uid = ANY (${uids}::uuid[]) GROUP BY tenant_uid`.execute(db);
    for (const { uid, newest } of rows) ring(uid, newest);
  }

  /** Starts looking; the returned function ends it. */
  function start(): () => void {
    const over = new AbortController();
    // A look that fails is made good by the next one; who reads meanwhile sees the failure for itself.
    const lookNow = (): Promise<void> => look().catch(() => undefined);
    const unlisten = listen(EVENTS_CHANNEL, (payload) => {
      if (payload === undefined) void lookNow();
      else ring(payload, Number.MAX_SAFE_INTEGER);
    });
    void (async () => {
      for (;;) {
        await sleep(clock, pollIntervalMs, over.signal);
        if (over.signal.aborted) return;
        await lookNow();
      }
    })();
    return () => {
      unlisten();
      over.abort();
    };
  }

  return {
    follow(watcher) {
      const { uid } = watcher;
      watchers.set(uid, (watchers.get(uid) ?? new Set()).add(watcher));
      stop ??= start();
      return () => {
        const left = watchers.get(uid);
        left?.delete(watcher);
        if (left?.size === 0) watchers.delete(uid);
        if (watchers.size > 0) return;
        stop?.();
        stop = undefined;
      };
    },
  };
}
