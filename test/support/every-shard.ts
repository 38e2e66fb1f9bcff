/** The election of a replica that is alone for ever: it has every shard from the start. For tests of what acts. */
import type { Elector } from '../../src/controller/leases/elector.ts';
import { SHARD_COUNT, shardOf } from '../../src/controller/leases/shards.ts';

export function everyShard(): Elector {
  const holdings = Array.from({ length: SHARD_COUNT }, (_, shard) => ({
    shard,
    epoch: 1,
    mayAct: () => true,
  }));
  return {
    holdingOf: (key) => holdings[shardOf(key)],
    held: SHARD_COUNT,
    replicas: 1,
    healthy: true,
    subscribe: () => undefined,
    start: () => undefined,
    stop: () => Promise.resolve(),
  };
}
