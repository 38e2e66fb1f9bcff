/**
 * Does this replica live, as far as the others can know? It renews one record, and each success is a permit for a
 * while, counted from before the call.
 */
import type { Clock } from '../../clock.ts';
import type { LeaseBackend, LeaseRecord } from './backend.ts';
import { bounded } from './bounded.ts';
import { replicaLease } from './shards.ts';
import { startStopwatch, type LeaseTiming } from './timing.ts';

export interface Heartbeat {
  /** Of the record. */
  readonly name: string;
  /** How long the permit still lasts; not positive: nothing may be done that changes anything. */
  freshForMs(): number;
  /** True when it went well, false when the record is not as we left it: then `recover`. Rejects when unknown. */
  renew(): Promise<boolean>;
  /**
   * Goes on from what a fresh read shows. True: the record is there, so an answer of ours was lost. False: others have
   * removed it, and all that we held is anybody's.
   */
  recover(records: readonly LeaseRecord[]): boolean;
  /** Removes the record, so that others need not wait for its end. Rejects when unknown. */
  leave(): Promise<void>;
}

export interface HeartbeatOptions {
  /** Nobody else who lives may have it: a record of that name that we find at the start was left by the dead. */
  readonly identity: string;
  readonly backend: LeaseBackend;
  readonly clock: Clock;
  readonly timing: LeaseTiming;
}

export function createHeartbeat({ identity, backend, clock, timing }: HeartbeatOptions): Heartbeat {
  const name = replicaLease(identity);
  const limit = { clock, limitMs: timing.callTimeoutMs };
  let version: string | undefined;
  let ageMs: (() => number) | undefined;

  return {
    name,
    freshForMs: () => (ageMs === undefined ? 0 : timing.renewDeadlineMs - ageMs()),
    async renew() {
      const sinceNow = startStopwatch(clock);
      const wish = { name, holder: identity, transitions: 0, expected: version };
      const written = await bounded((signal) => backend.put(wish, signal), limit);
      if (written === undefined) return false;
      version = written.version;
      ageMs = sinceNow;
      return true;
    },
    recover(records) {
      version = records.find((record) => record.name === name)?.version;
      return version !== undefined;
    },
    async leave() {
      if (version === undefined) return;
      const record = { name, version };
      await bounded((signal) => backend.remove(record, signal), limit);
      version = undefined;
      ageMs = undefined;
    },
  };
}
