/**
 * Where are leases kept, and what must that place promise? One port with two adapters (`src/leases`). All that the
 * election builds on is here: a read shows one moment, a write happens only to the version that it names, and a
 * call that failed may have happened all the same, even later.
 */

/** One record: the lease of a replica (its heartbeat) or of a shard. */
export interface LeaseRecord {
  /** Unique; see `names.ts`. */
  readonly name: string;
  /** Who has it; empty when nobody has. */
  readonly holder: string;
  /** How often it has gone to a new holder: of a shard, the epoch of whoever holds it now. */
  readonly transitions: number;
  /** Opaque. Another one after every write, and never used twice for a name, also when the record was made anew. */
  readonly version: string;
}

export interface LeaseWrite {
  readonly name: string;
  readonly holder: string;
  readonly transitions: number;
  /** Version that the record must still have; undefined: it must not exist yet. */
  readonly expected: string | undefined;
}

/**
 * Every function rejects when it cannot tell whether it happened, and may ignore its signal: whoever calls it waits
 * no longer than he wants.
 */
export interface LeaseBackend {
  /** All records as they were at one moment no earlier than the call: never from a cache or a follower. */
  list(signal: AbortSignal): Promise<readonly LeaseRecord[]>;
  /** The record as written; undefined when it no longer has the expected version (or exists, when it must not). */
  put(write: LeaseWrite, signal: AbortSignal): Promise<LeaseRecord | undefined>;
  /** False when the record no longer has that version. */
  remove(record: Pick<LeaseRecord, 'name' | 'version'>, signal: AbortSignal): Promise<boolean>;
}
