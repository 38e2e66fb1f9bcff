/**
 * Which shards may this replica act on? A holding is the time from taking a shard's lease to losing it. Its permit
 * never comes back: who takes the shard again has another holding, with a higher epoch.
 */

export interface Holding {
  readonly shard: number;
  /** Grows each time the shard's lease is taken, by whomever: of two holdings the later one has the higher. */
  readonly epoch: number;
  /** To be asked at the very last moment before anything is changed, because a process may have stood still. */
  readonly mayAct: () => boolean;
}

/** What a holding means to those who act. */
export interface ShardHandlers {
  /** Begin: look at every key of the shard, because nothing is known of what happened to it meanwhile. */
  acquired(holding: Holding): void;
  /** Begin nothing new; resolves, and never rejects, when nothing is under way any more. Acting is allowed until then. */
  yielding(holding: Holding): Promise<void>;
  /** Cut off what is under way: it may do nothing any more. */
  lost(holding: Holding): void;
}

interface Held extends Holding {
  /** `yielded`: nothing is under way any more, so the lease may be given back. */
  state: 'held' | 'yielding' | 'yielded';
  revoked: boolean;
}

export interface Holdings {
  subscribe(handlers: ShardHandlers): void;
  /** Undefined when no work may begin there. */
  get(shard: number): Holding | undefined;
  /** Shards of which no other holder can know, whatever their state. */
  readonly shards: readonly number[];
  /** Those that are not being given up. */
  readonly kept: readonly number[];
  add(shard: number, epoch: number): void;
  /** Begins to give up a shard; calls back when that is done. */
  yieldUp(shard: number, onYielded: () => void): void;
  /** Ends the holdings that were given up. */
  endYielded(): void;
  /** Ends holdings at once; all of them when none is named. Answers with those that there were. */
  lose(shards?: readonly number[]): readonly number[];
}

export function createHoldings(options: {
  /** Whether the replica's own lease is good. */
  readonly isFresh: () => boolean;
}): Holdings {
  const { isFresh } = options;
  const subscribers: ShardHandlers[] = [];
  const all = new Map<number, Held>();

  function end(held: Held): void {
    held.revoked = true;
    all.delete(held.shard);
  }

  return {
    subscribe: (handlers) => void subscribers.push(handlers),
    get(shard) {
      const held = all.get(shard);
      return held?.state === 'held' && held.mayAct() ? held : undefined;
    },
    get shards() {
      return [...all.keys()];
    },
    get kept() {
      return [...all.values()].filter(({ state }) => state === 'held').map(({ shard }) => shard);
    },
    add(shard, epoch) {
      const held: Held = {
        shard,
        epoch,
        state: 'held',
        revoked: false,
        mayAct: () => !held.revoked && isFresh(),
      };
      all.set(shard, held);
      for (const handlers of subscribers) handlers.acquired(held);
    },
    yieldUp(shard, onYielded) {
      const held = all.get(shard);
      if (held?.state !== 'held') return;
      held.state = 'yielding';
      void Promise.all(subscribers.map((handlers) => handlers.yielding(held))).then(() => {
        held.state = 'yielded';
        onYielded();
      });
    },
    endYielded() {
      for (const held of all.values()) if (held.state === 'yielded') end(held);
    },
    lose(shards = [...all.keys()]) {
      const losing = shards.flatMap((shard) => all.get(shard) ?? []);
      for (const held of losing) end(held);
      for (const held of losing) for (const handlers of subscribers) handlers.lost(held);
      return losing.map(({ shard }) => shard);
    },
  };
}
