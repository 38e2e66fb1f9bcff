/**
 * Where does chance come from in the simulated Fly? From one 32-bit number inside the world's state
 * (the generator "mulberry32"), so that a seed, or a state read back from a file, has exactly one future.
 */

/** Whatever carries the generator's state. */
export interface Seeded {
  random: number;
}

/** The next number in [0, 1). */
export function nextRandom(seeded: Seeded): number {
  seeded.random = (seeded.random + 0x6d2b79f5) | 0;
  let mixed = Math.imul(seeded.random ^ (seeded.random >>> 15), 1 | seeded.random);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
}

/** One of the items. `items` must not be empty. */
export function pick<T>(seeded: Seeded, items: readonly [T, ...T[]]): T {
  return items[Math.floor(nextRandom(seeded) * items.length)] ?? items[0];
}
