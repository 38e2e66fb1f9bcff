import { beforeEach, describe, expect, it } from 'vitest';
import { createOutbox, type Outbox } from '../../../src/store/kubernetes/outbox.ts';
import { captureLog, type CapturedLog } from '../../support/captured-log.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';

class Away extends Error {}

describe('an outbox', () => {
  let clock: FakeClock;
  let captured: CapturedLog;
  let written: string[];
  let dropped: string[];
  /** What the next write of an entry meets; absent: it succeeds. */
  let obstacles: Map<string, Error | 'hang'>;
  let outbox: Outbox<string>;

  beforeEach(() => {
    clock = createFakeClock();
    captured = captureLog();
    written = [];
    dropped = [];
    obstacles = new Map();
    outbox = createOutbox<string>({
      name: 'events',
      clock,
      log: captured.log,
      isPassing: (error) => error instanceof Away,
      onDropped: (why, count) => dropped.push(`${count} ${why}`),
      write: async (entry, signal) => {
        const obstacle = obstacles.get(entry);
        if (obstacle === 'hang')
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        if (obstacle instanceof Error) throw obstacle;
        written.push(entry);
      },
    });
  });

  it('writes what it is given, in order for each key', async () => {
    for (const entry of ['a1', 'b1', 'a2', 'b2', 'a3']) outbox.put(entry.slice(0, 1), entry);
    await clock.settle();
    expect(written.filter((entry) => entry.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
    expect(written.filter((entry) => entry.startsWith('b'))).toEqual(['b1', 'b2']);
  });

  it('tries again what fails for a while, and lets nothing of the same key overtake it', async () => {
    obstacles.set('a1', new Away());
    outbox.put('a', 'a1');
    outbox.put('a', 'a2');
    outbox.put('b', 'b1');
    await clock.advance(60_000);
    expect(written).toEqual(['b1']);
    obstacles.clear();
    await clock.advance(30_000);
    expect(written).toEqual(['b1', 'a1', 'a2']);
    expect(dropped).toEqual([]);
  });

  it('drops what can never be written, says so, and goes on', async () => {
    obstacles.set('a1', new Error('no right'));
    outbox.put('a', 'a1');
    outbox.put('a', 'a2');
    await clock.settle();
    expect(written).toEqual(['a2']);
    expect(dropped).toEqual(['1 refused']);
    expect(captured.lines()).toMatchObject([{ msg: 'events: 1 dropped', why: 'refused', cause: 'no right' }]);
  });

  it('has a bottom', async () => {
    obstacles.set('x', new Away());
    for (let entries = 0; entries < 10_002; entries += 1) outbox.put('a', 'x');
    expect(dropped).toEqual(['1 full', '1 full']);
    obstacles.clear();
    await clock.advance(30_000);
    expect(written).toHaveLength(10_000);
    outbox.put('a', 'y');
    await clock.settle();
    expect(written.at(-1)).toBe('y');
  });

  it('waits at its end for what is under way, but not for ever, and leaves no timer', async () => {
    obstacles.set('a1', 'hang');
    obstacles.set('b1', new Away());
    for (const entry of ['a1', 'a2', 'b1', 'c1']) outbox.put(entry.slice(0, 1), entry);
    const closed = outbox.close(2_000);
    await clock.advance(2_000);
    await closed;
    expect(written).toEqual(['c1', 'a1']);
    expect(dropped).toEqual(['3 stopped']);
    outbox.put('a', 'late');
    expect(dropped.at(-1)).toBe('1 stopped');
    expect(clock.timers).toBe(0);
  });
});
