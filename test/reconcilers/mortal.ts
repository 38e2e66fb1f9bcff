/**
 * A process that dies at the n-th write of a kind: before the write is sent, or when it has taken effect and its answer has not
 * been seen. From then on nothing that the process had begun goes on, and whatever it still wants is never answered.
 */
import type { LoopParts } from './harness.ts';

export interface Death {
  /** Such as `fly.volumes.create`. */
  readonly write: string;
  /** Which of those writes, counted from 1. */
  readonly occurrence: number;
  readonly when: 'before' | 'after';
}

export interface Mortal {
  /** To be given to the process's loop. */
  readonly parts: LoopParts;
  /** Writes so far, such as `fly.volumes.create`, in the order in which they were begun. */
  readonly writes: readonly string[];
  /** Resolves when it has died; never, when it lives through everything. */
  readonly died: Promise<void>;
}

/** Everything that changes nothing. What is not named here is taken for a write, so that none can be forgotten. */
const READS = new Set([
  ...['get', 'getByUid', 'list', 'listAddresses', 'wait', 'getLease', 'getMetadata', 'events', 'resolve'],
  ...['describe', 'reveal', 'list', 'link'],
]);
/** The daemon's eyes, which tell nobody what it does; they end with the loop that they belong to. */
const UNTOUCHED = new Set(['store.list', 'store.watch', 'vault.onChange', 'databases.url', 'fly.close']);
const READ_ROOMS = new Set(['fly.organisation', 'fly.telemetry']);

export function mortal(parts: LoopParts, death?: Death): Mortal {
  const writes: string[] = [];
  let dead = false;
  const isDead = (): boolean => dead;
  let die: () => void = () => undefined;
  const died = new Promise<void>((resolve) => {
    die = () => {
      dead = true;
      resolve();
    };
  });

  const occurrences = (name: string): number => writes.filter((write) => write === name).length;

  async function call(
    name: string,
    isRead: boolean,
    begin: () => Promise<unknown>,
    args: readonly unknown[],
  ) {
    if (isDead()) return silence(args);
    if (!isRead) writes.push(name);
    const fatal = !isRead && name === death?.write && occurrences(name) === death.occurrence;
    if (fatal && death.when === 'before') {
      die();
      return silence(args);
    }
    const answer = await begin().catch((error: unknown) => {
      if (!fatal && !isDead()) throw error;
    });
    if (fatal) die();
    return isDead() ? silence(args) : answer;
  }

  function wrap<T extends object>(target: T, room: string): T {
    return new Proxy(target, {
      get(owner, key) {
        const value: unknown = Reflect.get(owner, key);
        const name = `${room}.${String(key)}`;
        if (typeof value === 'object' && value !== null) return wrap(value, name);
        if (typeof value !== 'function' || UNTOUCHED.has(name)) return value;
        const isRead = READS.has(String(key)) || READ_ROOMS.has(room);
        return (...args: unknown[]) =>
          call(name, isRead, () => Reflect.apply(value, owner, args) as Promise<unknown>, args);
      },
    });
  }

  const { store, fly, vault, databases } = parts;
  return {
    parts: {
      store: wrap(store, 'store'),
      fly: wrap(fly, 'fly'),
      vault: wrap(vault, 'vault'),
      databases: wrap(databases, 'databases'),
    },
    writes,
    died,
  };
}

/** No answer ever; but whoever stopped waiting is let go, so that a test can clear up after the dead. */
function silence(args: readonly unknown[]): Promise<never> {
  const signal = args.find((arg) => arg instanceof AbortSignal);
  return new Promise((_, reject) => {
    const leave = (): void => reject(new Error('the process is dead'));
    if (signal?.aborted === true) leave();
    signal?.addEventListener('abort', leave, { once: true });
  });
}
