/**
 * What does the source hold, without asking it each time? A cache that follows its source, and tells whoever wants
 * to know what changed. It is as fresh as `healthy` says, and says nothing about absence before it is `synced`.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { createCache, type Cache, type Change, type Identity, type Indexes } from './cache.ts';
import type { InformerMeter, RuntimeMetrics } from './metrics.ts';
import { reflect, type InformerSource, type Sink } from './reflector.ts';

export type { Change, Identity } from './cache.ts';
export type { InformerSource, ListPage, WatchEvent } from './reflector.ts';

export interface InformerOptions<T, Name extends string> {
  /** In logs and metrics. */
  readonly name: string;
  readonly source: InformerSource<T>;
  readonly identify: (object: T) => Identity;
  /** Whether an error means that the version asked for is too old to continue from. */
  readonly isGone: (error: unknown) => boolean;
  /** A source that says nothing for this long is taken for dead; two of its bookmark intervals. */
  readonly silentMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly indexes?: Indexes<T, Name>;
  readonly metrics?: RuntimeMetrics;
}

export interface Informer<T, Name extends string = never> {
  get(key: string): T | undefined;
  items(): T[];
  /** Objects for which the index gives the value. */
  byIndex(name: Name, value: string): T[];
  readonly size: number;
  /** True once the first list is in the cache and the handlers know of it; before that, absence means nothing. */
  readonly synced: boolean;
  /** True while synced and following: false from a connection's end until the next one has said something. */
  readonly healthy: boolean;
  /** Resolves when synced, stopped, or aborted: look at `synced` afterwards. */
  waitForSync(signal: AbortSignal): Promise<void>;
  /**
   * Calls back after every change, when the cache already shows it. An object that was deleted and made again is
   * two changes. A handler that throws is logged, and called again the next time. Answers with what takes it off.
   */
  onChange(handler: (change: Change<T>) => void): () => void;
  start(): void;
  /** Resolves when the source is no longer read. The cache keeps what it held. A stopped informer stays so. */
  stop(): Promise<void>;
}

export function createInformer<T extends object, Name extends string = never>(
  options: InformerOptions<T, Name>,
): Informer<T, Name> {
  return new Follower(options);
}

class Follower<T extends object, Name extends string> implements Informer<T, Name> {
  readonly #options: InformerOptions<T, Name>;
  readonly #log: Logger;
  readonly #cache: Cache<T, Name>;
  readonly #meter: InformerMeter | undefined;
  readonly #handlers = new Set<(change: Change<T>) => void>();
  readonly #waiting = new Set<() => void>();
  readonly #stopping = new AbortController();
  #reflecting: Promise<void> | undefined;
  #connected = false;
  #synced = false;

  constructor(options: InformerOptions<T, Name>) {
    this.#options = options;
    this.#log = options.log.child({ informer: options.name });
    this.#cache = createCache(options);
    this.#meter = options.metrics?.informer(options.name, this);
  }

  get(key: string): T | undefined {
    return this.#cache.get(key);
  }

  items(): T[] {
    return this.#cache.items();
  }

  byIndex(name: Name, value: string): T[] {
    return this.#cache.byIndex(name, value);
  }

  get size(): number {
    return this.#cache.size;
  }

  get synced(): boolean {
    return this.#synced;
  }

  get healthy(): boolean {
    return this.#synced && this.#connected;
  }

  waitForSync(signal: AbortSignal): Promise<void> {
    if (this.#synced || this.#stopping.signal.aborted || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = () => {
        this.#waiting.delete(finish);
        signal.removeEventListener('abort', finish);
        resolve();
      };
      this.#waiting.add(finish);
      signal.addEventListener('abort', finish, { once: true });
    });
  }

  onChange(handler: (change: Change<T>) => void): () => void {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  start(): void {
    this.#reflecting ??= reflect(
      { ...this.#options, log: this.#log, sink: this.#sink() },
      this.#stopping.signal,
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#connected = false;
    for (const finish of this.#waiting) finish();
    await this.#reflecting;
  }

  #sink(): Sink<T> {
    return {
      replace: (objects) => {
        this.#notify(this.#cache.replace(objects));
        this.#synced = true;
        for (const finish of this.#waiting) finish();
      },
      upsert: (object) => this.#notify(this.#cache.upsert(object)),
      remove: (object) => this.#notify(this.#cache.remove(object)),
      connected: () => {
        this.#connected = true;
      },
      disconnected: (cause) => {
        this.#connected = false;
        this.#meter?.restarted(cause);
      },
    };
  }

  #notify(changes: readonly Change<T>[]): void {
    for (const change of changes) {
      for (const handler of this.#handlers) this.#call(handler, change);
    }
  }

  #call(handler: (change: Change<T>) => void, change: Change<T>): void {
    try {
      handler(change);
    } catch (error) {
      const err = error instanceof Error ? error : new Error(`a ${typeof error} was thrown`);
      this.#log.error({ err, key: change.key }, 'a change handler has thrown, this is a bug');
    }
  }
}
