/**
 * Which slice of the work does a key belong to, and what are leases called? Keys hash into a fixed number of shards;
 * a shard has a lease, and so has every replica.
 */
import { createHash } from 'node:crypto';

/**
 * So many replicas can share the work, and so many leases exist. Not a setting: replicas that count differently
 * would both act on one key. To change it, stop every replica first.
 */
export const SHARD_COUNT = 16;

/** The shard of a key, the same in every replica and every version of Landlord: from 0 to SHARD_COUNT - 1. */
export function shardOf(key: string): number {
  return createHash('sha256').update(key).digest().readUInt32BE(0) % SHARD_COUNT;
}

const SHARD_NAME = /^shard-(\d{2})$/;
const REPLICA_PREFIX = 'replica-';

/** `shard-07` */
export function shardLease(shard: number): string {
  return `shard-${String(shard).padStart(2, '0')}`;
}

/** `replica-<identity>` */
export function replicaLease(identity: string): string {
  return `${REPLICA_PREFIX}${identity}`;
}

/** Undefined for the lease of a replica, and for what is not ours. */
export function shardOfLease(name: string): number | undefined {
  const digits = SHARD_NAME.exec(name)?.[1];
  const shard = Number(digits);
  return digits === undefined || shard >= SHARD_COUNT ? undefined : shard;
}

export function isReplicaLease(name: string): boolean {
  return name.startsWith(REPLICA_PREFIX);
}
