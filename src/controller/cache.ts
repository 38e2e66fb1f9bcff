/**
 * What did the source last say of each object? A cache by key that tells what changed, knows one object from
 * another that was made later under the same key, and finds objects by indexes. What it hands out is frozen: whoever
 * changed a cached object would change what everybody else decides by.
 */

/** How the cache tells objects apart. */
export interface Identity {
  /** What the work queue calls it; unique among those that exist at one time. */
  readonly key: string;
  /** Differs when an object was deleted and made again under the same key. */
  readonly uid: string;
  /** Differs with every change of the object; compared for equality only. */
  readonly resourceVersion: string;
}

/** One thing that happened to one key. Added: no `before`. Deleted: no `after`. Never without both. */
export interface Change<T> {
  readonly key: string;
  readonly before?: T;
  readonly after?: T;
}

/** The values under which an index finds an object. Must be pure: it is asked again when the object leaves. */
export type Indexes<T, Name extends string> = Readonly<Record<Name, (object: T) => readonly string[]>>;

export interface Cache<T, Name extends string> {
  get(key: string): T | undefined;
  items(): T[];
  byIndex(name: Name, value: string): T[];
  readonly size: number;
  /** The object exists and looks like this. */
  upsert(object: T): Change<T>[];
  /** The object exists no longer. Ignored when another one of a later making has the key by now. */
  remove(object: T): Change<T>[];
  /** These objects and no others exist. */
  replace(objects: Iterable<T>): Change<T>[];
}

interface Entry<T> extends Identity {
  readonly object: T;
}

export function createCache<T extends object, Name extends string>(options: {
  readonly identify: (object: T) => Identity;
  readonly indexes?: Indexes<T, Name>;
}): Cache<T, Name> {
  const entries = new Map<string, Entry<T>>();
  const index = createIndex<T, Name>(options.indexes);

  function put(entry: Entry<T>): void {
    entries.set(entry.key, entry);
    index.add(entry);
  }

  function drop(entry: Entry<T>): Change<T> {
    entries.delete(entry.key);
    index.remove(entry);
    return { key: entry.key, before: entry.object };
  }

  function upsert(object: T): Change<T>[] {
    const identity = options.identify(object);
    const { key, uid, resourceVersion } = identity;
    const known = entries.get(key);
    if (known?.uid === uid && known.resourceVersion === resourceVersion) return [];
    const changes = known ? [drop(known)] : [];
    put({ ...identity, object: deepFreeze(object) });
    if (known?.uid === uid) return [{ key, before: known.object, after: object }];
    return [...changes, { key, after: object }];
  }

  return {
    get: (key) => entries.get(key)?.object,
    items: () => Array.from(entries.values(), (entry) => entry.object),
    byIndex: (name, value) => index.find(name, value).map((entry) => entry.object),
    get size() {
      return entries.size;
    },
    upsert,
    remove(object) {
      const { key, uid } = options.identify(object);
      const known = entries.get(key);
      return known?.uid === uid ? [drop(known)] : [];
    },
    replace(objects) {
      const listed = new Map(Array.from(objects, (object) => [options.identify(object).key, object]));
      const gone = [...entries.values()].filter((entry) => !listed.has(entry.key));
      return [...gone.map(drop), ...[...listed.values()].flatMap(upsert)];
    },
  };
}

/** For each index, the entries under each value. */
function createIndex<T, Name extends string>(indexes: Indexes<T, Name> | undefined) {
  const shelves = Object.entries<(object: T) => readonly string[]>(indexes ?? {}).map(([name, valuesOf]) => ({
    name,
    valuesOf,
    byValue: new Map<string, Set<Entry<T>>>(),
  }));
  return {
    add(entry: Entry<T>): void {
      for (const { valuesOf, byValue } of shelves) {
        for (const value of valuesOf(entry.object)) {
          const found = byValue.get(value);
          if (found) found.add(entry);
          else byValue.set(value, new Set([entry]));
        }
      }
    },
    remove(entry: Entry<T>): void {
      for (const { valuesOf, byValue } of shelves) {
        for (const value of valuesOf(entry.object)) {
          const found = byValue.get(value);
          found?.delete(entry);
          if (found?.size === 0) byValue.delete(value);
        }
      }
    },
    find(name: Name, value: string): Entry<T>[] {
      return [...(shelves.find((shelf) => shelf.name === name)?.byValue.get(value) ?? [])];
    },
  };
}

function deepFreeze<V>(value: V): V {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}
