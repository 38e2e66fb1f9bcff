import { describe, expect, it } from 'vitest';
import { createEventFilter } from '../../../src/store/kubernetes/core-events.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

describe('a filter of events', () => {
  const admitted = (admit: () => boolean, times: number): number =>
    Array.from({ length: times }, admit).filter(Boolean).length;

  it('lets a tenant say fifty things at once, and then one a minute', () => {
    const clock = createFakeClock();
    const filter = createEventFilter(clock);
    const admit = () => filter.admit('u');
    expect(admitted(admit, 60)).toBe(50);
    clock.advanceSync(59_999);
    expect(admitted(admit, 5)).toBe(0);
    clock.advanceSync(1);
    expect(admitted(admit, 5)).toBe(1);
    clock.advanceSync(3 * 60_000);
    expect(admitted(admit, 5)).toBe(3);
  });

  it('forgives everything after an hour, and no more than everything', () => {
    const clock = createFakeClock();
    const filter = createEventFilter(clock);
    admitted(() => filter.admit('u'), 100);
    clock.advanceSync(24 * 3_600_000);
    expect(admitted(() => filter.admit('u'), 100)).toBe(50);
  });

  it('does not let one tenant use up what another one may say, nor a clock that is set back', () => {
    const clock = createFakeClock();
    const filter = createEventFilter(clock);
    admitted(() => filter.admit('u'), 100);
    clock.step(-3_600_000);
    expect(filter.admit('u')).toBe(false);
    expect(filter.admit('v')).toBe(true);
    clock.advanceSync(60_000);
    expect(filter.admit('u')).toBe(true);
  });
});
