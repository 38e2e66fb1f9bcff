/**
 * What is a history? Plain data that says everything that people, Fly and bad luck do to a landlord, and a seed for
 * all that is left to chance. The same history always has the same trace; a part taken out of it is a history again.
 */
import type { TenantSpec } from '../../src/tenant/schema.ts';
import type { Fault } from './wire.ts';

/** What somebody does to one tenant; tenants are counted from 0. */
export type TenantAct =
  | { readonly do: 'create'; readonly tenant: number; readonly spec: Partial<TenantSpec> }
  | { readonly do: 'edit'; readonly tenant: number; readonly spec: Partial<TenantSpec> }
  /** Takes the image out of the spec. */
  | { readonly do: 'undeploy'; readonly tenant: number }
  | { readonly do: 'restart' | 'retry' | 'rotate'; readonly tenant: number }
  /** By annotation: nothing is to change on Fly; and everything may again. */
  | { readonly do: 'pause' | 'unpause'; readonly tenant: number }
  | {
      readonly do: 'set-secret';
      readonly tenant: number;
      readonly name: string;
      readonly value: string | null;
    }
  | { readonly do: 'delete'; readonly tenant: number }
  /** Asks for what the schema or a rule forbids. */
  | { readonly do: 'misedit'; readonly tenant: number; readonly spec: Readonly<Record<string, unknown>> };

/** What happens on Fly to one tenant behind everybody's back. */
export type FlyAct = {
  readonly do:
    | 'destroy-machine'
    | 'crash-machine'
    | 'migrate-machine'
    | 'idle-machine'
    | 'request'
    | 'release-address'
    | 'delete-certificate'
    | 'change-secret'
    | 'lose-volume';
  readonly tenant: number;
};

/** What happens to the whole of Fly, the store, or the daemons, for so long. */
export type WorldAct =
  | { readonly do: 'outage'; readonly kind: 'status' | 'hang' | 'reset'; readonly forMs: number }
  | { readonly do: 'no-capacity' | 'deaf-watches' | 'stall'; readonly forMs: number }
  | { readonly do: 'set-clock'; readonly byMs: number }
  | { readonly do: 'cut-watches' | 'compact-store' | 'kill' };

export type Act = { readonly atMs: number } & (TenantAct | FlyAct | WorldAct);

export interface History {
  /** Of everything that no line of the history says. */
  readonly seed: number;
  /** How slow Fly is: its latencies are multiplied by this. */
  readonly latency: number;
  /** Lists show what was so long ago, times `latency`; up to two seconds when absent. */
  readonly listLagMs?: number;
  /** In the order of their times, counted from the beginning. */
  readonly acts: readonly Act[];
  /** How many daemons there are; one when absent, which then has no need of leases. */
  readonly replicas?: number;
  /** How many passes a daemon has in flight at once; as many as in production when absent. */
  readonly workers?: number;
  /** True: each act waits, whatever its time, until everything is as it should be after the one before. */
  readonly patient?: true;
  readonly faults: readonly Fault[];
  /** At the end, look for so long whether anything is written although nothing has to be. */
  readonly quietMs: number;
}

/** The history in words, one line for each thing that somebody or something does. */
export function describeHistory(history: History): string[] {
  const { seed, latency, listLagMs, replicas = 1, workers, acts, patient, faults, quietMs } = history;
  const lag = listLagMs === undefined ? '' : `, its lists lag behind by ${(listLagMs * latency) / 1_000} s`;
  const hands = workers === undefined ? '' : ` with ${workers} workers`;
  return [
    `seed ${seed}, ${replicas} daemons${hands}, Fly takes ${latency} times its usual time${lag}, ${quietMs / 1_000} s of quiet at the end`,
    ...acts.map(
      (act) => `${patient ? 'then' : `at ${(act.atMs / 1_000).toFixed(3)} s`}: ${describeAct(act)}`,
    ),
    ...faults.map(describeFault),
  ];
}

/** The fault in words. */
export function describeFault({ site, occurrence, times = 1, fate }: Fault): string {
  const calls = times === 1 ? `call ${occurrence}` : `calls ${occurrence} to ${occurrence + times - 1}`;
  return `${calls} of ${site}: ${fate}`;
}

function describeAct({ atMs: _, ...act }: Act): string {
  const who = 'tenant' in act ? ` tenant ${act.tenant}` : '';
  const { do: verb, ...rest } = act;
  const details = Object.entries(rest).filter(([key]) => key !== 'tenant');
  const more = details.map(([key, value]) => ` ${key} ${JSON.stringify(value)}`).join('');
  return `${verb.replaceAll('-', ' ')}${who}${more}`;
}
