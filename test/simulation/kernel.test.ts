import { describe, expect, it } from 'vitest';
import { createKernel, EPOCH_MS } from './kernel.ts';

const FAR = EPOCH_MS + 3_600_000;

describe('the kernel', () => {
  it('lets things happen in the order of their times, and of equal times in the order in which they were planned', async () => {
    const kernel = createKernel({ seed: 1 });
    const one = kernel.spawn('one');
    const other = kernel.spawn('other');
    const seen: string[] = [];
    for (const [process, delayMs] of [
      [one, 20],
      [other, 10],
      [one, 10],
      [other, 0],
    ] as const)
      process.later(delayMs, () => seen.push(`${process.name} at ${kernel.now() - EPOCH_MS}`));
    await kernel.run({ limitMs: FAR });
    expect(seen).toEqual(['other at 0', 'other at 10', 'one at 10', 'one at 20']);
    expect(kernel.now()).toBe(FAR);
  });

  it('begins no turn before everything has settled that the last one set off, through however many awaits', async () => {
    const kernel = createKernel({ seed: 1 });
    const process = kernel.spawn('one');
    const seen: string[] = [];
    const walk = async (name: string, awaits: number): Promise<void> => {
      for (let step = 0; step < awaits; step += 1) await Promise.resolve();
      seen.push(name);
    };
    process.later(1, () => void walk('long way', 100));
    process.later(1, () => void walk('short way', 1));
    await kernel.run({ limitMs: FAR });
    expect(seen).toEqual(['long way', 'short way']);
  });

  it('carries out nothing of a process that is dead, nor anything that it had planned', async () => {
    const kernel = createKernel({ seed: 1 });
    const victim = kernel.spawn('victim');
    const seen: string[] = [];
    victim.clock.setTimer(10, () => seen.push('timer'));
    kernel.spawn('murderer').later(5, () => victim.kill());
    await kernel.run({ limitMs: FAR });
    victim.later(0, () => seen.push('afterlife'));
    await kernel.run({ limitMs: FAR });
    expect(seen).toEqual([]);
    expect(victim.alive).toBe(false);
  });

  it('carries out late, and in order, what was due while a process was stalled', async () => {
    const kernel = createKernel({ seed: 1 });
    const process = kernel.spawn('one');
    const seen: string[] = [];
    for (const delayMs of [10, 20, 40])
      process.later(delayMs, () => seen.push(`${delayMs} at ${kernel.now() - EPOCH_MS}`));
    process.stall(30);
    await kernel.run({ limitMs: FAR });
    expect(seen).toEqual(['10 at 30', '20 at 30', '40 at 40']);
  });

  it('steps the clock of one process without moving its timers', async () => {
    const kernel = createKernel({ seed: 1 });
    const process = kernel.spawn('one');
    let firedAt = 0;
    process.clock.setTimer(10, () => (firedAt = kernel.now()));
    process.stepClock(-3_600_000);
    expect(process.clock.now()).toBe(EPOCH_MS - 3_600_000);
    await kernel.run({ limitMs: FAR });
    expect(firedAt).toBe(EPOCH_MS + 10);
  });

  it('stops where it is told to, and goes on from there', async () => {
    const kernel = createKernel({ seed: 1 });
    const process = kernel.spawn('one');
    const seen: number[] = [];
    for (const delayMs of [1, 2, 3]) process.later(delayMs, () => seen.push(delayMs));
    await kernel.run({ limitMs: FAR, done: () => seen.length === 1 });
    expect(seen).toEqual([1]);
    await kernel.run({ limitMs: EPOCH_MS + 2 });
    expect(seen).toEqual([1, 2]);
    expect(kernel.now()).toBe(EPOCH_MS + 2);
  });

  it('calls nothing that was called off', async () => {
    const kernel = createKernel({ seed: 1 });
    const seen: string[] = [];
    const callOff = kernel.spawn('one').later(5, () => seen.push('called'));
    callOff();
    await kernel.run({ limitMs: FAR });
    expect(seen).toEqual([]);
  });

  it('rejects what wakes itself without an end while no time passes', async () => {
    const kernel = createKernel({ seed: 1 });
    const process = kernel.spawn('one');
    const spin = (): void => void process.later(0, spin);
    spin();
    await expect(kernel.run({ limitMs: FAR })).rejects.toThrow('time stands still');
  });

  it('draws the same lots from the same seed', () => {
    const lots = (seed: number): number[] => {
      const kernel = createKernel({ seed });
      return [kernel.random(), kernel.spawn('one').clock.random(), kernel.draw([10, 1_000])];
    };
    expect(lots(7)).toEqual(lots(7));
    expect(lots(7)).not.toEqual(lots(8));
  });
});
