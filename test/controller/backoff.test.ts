import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBackoff, DEFAULT_BACKOFF, fullJitterMs } from '../../src/controller/backoff.ts';
import { createFakeClock } from '../support/fake-clock.ts';

/** The largest draw that a Clock can give. */
const ALMOST_ONE = 1 - Number.EPSILON;

describe('a delay with full jitter', () => {
  it.each([
    { attempt: 1, ceilingMs: 250 },
    { attempt: 2, ceilingMs: 500 },
    { attempt: 3, ceilingMs: 1_000 },
    { attempt: 8, ceilingMs: 32_000 },
    { attempt: 9, ceilingMs: 60_000 },
    { attempt: 5_000, ceilingMs: 60_000 },
  ])('of attempt $attempt lies evenly below $ceilingMs ms', ({ attempt, ceilingMs }) => {
    const draw = (random: number) => fullJitterMs({ ...DEFAULT_BACKOFF, attempt, random });
    expect(draw(0)).toBe(0);
    expect(draw(0.5)).toBe(ceilingMs / 2);
    expect(draw(ALMOST_ONE)).toBe(ceilingMs - 1);
  });

  it('is a whole number of milliseconds within the cap for every attempt and draw', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.double({ min: 0, max: ALMOST_ONE, noNaN: true }),
        (attempt, random) => {
          const delayMs = fullJitterMs({ ...DEFAULT_BACKOFF, attempt, random });
          expect(Number.isInteger(delayMs)).toBe(true);
          expect(delayMs).toBeGreaterThanOrEqual(0);
          expect(delayMs).toBeLessThanOrEqual(DEFAULT_BACKOFF.capMs);
        },
      ),
    );
  });
});

describe('a back-off', () => {
  const create = () => createBackoff({ clock: createFakeClock() });

  it('counts attempts for each key by itself', () => {
    const backoff = create();
    backoff.fail('a');
    backoff.fail('a');
    expect(backoff.draw('a')).toEqual({ attempt: 3, retryDelayMs: 500 });
    expect(backoff.draw('b')).toEqual({ attempt: 1, retryDelayMs: 125 });
  });

  it('does not count an attempt that did not fail', () => {
    const backoff = create();
    backoff.draw('a');
    backoff.draw('a');
    expect(backoff.draw('a').attempt).toBe(1);
  });

  it('begins anew once the key is forgotten', () => {
    const backoff = create();
    backoff.fail('a');
    backoff.forget('a');
    expect(backoff.draw('a')).toEqual({ attempt: 1, retryDelayMs: 125 });
  });

  it('keeps nothing of keys that do not fail', () => {
    const backoff = create();
    backoff.draw('a');
    backoff.fail('b');
    backoff.forget('b');
    expect(backoff.size).toBe(0);
  });
});
