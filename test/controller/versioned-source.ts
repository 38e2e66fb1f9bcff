/**
 * A small store with Kubernetes' semantics: every change has a version, a watch replays what came after one, and
 * versions older than the last compaction are gone. Its lists are no snapshots: what changes between two pages is
 * in one and not in the other. Connections break when a test says so.
 */
import type { InformerSource, WatchEvent } from '../../src/controller/informer.ts';

export interface Thing {
  readonly name: string;
  readonly uid: string;
  readonly version: string;
}

export class TooOldError extends Error {}

const PAGE_SIZE = 2;

export function createVersionedSource() {
  const things = new Map<string, Thing>();
  let history: { version: number; event: WatchEvent<Thing> }[] = [];
  let version = 0;
  let compactedTo = 0;
  /** Wakes every watch that waits for something to happen. */
  const wakes: (() => void)[] = [];
  let broken: 'error' | 'end' | 'silent' | undefined;

  function publish(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: Thing): void {
    history.push({ version, event: { type, object } });
    announce();
  }

  function announce(): void {
    for (const wake of wakes.splice(0)) wake();
  }

  async function* watch(options: {
    resourceVersion: string;
    signal: AbortSignal;
  }): AsyncGenerator<WatchEvent<Thing>> {
    let seen = Number(options.resourceVersion);
    if (seen < compactedTo) throw new TooOldError('too old resource version');
    for (let first = true; !options.signal.aborted;) {
      const news = new Promise<void>((resolve) => wakes.push(resolve));
      if (broken === 'error') throw new Error('connection reset');
      if (broken === 'end') return;
      if (broken === undefined) {
        const fresh = history.filter((entry) => entry.version > seen);
        seen = version;
        yield* fresh.map((entry) => structuredClone(entry.event));
        if (first) yield { type: 'BOOKMARK', resourceVersion: String(seen) };
        first = false;
      }
      await news;
    }
  }

  const source: InformerSource<Thing> = {
    async list({ continue: after = '' }) {
      if (broken === 'error') throw new Error('connection refused');
      const rest = [...things.values()]
        .filter((thing) => thing.name > after)
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      const items = rest.slice(0, PAGE_SIZE).map((thing) => ({ ...thing }));
      const last = items.at(-1);
      return {
        items,
        resourceVersion: String(version),
        ...(rest.length > PAGE_SIZE && last && { continue: last.name }),
      };
    },
    watch,
  };

  return {
    source,
    write(name: string): void {
      version += 1;
      const known = things.get(name);
      const thing = { name, uid: known?.uid ?? `${name}-born-${version}`, version: String(version) };
      things.set(name, thing);
      publish(known ? 'MODIFIED' : 'ADDED', thing);
    },
    remove(name: string): void {
      const known = things.get(name);
      if (!known) return;
      version += 1;
      things.delete(name);
      publish('DELETED', { ...known, version: String(version) });
    },
    compact(): void {
      history = [];
      compactedTo = version;
    },
    /** Breaks every connection, and every new one, until it is healed. */
    break(how: 'error' | 'end' | 'silent'): void {
      broken = how;
      announce();
    },
    heal(): void {
      broken = undefined;
    },
    things: () => [...things.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}
