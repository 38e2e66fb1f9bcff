/**
 * A source that does what a test says, one call at a time, and by itself nothing at all: a list stays unanswered
 * and a watch silent until the test speaks, and neither heeds its signal. That is the worst a real source does.
 */
import type { InformerSource, ListPage, WatchEvent } from '../../src/controller/informer.ts';

export interface ListCall<T> {
  readonly continue: string | undefined;
  readonly signal: AbortSignal;
  readonly answer: (page: ListPage<T>) => void;
  readonly fail: (error: Error) => void;
}

export interface WatchCall<T> {
  readonly resourceVersion: string;
  readonly signal: AbortSignal;
  readonly send: (...events: WatchEvent<T>[]) => void;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
  /** True once the reader has let go of the iteration. */
  readonly returned: () => boolean;
}

export interface ScriptedSource<T> extends InformerSource<T> {
  readonly lists: ListCall<T>[];
  readonly watches: WatchCall<T>[];
}

export function createScriptedSource<T>(): ScriptedSource<T> {
  const lists: ListCall<T>[] = [];
  const watches: WatchCall<T>[] = [];
  return {
    lists,
    watches,
    list: ({ continue: token, signal }) =>
      new Promise((resolve, reject) => {
        lists.push({ continue: token, signal, answer: resolve, fail: reject });
      }),
    watch({ resourceVersion, signal }) {
      const channel = createChannel<WatchEvent<T>>();
      watches.push({ resourceVersion, signal, ...channel.writer });
      return channel.reader;
    },
  };
}

/** Hands over what is written to whoever reads, in order; an end or a failure comes after everything written before. */
function createChannel<E>() {
  const steps: (() => IteratorResult<E>)[] = [];
  const readers: { resolve: (result: IteratorResult<E>) => void; reject: (error: unknown) => void }[] = [];
  let returned = false;

  function push(step: () => IteratorResult<E>): void {
    steps.push(step);
    pump();
  }

  function pump(): void {
    while (readers.length > 0 && steps.length > 0) {
      const reader = readers.shift()!;
      const step = steps.shift()!;
      try {
        reader.resolve(step());
      } catch (error) {
        reader.reject(error);
      }
    }
  }

  const iterator: AsyncIterator<E> = {
    next: () =>
      new Promise((resolve, reject) => {
        readers.push({ resolve, reject });
        pump();
      }),
    return: async () => {
      returned = true;
      return { done: true, value: undefined };
    },
  };
  return {
    reader: { [Symbol.asyncIterator]: () => iterator },
    writer: {
      send: (...events: E[]) => {
        for (const value of events) push(() => ({ done: false, value }));
      },
      end: () => push(() => ({ done: true, value: undefined })),
      fail: (error: Error) =>
        push(() => {
          throw error;
        }),
      returned: () => returned,
    },
  };
}
