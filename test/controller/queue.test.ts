import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWorkQueue, PRIORITY, type WorkQueue } from '../../src/controller/queue.ts';
import { FAIR_TURN } from '../../src/controller/schedule.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createQueueModel } from './queue-model.ts';

function setUp() {
  const clock = createFakeClock();
  let readyCalls = 0;
  const queue = createWorkQueue({ clock, onReady: () => (readyCalls += 1) });
  return { clock, queue, readyCalls: () => readyCalls };
}

/** Hands out and ends everything that is ready. */
function drain(queue: WorkQueue): string[] {
  const keys: string[] = [];
  for (let next = queue.take(); next; next = queue.take()) {
    keys.push(next.key);
    queue.done(next.key);
  }
  return keys;
}

describe('a work queue', () => {
  it('hands out a key once, however often it was added', () => {
    const { queue } = setUp();
    queue.add('a');
    queue.add('a');
    queue.add('a', { afterMs: 50 });
    expect(queue.depth).toBe(1);
    expect(drain(queue)).toEqual(['a']);
    expect(queue.size).toBe(0);
  });

  it('hands out keys of one priority in the order in which they became ready', () => {
    const { queue, clock } = setUp();
    queue.add('late', { afterMs: 20 });
    queue.add('early', { afterMs: 10 });
    clock.advanceSync(15);
    queue.add('between');
    clock.advanceSync(5);
    expect(drain(queue)).toEqual(['early', 'between', 'late']);
  });

  it('hands out an edit before retries, steps, drift and the startup, in this order', () => {
    const { queue } = setUp();
    queue.add('startup', { priority: PRIORITY.startup });
    queue.add('drift', { priority: PRIORITY.drift });
    queue.add('step', { priority: PRIORITY.step });
    queue.add('retry', { priority: PRIORITY.retry });
    queue.add('edit', { priority: PRIORITY.edit });
    expect(drain(queue)).toEqual(['edit', 'retry', 'step', 'drift', 'startup']);
  });

  it('keeps the highest priority for which a key was added', () => {
    const { queue } = setUp();
    queue.add('first', { priority: PRIORITY.drift });
    queue.add('second', { priority: PRIORITY.drift });
    queue.add('second', { priority: PRIORITY.edit });
    queue.add('second', { priority: PRIORITY.startup });
    expect(drain(queue)).toEqual(['second', 'first']);
  });

  it('does not hand out a key that is being reconciled, and hands it out again afterwards', () => {
    const { queue } = setUp();
    queue.add('a');
    queue.take();
    queue.add('a');
    expect(queue.take()).toBeUndefined();
    queue.done('a');
    expect(queue.take()?.key).toBe('a');
  });

  it('does not hand out a key again that nobody has added meanwhile', () => {
    const { queue } = setUp();
    queue.add('a');
    queue.take();
    queue.done('a');
    expect(queue.take()).toBeUndefined();
    expect(queue.size).toBe(0);
  });

  it('forgets the delayed wishes that a pass has served', () => {
    const { queue, clock, readyCalls } = setUp();
    queue.add('a', { afterMs: 1_000 });
    queue.add('a');
    expect(drain(queue)).toEqual(['a']);
    const before = readyCalls();
    clock.advanceSync(10_000);
    expect(queue.take()).toBeUndefined();
    expect(readyCalls()).toBe(before);
  });

  it('becomes ready at exactly the earliest time that was wanted', () => {
    const { queue, clock, readyCalls } = setUp();
    queue.add('a', { afterMs: 300 });
    queue.add('a', { afterMs: 100 });
    queue.add('a', { afterMs: 200 });
    clock.advanceSync(99);
    expect(queue.depth).toBe(0);
    expect(readyCalls()).toBe(0);
    clock.advanceSync(1);
    expect(queue.depth).toBe(1);
    expect(readyCalls()).toBe(1);
  });

  it('uses one timer for any number of delayed keys, and none once all are ready', () => {
    const { queue, clock } = setUp();
    for (let n = 0; n < 100; n += 1) queue.add(`key-${n}`, { afterMs: 1 + ((n * 37) % 100) });
    expect(clock.timers).toBe(1);
    clock.advanceSync(100);
    expect(queue.depth).toBe(100);
    expect(clock.timers).toBe(0);
  });

  it('says how long a key waited after the time for which it was wanted', () => {
    const { queue, clock } = setUp();
    queue.add('a', { afterMs: 100 });
    clock.advanceSync(130);
    expect(queue.oldestWaitMs()).toBe(30);
    expect(queue.take()).toEqual({ key: 'a', waitedMs: 30 });
    expect(queue.oldestWaitMs()).toBe(0);
  });

  it('hands out what is due even when its timer is late', () => {
    const { queue, clock } = setUp();
    queue.add('a', { afterMs: 100 });
    clock.stall(100);
    expect(queue.take()?.key).toBe('a');
  });

  it('refuses a delay that is not a finite number and keeps nothing of it', () => {
    const { queue } = setUp();
    expect(() => queue.add('a', { afterMs: Number.NaN })).toThrow(RangeError);
    expect(() => queue.hold('a', { afterMs: Infinity, priority: PRIORITY.retry })).toThrow(RangeError);
    expect(queue.size).toBe(0);
  });

  it('forgets everything when closed, and accepts nothing more', () => {
    const { queue, clock } = setUp();
    queue.add('ready');
    queue.add('delayed', { afterMs: 10 });
    queue.close();
    queue.add('later');
    queue.hold('held', { afterMs: 1, priority: PRIORITY.retry });
    clock.advanceSync(100);
    expect(queue.size).toBe(0);
    expect(queue.take()).toBeUndefined();
    expect(clock.timers).toBe(0);
  });
});

describe('a held key', () => {
  it('is ready at its own time, whatever was wished before or after', () => {
    const { queue, clock } = setUp();
    queue.add('a');
    queue.hold('a', { afterMs: 100, priority: PRIORITY.retry });
    queue.add('a', { priority: PRIORITY.edit });
    clock.advanceSync(99);
    expect(queue.take()).toBeUndefined();
    clock.advanceSync(1);
    expect(queue.take()?.key).toBe('a');
  });

  it('outlasts the wishes that were made while it was being reconciled', () => {
    const { queue, clock } = setUp();
    queue.add('a');
    queue.take();
    queue.add('a');
    queue.hold('a', { afterMs: 100, priority: PRIORITY.retry });
    queue.done('a');
    expect(queue.take()).toBeUndefined();
    clock.advanceSync(100);
    expect(queue.take()?.key).toBe('a');
  });

  it('goes by the next wish once it is released', () => {
    const { queue } = setUp();
    queue.hold('a', { afterMs: 100, priority: PRIORITY.retry });
    queue.release('a');
    expect(queue.take()).toBeUndefined();
    queue.add('a');
    expect(queue.take()?.key).toBe('a');
  });

  it('is an ordinary key again after it was handed out', () => {
    const { queue, clock } = setUp();
    queue.hold('a', { afterMs: 100, priority: PRIORITY.retry });
    clock.advanceSync(100);
    expect(drain(queue)).toEqual(['a']);
    queue.add('a');
    expect(queue.take()?.key).toBe('a');
  });
});

describe('a clock that is set', () => {
  it('back by an hour makes nobody wait longer', () => {
    const { queue, clock } = setUp();
    queue.add('a', { afterMs: 1_000 });
    clock.advanceSync(400);
    clock.step(-3_600_000);
    clock.advanceSync(600);
    expect(queue.take()?.key).toBe('a');
  });

  it('forward by an hour makes nobody wait less', () => {
    const { queue, clock } = setUp();
    queue.add('a', { afterMs: 1_000 });
    clock.step(3_600_000);
    expect(queue.take()).toBeUndefined();
    clock.advanceSync(1_000);
    expect(queue.take()).toEqual({ key: 'a', waitedMs: 0 });
  });
});

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];
const key = fc.constantFrom(...KEYS);
const priority = fc.constantFrom(...Object.values(PRIORITY));
const delayMs = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 40 }));
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('add' as const), key, priority, delayMs }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('hold' as const), key, priority, delayMs }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), key }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('done' as const), which: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('advance' as const), byMs: fc.integer({ min: 1, max: 30 }) }),
  },
);

describe('whatever happens', () => {
  it('the queue does what its model does, and tells of every key that becomes ready', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
        const { queue, clock, readyCalls } = setUp();
        const model = createQueueModel();
        for (const step of operations) {
          const [depthBefore, callsBefore, runningBefore] = [queue.depth, readyCalls(), model.running()];
          switch (step.do) {
            case 'add':
              queue.add(step.key, { priority: step.priority, afterMs: step.delayMs });
              model.add(step.key, step.priority, step.delayMs);
              break;
            case 'hold':
              queue.hold(step.key, { priority: step.priority, afterMs: step.delayMs });
              model.hold(step.key, step.priority, step.delayMs);
              break;
            case 'release':
              queue.release(step.key);
              model.release(step.key);
              break;
            case 'take': {
              const taken = queue.take()?.key;
              expect(taken).toBe(model.take());
              expect(runningBefore).not.toContain(taken);
              break;
            }
            case 'done': {
              const running = runningBefore[step.which % Math.max(runningBefore.length, 1)];
              if (running === undefined) break;
              queue.done(running);
              model.done(running);
              break;
            }
            case 'advance':
              clock.advanceSync(step.byMs);
              model.advance(step.byMs);
              break;
          }
          expect({ depth: queue.depth, size: queue.size }).toEqual({
            depth: model.depth(),
            size: model.size(),
          });
          if (queue.depth > depthBefore) expect(readyCalls()).toBeGreaterThan(callsBefore);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('no key is lost: each one that was added is handed out once things calm down', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const { queue, clock } = setUp();
        const wanted = new Set<string>();
        const running: string[] = [];
        for (const step of operations) {
          if (step.do === 'add') {
            queue.add(step.key, { priority: step.priority, afterMs: step.delayMs });
            wanted.add(step.key);
          }
          if (step.do === 'advance') clock.advanceSync(step.byMs);
          const taken = step.do === 'take' ? queue.take()?.key : undefined;
          if (taken !== undefined) {
            wanted.delete(taken);
            running.push(taken);
          }
          if (step.do === 'done') queue.done(running.shift() ?? 'nobody');
        }
        for (const left of running) queue.done(left);
        clock.advanceSync(40);
        expect(new Set(drain(queue))).toEqual(wanted);
        expect(queue.size).toBe(0);
        expect(clock.timers).toBe(0);
      }),
    );
  });

  it('a key that became ready behind n others is handed out within FAIR_TURN * (n + 1) hand-outs', () => {
    const flood = fc.array(
      fc.oneof(
        { weight: 3, arbitrary: fc.record({ key: fc.integer({ min: 0, max: 60 }), priority }) },
        { weight: 2, arbitrary: fc.constant('take' as const) },
      ),
      { maxLength: 400 },
    );
    fc.assert(
      fc.property(flood, (steps) => {
        const { queue } = setUp();
        const promised = new Map<string, number>();
        let handOuts = 0;
        const take = () => {
          const next = queue.take();
          if (!next) return false;
          handOuts += 1;
          expect(handOuts).toBeLessThanOrEqual(promised.get(next.key)!);
          promised.delete(next.key);
          queue.done(next.key);
          return true;
        };
        for (const step of steps) {
          if (step === 'take') {
            take();
            continue;
          }
          const name = `key-${step.key}`;
          if (!promised.has(name)) promised.set(name, handOuts + FAIR_TURN * (queue.depth + 1));
          queue.add(name, { priority: step.priority });
        }
        while (take());
        expect(promised.size).toBe(0);
      }),
    );
  });

  it('an endless stream of edits does not starve the startup', () => {
    const { queue } = setUp();
    for (let n = 0; n < 10; n += 1) queue.add(`startup-${n}`, { priority: PRIORITY.startup });
    const served: string[] = [];
    for (let turn = 0; turn < 10 * FAIR_TURN; turn += 1) {
      queue.add(`edit-${turn}`, { priority: PRIORITY.edit });
      const next = queue.take()!;
      if (next.key.startsWith('startup')) served.push(next.key);
    }
    expect(served).toEqual(Array.from({ length: 10 }, (_, n) => `startup-${n}`));
  });

  it('an edit overtakes a backlog of any age, but for one hand-out in FAIR_TURN', () => {
    const { queue, clock } = setUp();
    for (let n = 0; n < 10_000; n += 1) queue.add(`drift-${n}`, { priority: PRIORITY.drift });
    clock.advanceSync(24 * 3_600_000);
    const edits = Array.from({ length: FAIR_TURN - 1 }, (_, n) => `edit-${n}`);
    for (const edit of edits) queue.add(edit, { priority: PRIORITY.edit });
    const next = Array.from({ length: FAIR_TURN }, () => queue.take()!.key);
    expect(next.filter((name) => name.startsWith('edit'))).toEqual(edits);
  });
});
