/**
 * How does a call get from a process to what lies outside of it, and what becomes of it? Every call of every process
 * goes through here, is counted by its site, and meets the fate that the history has in store for it.
 */
import { DatabaseError } from '../../src/database/errors.ts';
import type { Fate } from './fate.ts';
import type { Kernel, Process } from './kernel.ts';
import type { Trace } from './trace.ts';

/** The n-th call of an operation, by whomever, since the history began, and perhaps some that follow it. */
export interface Fault {
  /** Such as `fly.Machines_create`, `store.updateStatus`, `vault.rotate`. */
  readonly site: string;
  /** Counted from 1. */
  readonly occurrence: number;
  /** How many calls in a row; 1 when absent. */
  readonly times?: number;
  readonly fate: Fate;
}

/** A fault that has hit a call. */
export interface Hit extends Fault {
  /** Undefined: the call was about no app of Fly. */
  readonly app: string | undefined;
  readonly atMs: number;
}

/** What a database makes of the statements of one call. */
export interface Statements {
  /** One at a time for each such lock, also of those whose callers have gone. */
  readonly lock?: string;
  /** A transaction of several statements: without its caller it is rolled back, and never comes late. */
  readonly transaction?: true;
}

export interface Wire {
  /** A call begins, perhaps about an app: counts it, and says what is to become of it. Undefined: what usually does. */
  begin(process: Process, site: string, app?: string): Fate | undefined;
  /** A call to a database, or to what keeps its state in one. `share`: how much of the work gets done, 1 for all. */
  call<T>(
    process: Process,
    call: { readonly site: string } & Statements,
    perform: (share: number) => T,
  ): Promise<T>;
  /** Kills the process now. */
  crash(process: Process): void;
  /** Kills the process once it has done what it can do without another call. */
  crashSoon(process: Process): void;
  /** What belongs to no process that can die. */
  readonly outside: Process;
  /** How often each site was called. */
  readonly calls: ReadonlyMap<string, number>;
  /** Faults that have hit a call. */
  readonly hits: readonly Hit[];
  /** The effect of a call will take place so much later, after its caller has given up. */
  overdue(delayMs: number): void;
  /** When the last of those effects takes place, or took place, in milliseconds since the epoch; 0: there are none. */
  readonly overdueUntilMs: number;
  /** From now on every call goes well. */
  heal(): void;
}

/** Of the network within one data centre, one way. */
const LOCAL_MS = [1, 4] as const;
/** When a caller of a database gives up. */
const PATIENCE_MS = 15_000;
/** How long a statement goes on at the server after its connection was lost: less than its time-out there. */
const OVERDUE_MS = [500, 10_000] as const;

export function createWire(options: {
  readonly kernel: Kernel;
  readonly trace: Trace;
  readonly faults: readonly Fault[];
  /** Told of every death, after it. */
  readonly onCrash: (process: Process) => void;
  /** Told of every call that begins, before it meets its fate. */
  readonly onCall?: ((call: { readonly site: string; readonly occurrence: number }) => void) | undefined;
}): Wire {
  const { kernel, trace } = options;
  const outside = kernel.spawn('outside');
  const calls = new Map<string, number>();
  const met: Hit[] = [];
  /** Until when each lock is held by a statement whose caller has gone. */
  const locks = new Map<string, number>();
  let healed = false;
  let overdueUntilMs = 0;

  function overdue(delayMs: number): void {
    overdueUntilMs = Math.max(overdueUntilMs, kernel.now() + delayMs);
  }

  function begin(process: Process, site: string, app?: string): Fate | undefined {
    const occurrence = (calls.get(site) ?? 0) + 1;
    calls.set(site, occurrence);
    options.onCall?.({ site, occurrence });
    const fault = healed
      ? undefined
      : options.faults.find((one) => one.site === site && hits(one, occurrence));
    trace.add(`${process.name} ${site} ${occurrence}${fault === undefined ? '' : ` !${fault.fate}`}`);
    if (fault !== undefined) met.push({ ...fault, app, atMs: kernel.now() });
    return fault?.fate;
  }

  function crash(process: Process): void {
    if (!process.alive) return;
    trace.add(`${process.name} dies`);
    process.kill();
    options.onCrash(process);
  }

  function crashSoon(process: Process): void {
    process.later(0, () => crash(process));
  }

  function call<T>(
    process: Process,
    { site, lock = '', transaction }: { readonly site: string } & Statements,
    perform: (share: number) => T,
  ): Promise<T> {
    const fate = begin(process, site);
    return new Promise((resolve, reject) => {
      const fail = (afterMs: number, kind: 'unavailable' | 'busy' = 'unavailable'): void =>
        void process.later(afterMs, () => reject(new DatabaseError(WORDS[kind], { kind })));
      const there = kernel.draw(LOCAL_MS) + Math.max(0, (locks.get(lock) ?? 0) - kernel.now());
      const back = kernel.draw(LOCAL_MS);
      const work = (delayMs: number, then: (outcome: () => T) => void, share = 1): void =>
        void outside.later(delayMs, () => then(settled(() => perform(share))));
      const answer = (outcome: () => T): void =>
        void process.later(back, () => {
          settleWith(outcome, resolve, reject);
          if (fate === 'crash-after-answer') crashSoon(process);
        });
      switch (fate) {
        case 'crash-before':
          crash(process);
          return;
        case 'request-lost':
          fail(PATIENCE_MS);
          return;
        case 'answer-lost':
          work(there, () => fail(back), kernel.random());
          return;
        case 'crash-on-effect':
          work(there, () => crash(process), kernel.random());
          return;
        case 'answer-late':
          work(there, () => undefined);
          fail(PATIENCE_MS);
          return;
        case 'effect-late': {
          const lateMs = there + kernel.draw(OVERDUE_MS);
          fail(there + back);
          if (transaction) return;
          if (lock !== '') locks.set(lock, kernel.now() + lateMs);
          overdue(lateMs);
          work(lateMs, () => undefined);
          return;
        }
        case 'unavailable':
        case 'busy':
          fail(there + back, fate);
          return;
        default:
          work(there, answer);
      }
    });
  }

  return {
    ...{ begin, call, crash, crashSoon, outside, calls, hits: met, overdue },
    get overdueUntilMs() {
      return overdueUntilMs;
    },
    heal: () => void (healed = true),
  };
}

function hits({ occurrence: first, times = 1 }: Fault, occurrence: number): boolean {
  return occurrence >= first && occurrence < first + times;
}

const WORDS = { unavailable: 'the connection was lost', busy: 'a lock was not free in time' };

/** The outcome of work that was done, to be had later. */
function settled<T>(work: () => T): () => T {
  try {
    const result = work();
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function settleWith<T>(
  outcome: () => T,
  resolve: (result: T) => void,
  reject: (error: unknown) => void,
): void {
  try {
    resolve(outcome());
  } catch (error) {
    reject(error);
  }
}
