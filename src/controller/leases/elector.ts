/**
 * Which shards does this replica have, and how does it get and keep them? Round after round: renew the own lease, look
 * at all of them, remove those of the dead, and move towards a fair share. Only rounds write, one after the other, and
 * a shard is held only after an answered compare-and-swap: so it does not matter when an unanswered write lands.
 */
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { sleep, type Clock } from '../../clock.ts';
import type { LeaseBackend, LeaseRecord } from './backend.ts';
import { bounded } from './bounded.ts';
import { createHeartbeat, type Heartbeat } from './heartbeat.ts';
import { createHoldings, type Holding, type Holdings, type ShardHandlers } from './holdings.ts';
import { createMembers, type Members } from './members.ts';
import { createLeaseMeter, type LeaseMeter } from './metrics.ts';
import { SHARD_COUNT, shardLease, shardOf, shardOfLease } from './shards.ts';
import { shareOut } from './share.ts';
import { LEASE_TIMING, type LeaseTiming } from './timing.ts';

export interface ElectorOptions {
  /** See {@link HeartbeatOptions.identity}. */
  readonly identity: string;
  readonly backend: LeaseBackend;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Registry;
  readonly timing?: LeaseTiming;
}

export interface Elector {
  /** The holding that work on the key may begin under; undefined while it is another replica's. */
  holdingOf(key: string): Holding | undefined;
  /** How many shards this replica has. */
  readonly held: number;
  /** Replicas that live, this one among them. */
  readonly replicas: number;
  /** False while leases cannot be renewed. To hold no shard is healthy: such a replica stands by. */
  readonly healthy: boolean;
  /** Tells of every shard that comes and goes from now on; before `start`. */
  subscribe(handlers: ShardHandlers): void;
  /** Joins the others and takes its share. Once. */
  start(): void;
  /**
   * Ends every holding. `release`: others may take the shards at once; without it they wait for the lease's end, which
   * is for whoever cannot say that nothing is under way any more.
   */
  stop(options: { readonly release: boolean }): Promise<void>;
}

export function createElector(options: ElectorOptions): Elector {
  return new ShardElector(options);
}

class ShardElector implements Elector {
  readonly identity: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #backend: LeaseBackend;
  readonly #timing: LeaseTiming;
  readonly #heartbeat: Heartbeat;
  readonly #members: Members;
  readonly #meter: LeaseMeter | undefined;
  readonly #stopping = new AbortController();
  readonly #holdings: Holdings;
  #running: Promise<void> = Promise.resolve();
  #nap = new AbortController();
  #cancelLapse: () => void = () => undefined;
  #trouble: string | undefined;

  constructor(options: ElectorOptions) {
    const { identity, backend, clock, log, metrics, timing = LEASE_TIMING } = options;
    this.identity = identity;
    this.#clock = clock;
    this.#log = log;
    this.#backend = backend;
    this.#timing = timing;
    this.#heartbeat = createHeartbeat({ ...options, timing });
    const me = this.#heartbeat.name;
    this.#members = createMembers({ clock, me, durationMs: timing.durationMs });
    this.#holdings = createHoldings({ isFresh: () => this.healthy });
    this.#meter = metrics && createLeaseMeter(metrics, this);
  }

  holdingOf(key: string): Holding | undefined {
    return this.#holdings.get(shardOf(key));
  }

  get held(): number {
    return this.#holdings.shards.length;
  }

  get replicas(): number {
    return this.#members.names().length;
  }

  get healthy(): boolean {
    return this.#heartbeat.freshForMs() > 0;
  }

  subscribe(handlers: ShardHandlers): void {
    this.#holdings.subscribe(handlers);
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop({ release }: { readonly release: boolean }): Promise<void> {
    this.#stopping.abort();
    this.#nap.abort();
    await this.#running;
    this.#cancelLapse();
    const held = this.#holdings.lose().length;
    if (!release) return;
    try {
      await this.#heartbeat.leave();
      if (held > 0) this.#log.info(`gave up all ${held} shards: other replicas may take them now`);
    } catch (error) {
      const cause = messageOf(error);
      this.#log.warn({ cause }, 'cannot give up the leases; other replicas take over when they run out');
    }
  }

  async #run(): Promise<void> {
    const { retryMs } = this.#timing;
    while (!this.#isStopping()) {
      this.#nap = new AbortController();
      await this.#tryRound();
      if (this.#isStopping()) return;
      // Spread downwards, so that replicas that were started together do not stay together.
      await sleep(this.#clock, retryMs * (1 - 0.2 * this.#clock.random()), this.#nap.signal);
    }
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #tryRound(): Promise<void> {
    try {
      // A second time when the record was not as we had left it: then we know now how it is.
      if (!(await this.#round())) await this.#round();
      if (this.#trouble !== undefined) this.#log.info('leases can be renewed again');
      this.#trouble = undefined;
    } catch (error) {
      const cause = messageOf(error);
      if (cause !== this.#trouble) this.#log.warn({ cause }, 'cannot look after the leases; trying again');
      this.#trouble = cause;
    }
  }

  /** False: the own lease was not renewed, but it is known now why. Rejects when something is not known. */
  async #round(): Promise<boolean> {
    // A process that stood still has missed its alarm.
    if (!this.healthy) this.#loseAll();
    const renewed = await this.#renew();
    const records = await this.#call((signal) => this.#backend.list(signal));
    if (!renewed) {
      if (!this.#heartbeat.recover(records)) this.#loseAll();
      return false;
    }
    this.#members.observe(records);
    await this.#removeExpired();
    await this.#share(records);
    return true;
  }

  async #renew(): Promise<boolean> {
    let renewed = false;
    try {
      renewed = await this.#heartbeat.renew();
      if (renewed) this.#armLapse();
      return renewed;
    } finally {
      if (!renewed) this.#meter?.renewalFailed();
    }
  }

  /** The alarm that cuts off what is under way. Whatever it misses, the permit itself is over at the same time. */
  #armLapse(): void {
    this.#cancelLapse();
    this.#cancelLapse = this.#clock.setTimer(this.#heartbeat.freshForMs(), () => {
      // A timer may be a moment early.
      if (this.healthy) this.#armLapse();
      else this.#loseAll();
    });
  }

  #loseAll(): void {
    this.#lose(this.#holdings.shards);
  }

  #lose(shards: readonly number[]): void {
    const lost = this.#holdings.lose(shards);
    if (lost.length === 0) return;
    this.#meter?.moved('lost', lost.length);
    this.#log.warn({ shards: lost }, `lost ${lost.length} shards: the lease could not be renewed in time`);
  }

  async #removeExpired(): Promise<void> {
    for (const record of this.#members.expired()) {
      if (!(await this.#call((signal) => this.#backend.remove(record, signal)))) continue;
      this.#members.forget(record.name);
      this.#log.warn({ replica: record.holder }, 'a replica has stopped renewing: its shards are free');
    }
  }

  async #share(records: readonly LeaseRecord[]): Promise<void> {
    const shards = new Map(records.map((record) => [shardOfLease(record.name), record]));
    const me = this.identity;
    const alive = this.#members.holders();
    this.#holdings.endYielded();
    this.#lose(this.#holdings.shards.filter((shard) => shards.get(shard)?.holder !== me));
    const held = new Set(this.#holdings.shards);
    // What is ours by name and not held was taken or given up in a call whose answer was lost.
    const isFree = (shard: number): boolean => {
      const holder = shards.get(shard)?.holder ?? '';
      return !held.has(shard) && (holder === me || !alive.has(holder));
    };
    const { take, giveUp } = shareOut({
      me: this.#heartbeat.name,
      members: this.#members.names(),
      mine: this.#holdings.kept,
      free: Array.from({ length: SHARD_COUNT }, (_, shard) => shard).filter(isFree),
    });
    for (const shard of giveUp) this.#holdings.yieldUp(shard, () => this.#nap.abort());
    const surplus = [...shards].flatMap(([shard, record]) =>
      shard !== undefined && record.holder === me && !held.has(shard) && !take.includes(shard) ? record : [],
    );
    await this.#takeAll(take, shards);
    await this.#releaseAll(surplus);
  }

  async #takeAll(
    take: readonly number[],
    records: ReadonlyMap<number | undefined, LeaseRecord>,
  ): Promise<void> {
    const taken: Record<number, number> = {};
    const attempts = take.map(async (shard) => {
      const record = records.get(shard);
      const wish = {
        name: shardLease(shard),
        holder: this.identity,
        transitions: (record?.transitions ?? 0) + 1,
        expected: record?.version,
      };
      const written = await this.#call((signal) => this.#backend.put(wish, signal));
      if (written === undefined || !this.healthy) return;
      taken[shard] = written.transitions;
      this.#holdings.add(shard, written.transitions);
    });
    const outcomes = await Promise.allSettled(attempts);
    const count = Object.keys(taken).length;
    if (count > 0) {
      this.#meter?.moved('taken', count);
      this.#log.info(
        { epochs: taken },
        `took ${count} shards, has ${this.#holdings.shards.length} of ${SHARD_COUNT}`,
      );
    }
    throwFirst(outcomes);
  }

  async #releaseAll(records: readonly LeaseRecord[]): Promise<void> {
    const releases = records.map(({ name, transitions, version }) =>
      this.#call((signal) => this.#backend.put({ name, holder: '', transitions, expected: version }, signal)),
    );
    const outcomes = await Promise.allSettled(releases);
    if (records.length > 0) {
      this.#meter?.moved('given_up', records.length);
      this.#log.info(`gave up ${records.length} shards for other replicas`);
    }
    throwFirst(outcomes);
  }

  #call<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return bounded(call, { clock: this.#clock, limitMs: this.#timing.callTimeoutMs });
  }
}

function throwFirst(outcomes: readonly PromiseSettledResult<unknown>[]): void {
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'an unknown error';
}
