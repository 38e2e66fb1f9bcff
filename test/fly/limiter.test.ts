import { setMaxListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { createLimiter, type Limiter, type Turn } from '../../src/fly/limiter.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

const RATE = { perSecond: 1, burst: 3 };
const never = new AbortController().signal;
// Many callers share it here on purpose.
setMaxListeners(0, never);

function setUp(longestWaitMs = 30_000): { clock: FakeClock; limiter: Limiter } {
  const clock = createFakeClock();
  return { clock, limiter: createLimiter({ clock, longestWaitMs }) };
}

/** Asks for a turn and notes in `log` when it came, in milliseconds since the start. */
function ask(world: ReturnType<typeof setUp>, log: string[], name: string, signal = never): Promise<Turn> {
  const start = world.clock.now();
  return world.limiter.take('stop m1', RATE, signal).then((turn) => {
    log.push(`${name} ${turn.outcome} at ${world.clock.now() - start}`);
    return turn;
  });
}

describe('the limiter', () => {
  test('lets a burst through at once and then one a second, in the order of asking', async () => {
    const world = setUp();
    const log: string[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e']) void ask(world, log, name);
    await world.clock.settle();
    expect(log).toEqual(['a granted at 0', 'b granted at 0', 'c granted at 0']);
    await world.clock.advance(999);
    expect(log).toHaveLength(3);
    await world.clock.advance(1_001);
    expect(log.slice(3)).toEqual(['d granted at 1000', 'e granted at 2000']);
    expect(world.clock.timers).toBe(0);
  });

  test('makes nobody wait for the hour by which the clock is set back', async () => {
    const world = setUp();
    const log: string[] = [];
    for (const name of ['a', 'b', 'c']) void ask(world, log, name);
    await world.clock.settle();
    world.clock.step(-3_600_000);
    expect((await world.limiter.take('start m1', RATE, never)).outcome).toBe('granted');
    const late = world.limiter.take('stop m1', RATE, never);
    await world.clock.advance(1_000);
    expect((await late).outcome).toBe('granted');
  });

  test('says how long a caller waited', async () => {
    const { clock, limiter } = setUp();
    for (let taken = 0; taken < 3; taken += 1) await limiter.take('k', RATE, never);
    const turn = limiter.take('k', RATE, never);
    await clock.advance(1_000);
    expect(await turn).toEqual({ outcome: 'granted', waitedMs: 1_000 });
  });

  test('fills up again while nobody asks, and never beyond the burst', async () => {
    const { clock, limiter } = setUp();
    for (let taken = 0; taken < 3; taken += 1) await limiter.take('k', RATE, never);
    await clock.advance(3_600_000);
    for (let taken = 0; taken < 3; taken += 1)
      expect(await limiter.take('k', RATE, never)).toEqual({ outcome: 'granted', waitedMs: 0 });
    const fourth = limiter.take('k', RATE, never);
    await clock.advance(1_000);
    expect(await fourth).toEqual({ outcome: 'granted', waitedMs: 1_000 });
  });

  test('never lets more through in any window than the rate and the burst allow', async () => {
    const { clock, limiter } = setUp(3_600_000);
    const granted: number[] = [];
    const rate = { perSecond: 5, burst: 10 };
    for (let asked = 0; asked < 100; asked += 1)
      void limiter.take('k', rate, never).then(() => granted.push(clock.now()));
    await clock.advance(60_000);
    expect(granted).toHaveLength(100);
    for (const from of granted) {
      const inWindow = granted.filter((at) => at >= from && at < from + 2_000).length;
      expect(inWindow).toBeLessThanOrEqual(rate.burst + 2 * rate.perSecond);
    }
  });

  test('keeps keys apart: one that is exhausted delays no other', async () => {
    const { clock, limiter } = setUp();
    for (let taken = 0; taken < 4; taken += 1) void limiter.take('stop m1', RATE, never);
    await clock.settle();
    expect(await limiter.take('stop m2', RATE, never)).toEqual({ outcome: 'granted', waitedMs: 0 });
    expect(await limiter.take('start m1', RATE, never)).toEqual({ outcome: 'granted', waitedMs: 0 });
  });

  test('gives the turn of one who left to the next in line', async () => {
    const world = setUp();
    const log: string[] = [];
    const leaving = new AbortController();
    for (const name of ['a', 'b', 'c']) void ask(world, log, name);
    void ask(world, log, 'leaver', leaving.signal);
    void ask(world, log, 'next');
    await world.clock.advance(500);
    leaving.abort();
    await world.clock.advance(500);
    expect(log.slice(3)).toEqual(['leaver aborted at 500', 'next granted at 1000']);
    expect(world.clock.timers).toBe(0);
  });

  test('does not take a token for one who had left before asking', async () => {
    const { limiter } = setUp();
    expect(await limiter.take('k', RATE, AbortSignal.abort())).toEqual({ outcome: 'aborted' });
    for (let taken = 0; taken < 3; taken += 1)
      expect(await limiter.take('k', RATE, never)).toMatchObject({ outcome: 'granted' });
  });

  test('leaves no timer behind when everybody has left', async () => {
    const { clock, limiter } = setUp();
    const leaving = new AbortController();
    const turns = Array.from({ length: 10 }, () => limiter.take('k', RATE, leaving.signal));
    await clock.settle();
    leaving.abort();
    expect((await Promise.all(turns)).filter(({ outcome }) => outcome === 'aborted')).toHaveLength(7);
    expect(clock.timers).toBe(0);
  });

  test('refuses at once when the turn would come too late, and says when it would', async () => {
    const { limiter } = setUp(2_000);
    const turns = Array.from({ length: 6 }, () => limiter.take('k', RATE, never));
    expect(await turns[5]).toEqual({ outcome: 'refused', retryAfterMs: 3_000 });
  });

  test('holds everybody back after Fly said that we are too fast, and goes on slowly', async () => {
    const world = setUp();
    const log: string[] = [];
    world.limiter.hold('stop m1', RATE, 10_000);
    void ask(world, log, 'a');
    void ask(world, log, 'b');
    await world.clock.advance(9_999);
    expect(log).toEqual([]);
    await world.clock.advance(1_001);
    expect(log).toEqual(['a granted at 10000', 'b granted at 11000']);
  });

  test('makes those wait longer who wait already when Fly asks for it', async () => {
    const world = setUp();
    const log: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) void ask(world, log, name);
    await world.clock.settle();
    world.limiter.hold('stop m1', RATE, 5_000);
    world.limiter.hold('stop m1', RATE, 1_000);
    await world.clock.advance(5_000);
    expect(log[3]).toBe('d granted at 5000');
  });
});
