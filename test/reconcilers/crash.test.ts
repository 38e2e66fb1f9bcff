/**
 * The daemon dies at every write that a life of a tenant makes it do, wherever that goes: to Fly, to the store, to the
 * vault, to the tenant's database. Another one takes over, and the life ends as if nothing had happened.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Loop } from '../../src/loop.ts';
import type { TenantStore } from '../../src/store/store.ts';
import { createHarness, type Harness } from './harness.ts';
import { inParallel, live, type Lived } from './life.ts';
import { mortal, type Death } from './mortal.ts';

/** So many lives at a time, each with a daemon of its own. More crowd the processor, and time runs ten times faster here. */
const WIDTH = 8;

let house: Harness;
let undisturbed: Lived;
let writes: readonly string[];
let lives = 0;

beforeAll(async () => {
  house = await createHarness({
    timeFactor: 10,
    latency: { ranges: { volumeUnbind: [0, 5_000] } },
    autostart: false,
  });
  const { lived, written } = await mortalLife();
  undisturbed = lived;
  writes = written;
}, 60_000);
afterAll(() => house.close());

/** The store as a daemon sees it to whom only the one tenant belongs. */
function only(store: TenantStore, name: string): TenantStore {
  return {
    ...store,
    async list(options) {
      const list = await store.list(options);
      return { ...list, items: list.items.filter(({ metadata }) => metadata.name === name) };
    },
    async *watch(options) {
      for await (const event of store.watch(options))
        if (event.type === 'BOOKMARK' || event.tenant.metadata.name === name) yield event;
    },
  };
}

interface MortalLife {
  readonly lived: Lived;
  readonly written: readonly string[];
  readonly died: boolean;
}

/** A life under a daemon that dies as told, and then under another one that does not. */
async function mortalLife(death?: Death): Promise<MortalLife> {
  const name = `life-${(lives += 1)}`;
  const parts = { ...house.parts, store: only(house.store, name) };
  const first = mortal(parts, death);
  let loop: Loop = house.newLoop(first.parts);
  loop.start();
  const fate = { died: false };
  const succession = first.died.then(async () => {
    fate.died = true;
    await loop.stop(0);
    loop = house.newLoop(parts);
    loop.start();
  });
  try {
    const lived = await live(house, name);
    return { lived, written: first.writes, died: fate.died };
  } finally {
    if (fate.died) await succession;
    await loop.stop(0);
  }
}

/** Dies once at each of the writes of an undisturbed life. */
async function dieEverywhere(when: Death['when']): Promise<void> {
  const deaths = writes.map((write, index) => {
    const occurrence = writes.slice(0, index + 1).filter((other) => other === write).length;
    return { title: `${write} ${occurrence}`, write, occurrence, when };
  });
  const survived: typeof deaths = [];
  const failures = await inParallel(deaths, WIDTH, async (death) => {
    const { lived, died } = await mortalLife(death);
    if (!died) survived.push(death);
    // The message is what is left of it: the values belong in it.
    expect(lived, JSON.stringify({ lived, undisturbed })).toEqual(undisturbed);
  });
  expect(failures).toEqual([]);
  // How often something that is on its way is asked for again differs from life to life; that it is asked for does not.
  expect(survived.filter(({ occurrence }) => occurrence === 1)).toEqual([]);
  expect(survived.length).toBeLessThan(0.15 * deaths.length);
}

describe('a daemon', () => {
  it('makes so many writes for one life of a tenant, at each of which it dies below', () => {
    const rooms = new Set(writes.map((write) => write.split('.')[0]));
    expect([...rooms].sort()).toEqual(['databases', 'fly', 'store', 'vault']);
    expect(writes.length).toBeGreaterThanOrEqual(60);
    expect(undisturbed).toEqual({ versions: 5, machines: 1, volumes: 1 });
  });

  it('that dies before any of its writes leaves a life that ends as if it had not', async () => {
    await dieEverywhere('before');
  }, 240_000);

  it('that dies before it sees the answer to any of its writes leaves a life that ends as if it had not', async () => {
    await dieEverywhere('after');
  }, 240_000);
});
