import { describe, expect, it } from 'vitest';
import {
  createController,
  CUT_GRACE_MS,
  type Controller,
  type ControllerOptions,
} from '../../src/controller/controller.ts';
import {
  TerminalError,
  TransientError,
  WaitingError,
  type ReconcileResult,
} from '../../src/controller/outcome.ts';
import type { ReconcileContext } from '../../src/controller/pass.ts';
import { PRIORITY } from '../../src/controller/queue.ts';
import { captureLog } from '../support/captured-log.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

interface Seen {
  readonly key: string;
  readonly atMs: number;
  readonly context: ReconcileContext;
}

/** One pass that a test holds open and ends as it likes. */
interface Open extends Seen {
  readonly finish: (result?: ReconcileResult) => void;
  readonly fail: (error: Error) => void;
}

/** A controller whose reconciler does what `respond` says, or else stays open until the test ends the pass. */
function setUp(
  options: {
    respond?: (seen: Seen, count: number) => ReconcileResult | Promise<ReconcileResult>;
    random?: () => number;
  } & Partial<Pick<ControllerOptions, 'concurrency' | 'passTimeoutMs'>> = {},
) {
  const { respond, random, ...rest } = options;
  const clock = createFakeClock({ now: 0, ...(random && { random }) });
  const captured = captureLog();
  const seen: Seen[] = [];
  const open: Open[] = [];
  const controller = createController({
    name: 'tenant',
    clock,
    log: captured.log,
    ...rest,
    async reconcile(key, context) {
      const pass = { key, atMs: clock.now(), context };
      seen.push(pass);
      if (respond) return respond(pass, seen.length);
      return new Promise((resolve, reject) => {
        open.push({ ...pass, finish: (result = {}) => resolve(result), fail: reject });
      });
    },
  });
  controller.start();
  return { clock, controller, seen, open, lines: captured.lines, times: () => seen.map((pass) => pass.atMs) };
}

/** Ends whatever is still in flight. */
async function stopped(controller: Controller, clock: FakeClock): Promise<void> {
  const stopping = controller.stop({ deadlineMs: 0 });
  await clock.advance(CUT_GRACE_MS);
  await stopping;
}

describe('a controller', () => {
  it('reconciles a key that was enqueued', async () => {
    const { clock, controller, seen } = setUp({ respond: () => ({}) });
    controller.enqueue('a');
    await clock.settle();
    expect(seen.map((pass) => pass.key)).toEqual(['a']);
    expect(controller.isRunning('a')).toBe(false);
    expect(clock.timers).toBe(0);
  });

  it('begins nothing before it is started, and then everything that was enqueued', async () => {
    const clock = createFakeClock();
    const keys: string[] = [];
    const controller = createController({
      name: 'tenant',
      clock,
      log: captureLog().log,
      reconcile: async (key) => {
        keys.push(key);
        return {};
      },
    });
    controller.enqueue('a');
    controller.enqueue('b');
    await clock.settle();
    expect(keys).toEqual([]);
    expect(controller.depth()).toBe(2);
    controller.start();
    await clock.settle();
    expect(keys).toEqual(['a', 'b']);
  });

  it('never runs the reconciler in the turn of whoever enqueues', async () => {
    const { clock, controller, seen } = setUp({ respond: () => ({}) });
    controller.enqueue('a', { priority: PRIORITY.startup });
    controller.enqueue('b', { priority: PRIORITY.edit });
    expect(seen).toEqual([]);
    await clock.settle();
    expect(seen.map((pass) => pass.key)).toEqual(['b', 'a']);
  });

  it('never reconciles a key twice at once, and again when it was enqueued meanwhile', async () => {
    const { clock, controller, open } = setUp();
    controller.enqueue('a');
    await clock.settle();
    controller.enqueue('a');
    await clock.settle();
    expect(open).toHaveLength(1);
    expect(controller.isRunning('a')).toBe(true);
    open[0]!.finish();
    await clock.settle();
    expect(open).toHaveLength(2);
    open[1]!.finish();
    await clock.settle();
    expect(open).toHaveLength(2);
  });

  it('keeps at most `concurrency` passes in flight', async () => {
    const { clock, controller, open } = setUp({ concurrency: 2 });
    for (const key of ['a', 'b', 'c']) controller.enqueue(key);
    await clock.settle();
    expect(open.map((pass) => pass.key)).toEqual(['a', 'b']);
    expect(controller.depth()).toBe(1);
    open[0]!.finish();
    await clock.settle();
    expect(open.map((pass) => pass.key)).toEqual(['a', 'b', 'c']);
  });

  it('is not held up by one key that fails', async () => {
    const { clock, controller, seen } = setUp({
      concurrency: 1,
      respond: ({ key }) => {
        if (key === 'bad') throw new TransientError('Timeout', 'cannot reach "x": it timed out');
        return {};
      },
    });
    for (const key of ['bad', 'good-1', 'good-2']) controller.enqueue(key);
    await clock.settle();
    expect(seen.map((pass) => pass.key)).toEqual(['bad', 'good-1', 'good-2']);
  });

  it('gives every pass an id of its own, which is in every line of its log', async () => {
    const { clock, controller, seen, lines } = setUp({
      respond: ({ context }) => {
        context.log.info('at work');
        return {};
      },
    });
    controller.enqueue('a');
    await clock.settle();
    controller.enqueue('a');
    await clock.settle();
    const ids = seen.map((pass) => pass.context.passId);
    expect(new Set(ids).size).toBe(2);
    const work = lines().filter((line) => line['msg'] === 'at work');
    expect(work).toMatchObject(ids.map((passId) => ({ passId, key: 'a', controller: 'tenant' })));
  });
});

describe('what comes after an outcome', () => {
  const transient = (minDelayMs = 0) =>
    new TransientError('Timeout', 'cannot reach "x": it timed out', { minDelayMs });

  it.each<{ name: string; result: ReconcileResult | Error; times: number[] }>([
    { name: 'done: nothing', result: {}, times: [0] },
    { name: 'done with a requeue: exactly then', result: { requeueAfterMs: 7_000 }, times: [0, 7_000] },
    { name: 'done with a requeue of 0: at once', result: { requeueAfterMs: 0 }, times: [0, 0] },
    {
      name: 'waiting: exactly when it says',
      result: new WaitingError('LeaseHeld', 'cannot change "x": it is leased', { retryAfterMs: 3_000 }),
      times: [0, 3_000],
    },
    { name: 'transient: the delay that was drawn', result: transient(), times: [0, 125] },
    { name: 'transient: what the error asks for, if longer', result: transient(9_000), times: [0, 9_000] },
    {
      name: 'terminal: nothing',
      result: new TerminalError('Forbidden', 'cannot change "x": not ours'),
      times: [0],
    },
    {
      name: 'terminal with a recheck: exactly then',
      result: new TerminalError('Forbidden', 'cannot change "x": not ours', { recheckAfterMs: 9_000 }),
      times: [0, 9_000],
    },
    { name: 'a bug: half a minute and more', result: new TypeError('x is undefined'), times: [0, 30_125] },
    {
      name: 'a result that is none: it is a bug',
      result: { requeueAfterMs: Number.NaN },
      times: [0, 30_125],
    },
  ])('$name', async ({ result, times: want }) => {
    const { clock, controller, times } = setUp({
      respond: (_, count) => {
        if (count > 1) return {};
        if (result instanceof Error) throw result;
        return result;
      },
    });
    controller.enqueue('a');
    await clock.advance(100_000);
    expect(times()).toEqual(want);
  });

  it('a reconciler that throws before it returns a promise is as bad as one that throws later', async () => {
    const clock = createFakeClock({ now: 0 });
    const captured = captureLog();
    const controller = createController({
      name: 'tenant',
      clock,
      log: captured.log,
      reconcile: () => {
        throw new TypeError('thrown at once');
      },
    });
    controller.start();
    controller.enqueue('a');
    await clock.settle();
    expect(controller.isRunning('a')).toBe(false);
    const line = captured.lines().find((entry) => entry['reason'] === 'Bug');
    expect(line).toMatchObject({ err: { type: 'TypeError', message: 'thrown at once' } });
    expect(JSON.stringify(line)).toContain('controller.test.ts');
    await stopped(controller, clock);
  });

  it('failures in a row back off further each time, with the delay that the pass was told', async () => {
    const { clock, controller, seen, times } = setUp({
      respond: () => {
        throw transient();
      },
    });
    controller.enqueue('a');
    await clock.advance(2_000);
    expect(seen.map(({ context }) => context.attempt)).toEqual([1, 2, 3, 4, 5]);
    expect(seen.map(({ context }) => context.retryDelayMs)).toEqual([125, 250, 500, 1_000, 2_000]);
    expect(times()).toEqual([0, 125, 375, 875, 1_875]);
    await stopped(controller, clock);
  });

  it('success ends the series of failures', async () => {
    const { clock, controller, seen } = setUp({
      respond: (_, count) => {
        if (count !== 2) throw transient();
        return { requeueAfterMs: 0 };
      },
    });
    controller.enqueue('a');
    await clock.advance(200);
    expect(seen.map(({ context }) => context.attempt)).toEqual([1, 2, 1]);
    await stopped(controller, clock);
  });

  it('waiting neither raises the attempt nor ends the series of failures', async () => {
    const { clock, controller, seen } = setUp({
      respond: (_, count) => {
        if (count === 1) throw transient();
        throw new WaitingError('LeaseHeld', 'cannot change "x": it is leased', { retryAfterMs: 10 });
      },
    });
    controller.enqueue('a');
    await clock.advance(125 + 20);
    expect(seen.map(({ context }) => context.attempt)).toEqual([1, 2, 2, 2]);
    await stopped(controller, clock);
  });

  it('requeues do not pile up: of the times that were wanted, only those since the last pass began count', async () => {
    const { clock, controller, times } = setUp({ respond: () => ({ requeueAfterMs: 1_000 }) });
    controller.enqueue('a');
    await clock.advance(500);
    controller.enqueue('a');
    await clock.advance(2_000);
    expect(times()).toEqual([0, 500, 1_500, 2_500]);
    await stopped(controller, clock);
  });
});

describe('a wake-up during back-off', () => {
  const failing = () =>
    setUp({
      respond: () => {
        throw new TransientError('Timeout', 'cannot reach "x": it timed out', { minDelayMs: 5_000 });
      },
    });

  it('does not shorten it', async () => {
    const { clock, controller, times } = failing();
    controller.enqueue('a');
    await clock.advance(1_000);
    controller.enqueue('a', { priority: PRIORITY.edit });
    await clock.advance(4_000);
    expect(times()).toEqual([0, 5_000]);
    await stopped(controller, clock);
  });

  it('does not shorten it when it came while the pass was still failing', async () => {
    const { clock, controller, open } = setUp();
    controller.enqueue('a');
    await clock.settle();
    controller.enqueue('a');
    open[0]!.fail(new TransientError('Timeout', 'cannot reach "x": it timed out', { minDelayMs: 5_000 }));
    await clock.advance(4_999);
    expect(open).toHaveLength(1);
    await clock.advance(1);
    expect(open).toHaveLength(2);
    await stopped(controller, clock);
  });

  it('ends it when a person has changed something: the next attempt is the first', async () => {
    const { clock, controller, seen, times } = failing();
    controller.enqueue('a');
    await clock.advance(1_000);
    controller.enqueue('a', { resetBackoff: true, priority: PRIORITY.edit });
    await clock.settle();
    expect(times()).toEqual([0, 1_000]);
    expect(seen.map(({ context }) => context.attempt)).toEqual([1, 1]);
    await stopped(controller, clock);
  });

  it('ends it before it began when a person changes something during the failing pass', async () => {
    const { clock, controller, open } = setUp();
    controller.enqueue('a');
    await clock.settle();
    controller.enqueue('a', { resetBackoff: true });
    open[0]!.fail(new TransientError('Timeout', 'cannot reach "x": it timed out', { minDelayMs: 5_000 }));
    await clock.settle();
    expect(open.map(({ context, atMs }) => [context.attempt, atMs])).toEqual([
      [1, 0],
      [1, 0],
    ]);
    await stopped(controller, clock);
  });

  it('brings a waiting key forward: what was waited for may just have happened', async () => {
    const { clock, controller, times } = setUp({
      respond: (_, count) => {
        if (count > 1) return {};
        throw new WaitingError('LeaseHeld', 'cannot change "x": it is leased', { retryAfterMs: 60_000 });
      },
    });
    controller.enqueue('a');
    await clock.advance(1_000);
    controller.enqueue('a');
    await clock.advance(100_000);
    expect(times()).toEqual([0, 1_000]);
  });
});

describe('a pass that takes too long', () => {
  it('has its signal aborted and counts as a transient failure', async () => {
    const { clock, controller, seen, lines, times } = setUp({
      passTimeoutMs: 1_000,
      respond: async ({ context }, count) => {
        if (count > 1) return {};
        await new Promise((resolve) => {
          context.signal.addEventListener('abort', resolve);
        });
        throw new DOMException('This operation was aborted', 'AbortError');
      },
    });
    controller.enqueue('a');
    await clock.advance(10_000);
    expect(times()).toEqual([0, 1_125]);
    expect(seen[1]!.context.attempt).toBe(2);
    expect(lines()).toContainEqual(
      expect.objectContaining({
        reason: 'PassTimeout',
        attempt: 1,
        retryAfterMs: 125,
        msg: 'cannot reconcile "a": it took longer than 1000 ms',
      }),
    );
  });

  it('is told of at once even if it ignores the signal, and keeps its key to itself', async () => {
    const { clock, controller, open, lines } = setUp({ passTimeoutMs: 1_000 });
    controller.enqueue('a');
    await clock.advance(1_000);
    expect(lines().map((line) => line['reason'])).toContain('PassTimeout');
    controller.enqueue('a', { resetBackoff: true });
    await clock.advance(100_000);
    expect(open).toHaveLength(1);
    open[0]!.finish();
    await clock.settle();
    expect(open).toHaveLength(2);
    await stopped(controller, clock);
  });

  it('leaves no timer behind when it ends in time', async () => {
    const { clock, controller } = setUp({ respond: () => ({}) });
    controller.enqueue('a');
    await clock.settle();
    expect(clock.timers).toBe(0);
  });
});

describe('stopping', () => {
  it('ends at once when nothing is in flight, and forgets what was wanted', async () => {
    const { clock, controller, seen } = setUp({ respond: () => ({}) });
    controller.enqueue('a', { afterMs: 1_000 });
    expect(await controller.stop({ deadlineMs: 5_000 })).toEqual({ cut: [], stuck: [] });
    controller.enqueue('b');
    await clock.advance(10_000);
    expect(seen).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  it('begins no pass for keys that were ready', async () => {
    const { clock, controller, open } = setUp({ concurrency: 1 });
    controller.enqueue('a');
    controller.enqueue('b');
    await clock.settle();
    const stopping = controller.stop({ deadlineMs: 5_000 });
    open[0]!.finish();
    expect(await stopping).toEqual({ cut: [], stuck: [] });
    expect(open.map((pass) => pass.key)).toEqual(['a']);
    expect(clock.timers).toBe(0);
  });

  it('lets a running pass end before the deadline, without touching its signal', async () => {
    const { clock, controller, open } = setUp();
    controller.enqueue('a');
    await clock.settle();
    const stopping = controller.stop({ deadlineMs: 5_000 });
    await clock.advance(4_999);
    expect(open[0]!.context.signal.aborted).toBe(false);
    open[0]!.finish({ requeueAfterMs: 0 });
    expect(await stopping).toEqual({ cut: [], stuck: [] });
    expect(open).toHaveLength(1);
  });

  it('aborts at the deadline, and says which keys it cut off', async () => {
    const { clock, controller, lines } = setUp({
      respond: ({ context }) =>
        new Promise((_, reject) => {
          context.signal.addEventListener('abort', () => reject(context.signal.reason as Error));
        }),
    });
    controller.enqueue('a');
    controller.enqueue('b');
    await clock.settle();
    const stopping = controller.stop({ deadlineMs: 5_000 });
    await clock.advance(5_000);
    expect(await stopping).toEqual({ cut: ['a', 'b'], stuck: [] });
    expect(lines().filter((line) => Number(line['level']) >= 50)).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  it('does not wait for a pass that ignores its signal, and names it', async () => {
    const { clock, controller } = setUp();
    controller.enqueue('a');
    await clock.settle();
    const stopping = controller.stop({ deadlineMs: 5_000 });
    await clock.advance(5_000 + CUT_GRACE_MS);
    expect(await stopping).toEqual({ cut: ['a'], stuck: ['a'] });
  });

  it('is the same stop when asked for twice', async () => {
    const { clock, controller, open } = setUp();
    controller.enqueue('a');
    await clock.settle();
    const first = controller.stop({ deadlineMs: 5_000 });
    const second = controller.stop({ deadlineMs: 0 });
    open[0]!.finish();
    expect(await first).toBe(await second);
  });

  it('cannot be undone', async () => {
    const { clock, controller, seen } = setUp({ respond: () => ({}) });
    await controller.stop({ deadlineMs: 0 });
    controller.start();
    controller.enqueue('a');
    await clock.settle();
    expect(seen).toEqual([]);
  });
});
