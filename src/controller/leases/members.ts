/**
 * Which replicas live? Each has a record that it renews. Whoever sees one unchanged for the whole duration of a lease,
 * by its own clock from when it first saw that version, may remove it; and only by removing it does its owner die. So
 * a removal and a renewal cannot both succeed, and the times of two machines are never compared.
 */
import type { Clock } from '../../clock.ts';
import type { LeaseRecord } from './backend.ts';
import { isReplicaLease } from './shards.ts';

export interface Members {
  /** Takes in what a fresh read has shown. */
  observe(records: readonly LeaseRecord[]): void;
  /** Those that were silent for too long when they were last observed. */
  expired(): readonly LeaseRecord[];
  /** The record was removed: its owner holds nothing any more. */
  forget(name: string): void;
  /** Holders that live: what they have is not free. */
  holders(): ReadonlySet<string>;
  /** Names of the records, for sharing. */
  names(): readonly string[];
}

interface Sighting {
  readonly record: LeaseRecord;
  /** When this version was first seen, and when it was last confirmed; in the monotonic clock's time. */
  readonly since: number;
  readonly seenAt: number;
}

/** `me` is the name of our own record, which we never judge. */
export function createMembers(options: {
  readonly clock: Clock;
  readonly me: string;
  readonly durationMs: number;
}): Members {
  const { clock, me, durationMs } = options;
  let sightings = new Map<string, Sighting>();
  return {
    observe(records) {
      const seenAt = clock.monotonic();
      const next = records
        .filter(({ name }) => isReplicaLease(name))
        .map((record): [string, Sighting] => {
          const known = sightings.get(record.name);
          const since = known?.record.version === record.version ? known.since : seenAt;
          return [record.name, { record, since, seenAt }];
        });
      sightings = new Map(next);
    },
    expired: () =>
      [...sightings.values()]
        .filter(({ record, since, seenAt }) => record.name !== me && seenAt - since >= durationMs)
        .map(({ record }) => record),
    forget: (name) => void sightings.delete(name),
    holders: () => new Set([...sightings.values()].map(({ record }) => record.holder)),
    names: () => [...sightings.keys()],
  };
}
