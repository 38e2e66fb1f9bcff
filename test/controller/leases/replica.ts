/**
 * One replica of a test: an elector with a way to the leases and a clock of its own, that can be cut off, stand still
 * like a stopped process, die, and have its wall clock set. All replicas share one true time.
 */
import type { Clock } from '../../../src/clock.ts';
import { createElector, type Elector } from '../../../src/controller/leases/elector.ts';
import type { Holding } from '../../../src/controller/leases/holdings.ts';
import { silentLog } from '../../support/database.ts';
import type { FakeClock } from '../../support/fake-clock.ts';
import type { Fate, MemoryLeases } from './memory-backend.ts';

export interface TestReplica {
  readonly identity: string;
  readonly elector: Elector;
  /** Every holding that it ever had, oldest first. */
  readonly holdings: readonly Holding[];
  /** Shards that it may act on at this moment. */
  acting(): readonly Holding[];
  /** What becomes of its calls from now on. */
  fate: () => Fate;
  /** Stands still: no timer fires and no answer arrives until `resume`. */
  pause(): void;
  /** What came in the meantime happens now, one thing after the other. */
  resume(): Promise<void>;
  /** Sets its wall clock forward or back. */
  jump(byMs: number): void;
  /** Shards for which `lost` was called. */
  readonly lost: number[];
  /** Ends as a crash would: nothing of it happens any more. */
  kill(): void;
  readonly alive: boolean;
}

export const WELL = (): Fate => ({ kind: 'answered', delayMs: 10 });

export function createReplica(options: {
  readonly identity: string;
  readonly leases: MemoryLeases;
  readonly clock: FakeClock;
  /** How long it takes to finish what is under way in a shard that is given up. */
  readonly yieldMs?: number;
}): TestReplica {
  const { identity, leases, clock, yieldMs = 100 } = options;
  const holdings: Holding[] = [];
  const lost: number[] = [];
  const gate = createGate(() => clock.settle());
  let jumped = 0;
  const own: Clock = {
    now: () => clock.now() + jumped,
    monotonic: () => clock.monotonic(),
    random: () => clock.random(),
    setTimer: (delayMs, callback) => clock.setTimer(delayMs, () => gate.pass(callback)),
  };
  const through = <T>(answer: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      answer.then(
        (value) => gate.pass(() => resolve(value)),
        (error: unknown) =>
          gate.pass(() => reject(error instanceof Error ? error : new Error('something else was thrown'))),
      );
    });
  const backend = leases.backend(() => replica.fate());
  const elector = createElector({
    identity,
    clock: own,
    log: silentLog(),
    backend: {
      list: (signal) => through(backend.list(signal)),
      put: (write, signal) => through(backend.put(write, signal)),
      remove: (record, signal) => through(backend.remove(record, signal)),
    },
  });
  const replica: TestReplica = {
    identity,
    elector,
    holdings,
    lost,
    fate: WELL,
    acting: () => holdings.filter((holding) => replica.alive && holding.mayAct()),
    pause: () => gate.close(),
    resume: () => gate.open(),
    jump: (byMs) => void (jumped += byMs),
    kill: () => gate.shut(),
    get alive() {
      return !gate.isShut();
    },
  };
  elector.subscribe({
    acquired: (holding) => void holdings.push(holding),
    yielding: () => new Promise((resolve) => void own.setTimer(yieldMs, resolve)),
    lost: ({ shard }) => void lost.push(shard),
  });
  elector.start();
  return replica;
}

/** Lets things happen, keeps them for later, or swallows them for ever. */
function createGate(settle: () => Promise<void>) {
  const waiting: (() => void)[] = [];
  let state: 'open' | 'closed' | 'shut' = 'open';
  return {
    pass(happen: () => void): void {
      if (state === 'open') happen();
      else if (state === 'closed') waiting.push(happen);
    },
    close: () => void (state = state === 'open' ? 'closed' : state),
    async open(): Promise<void> {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        if (state !== 'shut') next();
        await settle();
      }
      if (state === 'closed') state = 'open';
    },
    shut: () => void (state = 'shut'),
    isShut: () => state === 'shut',
  };
}
