/**
 * What does a well-behaved watcher see? It starts again from the last version it has seen whenever the watch
 * breaks, as every consumer of TenantStore.watch must, and lets a test wait for a condition instead of for time.
 */
import { GoneError, type TenantStore, type WatchEvent } from '../../src/store/store.ts';
import type { Tenant } from '../../src/tenant/schema.ts';

export interface Follower {
  /** Everything seen so far, in order. */
  readonly seen: readonly WatchEvent[];
  /** How often the watch had to be started again. */
  readonly restarts: number;
  /** Resolves once what was seen meets the condition; rejects when the watch ends with GoneError. */
  until(condition: (seen: readonly WatchEvent[]) => boolean): Promise<readonly WatchEvent[]>;
  /** Aborts the watch and resolves when the iteration has ended. */
  stop(): Promise<void>;
}

/** Follows the changes of one namespace from a version on. */
export function follow(store: TenantStore, from: { resourceVersion: string; namespace?: string }): Follower {
  const stopped = new AbortController();
  const seen: WatchEvent[] = [];
  const waiting = new Set<() => void>();
  let restarts = 0;
  let failure: Error | undefined;

  let position = from.resourceVersion;

  const lookAll = () => [...waiting].forEach((look) => look());

  async function watchOnce(): Promise<void> {
    for await (const event of store.watch({ ...from, resourceVersion: position, signal: stopped.signal })) {
      seen.push(event);
      position = versionOf(event);
      lookAll();
    }
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted && failure === undefined) {
      await watchOnce().catch((error: unknown) => {
        restarts += 1;
        if (!(error instanceof GoneError) && restarts < 1_000) return;
        failure = error instanceof Error ? error : new Error(String(error));
        lookAll();
      });
    }
  }
  const running = run();

  return {
    seen,
    get restarts() {
      return restarts;
    },
    until: (condition) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const met = condition(seen);
          if (!met && failure === undefined) return;
          waiting.delete(look);
          if (met) resolve([...seen]);
          else reject(failure ?? new Error('the watch ended'));
        };
        waiting.add(look);
        look();
      }),
    async stop() {
      stopped.abort();
      await running;
    },
  };
}

export function versionOf(event: WatchEvent): string {
  return event.type === 'BOOKMARK' ? event.resourceVersion : event.tenant.metadata.resourceVersion;
}

/** Changes as short lines, such as `ADDED a`; bookmarks are left out. */
export function changesOf(seen: readonly WatchEvent[]): string[] {
  return seen.flatMap((event) =>
    event.type === 'BOOKMARK' ? [] : [`${event.type} ${event.tenant.metadata.name}`],
  );
}

/** The tenants of all changes, in order. */
export function tenantsOf(seen: readonly WatchEvent[]): Tenant[] {
  return seen.flatMap((event) => (event.type === 'BOOKMARK' ? [] : [event.tenant]));
}
