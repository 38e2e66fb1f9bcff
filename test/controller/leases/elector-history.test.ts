/**
 * Whatever happens to replicas, their clocks and their way to the leases: no two may act on one shard at any moment,
 * epochs only grow, and when the bad days are over every shard is held again.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SHARD_COUNT } from '../../../src/controller/leases/shards.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLeases, type Fate, type MemoryLeases } from './memory-backend.ts';
import { createReplica, WELL, type TestReplica } from './replica.ts';

type Happening =
  | { readonly kind: 'wait'; readonly ms: number }
  | {
      readonly kind: 'join' | 'kill' | 'stop' | 'pause' | 'resume' | 'heal' | 'cutOff';
      readonly which: number;
    }
  | { readonly kind: 'slow'; readonly which: number; readonly delayMs: number }
  | {
      readonly kind: 'lossy';
      readonly which: number;
      readonly landsAfterMs: number;
      readonly everyNth: number;
    }
  | { readonly kind: 'jump'; readonly which: number; readonly byMs: number };

const which = fc.nat({ max: 4 });
const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 25_000 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('join', 'kill', 'stop', 'pause', 'pause', 'resume', 'heal', 'cutOff'),
      which,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('slow' as const),
      which,
      delayMs: fc.integer({ min: 0, max: 12_000 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('lossy' as const),
      which,
      landsAfterMs: fc.integer({ min: 0, max: 40_000 }),
      everyNth: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('jump' as const),
      which,
      byMs: fc.integer({ min: -4_000_000, max: 4_000_000 }),
    }),
  },
);

/** How often the rule is checked while time passes. */
const SAMPLE_MS = 250;
/** The longest lease, pause of the last late write, and hand-over in a row. */
const HEALING_MS = 90_000;
const RUNS = 150;

class World {
  readonly clock: FakeClock = createFakeClock();
  readonly leases: MemoryLeases = createMemoryLeases(this.clock);
  readonly replicas: TestReplica[] = [];
  readonly #epochs = new Map<number, number>();
  #known = 0;
  #joined = 0;

  join(): void {
    if (this.replicas.filter(({ alive }) => alive).length >= 5) return;
    const identity = `r${(this.#joined += 1)}`;
    this.replicas.push(createReplica({ identity, leases: this.leases, clock: this.clock, yieldMs: 3_000 }));
  }

  /** How many there ever were. */
  holdings(): number {
    return this.replicas.reduce((sum, { holdings }) => sum + holdings.length, 0);
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= SAMPLE_MS) {
      await this.clock.advance(Math.min(left, SAMPLE_MS));
      this.check();
    }
  }

  /** Also of a replica that stands still: it may wake at any moment. */
  check(): void {
    const holders = new Map<number, string>();
    for (const replica of this.replicas)
      for (const { shard } of replica.acting()) {
        const other = holders.get(shard);
        if (other !== undefined) throw new Error(`${other} and ${replica.identity} may both act on ${shard}`);
        holders.set(shard, replica.identity);
      }
    this.#checkEpochs();
  }

  #checkEpochs(): void {
    const all = this.replicas.flatMap(({ holdings }) => holdings);
    if (all.length === this.#known) return;
    this.#known = all.length;
    const highest = new Map<number, number>();
    const seen = new Set<string>();
    for (const { shard, epoch } of all) {
      if (seen.has(`${shard} ${epoch}`)) throw new Error(`two holdings of ${shard} have epoch ${epoch}`);
      seen.add(`${shard} ${epoch}`);
      highest.set(shard, Math.max(epoch, highest.get(shard) ?? 0));
    }
    for (const [shard, epoch] of highest) {
      if (epoch < (this.#epochs.get(shard) ?? 0)) throw new Error(`the epoch of ${shard} went back`);
      this.#epochs.set(shard, epoch);
    }
  }

  /** Ends the bad days; somebody must be left. */
  async heal(): Promise<void> {
    for (const replica of this.replicas) {
      replica.fate = WELL;
      await replica.resume();
    }
    this.join();
    await this.pass(HEALING_MS);
  }
}

async function happen(world: World, event: Happening): Promise<void> {
  if (event.kind === 'wait') {
    await world.pass(event.ms);
    return;
  }
  if (event.kind === 'join') {
    world.join();
    return;
  }
  const living = world.replicas.filter(({ alive }) => alive);
  const replica = living[event.which % Math.max(living.length, 1)];
  if (replica === undefined) return;
  apply(replica, event);
  await world.pass(1);
}

function apply(replica: TestReplica, event: Exclude<Happening, { kind: 'wait' }>): void {
  switch (event.kind) {
    case 'join':
      break;
    case 'kill':
      replica.kill();
      break;
    case 'pause':
      replica.pause();
      break;
    case 'resume':
      void replica.resume();
      break;
    case 'stop':
      void replica.elector.stop({ release: true });
      break;
    case 'heal':
      replica.fate = WELL;
      break;
    case 'cutOff':
      replica.fate = () => ({ kind: 'refused' });
      break;
    case 'slow':
      replica.fate = () => ({ kind: 'answered', delayMs: event.delayMs });
      break;
    case 'lossy': {
      let calls = 0;
      replica.fate = (): Fate =>
        (calls += 1) % event.everyNth === 0
          ? { kind: 'lost', landsAfterMs: event.landsAfterMs }
          : { kind: 'answered', delayMs: 40 };
      break;
    }
    case 'jump':
      replica.jump(event.byMs);
      break;
    default:
      event satisfies never;
  }
}

describe('replicas on bad days', () => {
  it('never act on one shard at the same moment, and hold every shard again afterwards', async () => {
    let moved = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { minLength: 4, maxLength: 30 }), async (history) => {
        const world = new World();
        world.join();
        world.join();
        await world.pass(3_000);
        const before = world.holdings();
        for (const event of history) await happen(world, event);
        moved += world.holdings() - before;
        await world.heal();
        const acting = world.replicas.flatMap((replica) => replica.acting().map(({ shard }) => shard));
        expect(acting.sort((a, b) => a - b)).toEqual(
          Array.from({ length: SHARD_COUNT }, (_, shard) => shard),
        );
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
    // The histories are not empty: shards went from hand to hand in them.
    expect(moved).toBeGreaterThan(RUNS);
  }, 120_000);
});
