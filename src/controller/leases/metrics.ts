/** What can an operator see of the leases? Made once for a registry; counters begin at zero for every label. */
import { Counter, Gauge, type Registry } from 'prom-client';

/** Ways in which a shard came to this replica or left it. */
const MOVES = ['taken', 'given_up', 'lost'] as const;

export interface LeaseMeter {
  moved(move: (typeof MOVES)[number], shards: number): void;
  /** A renewal that did not succeed, or of which nothing is known. */
  renewalFailed(): void;
}

/** Read at the moment of a scrape. */
export interface LeaseGauges {
  readonly identity: string;
  readonly held: number;
  readonly replicas: number;
}

export function createLeaseMeter(registry: Registry, gauges: LeaseGauges): LeaseMeter {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  gauge('landlord_shards_held', 'Shards whose lease this replica has.', () => gauges.held);
  gauge('landlord_replicas', 'Replicas that live, as this one sees it.', () => gauges.replicas);
  new Gauge({
    name: 'landlord_replica_info',
    help: 'Always 1; the name of this replica among the others.',
    labelNames: ['replica'],
    registers,
  }).set({ replica: gauges.identity }, 1);
  const moves = new Counter({
    name: 'landlord_shard_moves_total',
    help: 'Leases of shards that this replica took, gave up, or lost.',
    labelNames: ['move'] as const,
    registers,
  });
  const failures = new Counter({
    name: 'landlord_lease_renew_failures_total',
    help: "Renewals of this replica's lease that failed.",
    registers,
  });
  for (const move of MOVES) moves.inc({ move }, 0);
  return {
    moved: (move, shards) => moves.inc({ move }, shards),
    renewalFailed: () => failures.inc(),
  };
}
