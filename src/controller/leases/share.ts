/**
 * How do replicas share the shards? A pure rule that each applies to what it sees: shares differ by one at most, no
 * replica has a say over another, and once all see the same members nothing moves any more.
 */
import { SHARD_COUNT } from './shards.ts';

export interface Shared {
  /** Shards to take, of those that are free. */
  readonly take: readonly number[];
  /** Shards to give up, of those that are ours. */
  readonly giveUp: readonly number[];
}

export interface Seen {
  readonly me: string;
  /** All replicas that live, with me among them. */
  readonly members: readonly string[];
  readonly mine: readonly number[];
  /** Shards that nobody has who lives. */
  readonly free: readonly number[];
}

/** The shards that `me` should have: the rest of the division goes to the first members by name. */
export function quotaOf(me: string, members: readonly string[]): number {
  const rank = [...members].sort().indexOf(me);
  const count = Math.max(members.length, 1);
  return Math.floor(SHARD_COUNT / count) + (rank < SHARD_COUNT % count ? 1 : 0);
}

/** What `me` does about its share now. The highest shards go first, so that the others stay where they are. */
export function shareOut({ me, members, mine, free }: Seen): Shared {
  const quota = quotaOf(me, members);
  const surplus = Math.max(mine.length - quota, 0);
  const giveUp = [...mine].sort((a, b) => b - a).slice(0, surplus);
  return { take: inMyOrder({ me, members, free }).slice(0, Math.max(quota - mine.length, 0)), giveUp };
}

/** Each replica begins elsewhere among the free shards, so that two that see them at once do not want the same. */
function inMyOrder({ me, members, free }: Pick<Seen, 'me' | 'members' | 'free'>): number[] {
  const rank = [...members].sort().indexOf(me);
  const sorted = [...free].sort((a, b) => a - b);
  const isOfMyRank = (_: number, index: number): boolean => index % members.length === rank;
  return [...sorted.filter(isOfMyRank), ...sorted.filter((shard, index) => !isOfMyRank(shard, index))];
}
