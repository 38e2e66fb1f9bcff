/**
 * How is a controller bound to the shards that this replica has? Keys of other shards are not admitted, each pass runs
 * under the permit of the holding in which it began, and whatever goes on in a shard that is lost is cut off.
 */
import type { Controller } from '../controller.ts';
import { WaitingError } from '../outcome.ts';
import type { Reconcile } from '../pass.ts';
import type { Elector } from './elector.ts';
import type { Holding } from './holdings.ts';
import { shardOf } from './shards.ts';

/** How long passes may go on in a shard that is given up; another replica waits for it. */
const YIELD_MS = 5_000;

export interface ShardedWork {
  readonly admits: (key: string) => boolean;
  readonly reconcile: Reconcile;
  /** From now on the controller follows the shards; `wakeShard` enqueues every key of a shard that was taken. */
  bind(controller: Controller, wakeShard: (shard: number) => void): void;
}

/** `reconcileUnder` makes the reconciler of one holding: all that it changes, it changes under that permit. */
export function shardWork(
  elector: Pick<Elector, 'holdingOf' | 'subscribe'>,
  reconcileUnder: (mayAct: () => boolean) => Reconcile,
): ShardedWork {
  const reconcilers = new WeakMap<Holding, Reconcile>();

  function reconcilerOf(holding: Holding): Reconcile {
    const reconcile = reconcilers.get(holding) ?? reconcileUnder(holding.mayAct);
    reconcilers.set(holding, reconcile);
    return reconcile;
  }

  return {
    admits: (key) => elector.holdingOf(key) !== undefined,
    reconcile(key, context) {
      const holding = elector.holdingOf(key);
      // Lost since the key was handed out; dropped, because it is not admitted any more.
      if (holding === undefined)
        throw new WaitingError('ShardLost', `cannot reconcile "${key}": its shard was lost`, {
          retryAfterMs: 0,
        });
      const log = context.log.child({ epoch: holding.epoch });
      return reconcilerOf(holding)(key, { ...context, log });
    },
    bind(controller, wakeShard) {
      const isIn =
        ({ shard }: Holding) =>
        (key: string): boolean =>
          shardOf(key) === shard;
      elector.subscribe({
        acquired: ({ shard }) => wakeShard(shard),
        async yielding(holding) {
          await controller.release(isIn(holding), { deadlineMs: YIELD_MS });
        },
        lost: (holding) => void controller.release(isIn(holding), { deadlineMs: 0 }),
      });
    },
  };
}
