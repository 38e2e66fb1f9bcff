/**
 * Which calls were made? A bounded log of the latest ones, and counters over all of them by operation and
 * status. It is about the past only: nothing in the world depends on it, so it is no part of the state.
 */

export interface LoggedCall {
  /** Counts all calls, from 1. */
  readonly sequence: number;
  readonly operation: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly app?: string;
  readonly machine?: string;
  /** `user-agent` of the caller. */
  readonly agent?: string;
  /** When it arrived. */
  readonly at: number;
  /** Drawn time until it took effect. */
  readonly latencyMs: number;
  /** Fault that hit it. */
  readonly fault?: string;
  /** What was answered; null: not answered yet, or never. */
  status: number | null;
}

export interface CallLog {
  /** Adds a call that has arrived. */
  add(call: Omit<LoggedCall, 'sequence' | 'status'>): LoggedCall;
  /** Writes down how the call was answered; `lost`: the caller never saw an answer. */
  settle(call: LoggedCall, outcome: { status: number } | 'lost'): void;
  /** Oldest first, of those still kept: the calls after sequence number `since`, and of `app` alone. */
  list(filter: { app?: string; since?: number; limit?: number }): LoggedCall[];
  /** How many calls of an operation ended with a status: `{"Machines_create": {"200": 3, "lost": 1}}`. */
  counters(): Record<string, Record<string, number>>;
  clear(): void;
}

export function createCallLog({ size }: { size: number }): CallLog {
  const ring: (LoggedCall | undefined)[] = [];
  let sequence = 0;
  let counts = new Map<string, Map<string, number>>();

  return {
    add(call) {
      sequence += 1;
      const logged: LoggedCall = { sequence, ...call, status: null };
      ring[(sequence - 1) % size] = logged;
      return logged;
    },
    settle(call, outcome) {
      if (outcome !== 'lost') call.status = outcome.status;
      const statuses = counts.get(call.operation) ?? new Map<string, number>();
      const key = outcome === 'lost' ? 'lost' : String(outcome.status);
      statuses.set(key, (statuses.get(key) ?? 0) + 1);
      counts.set(call.operation, statuses);
    },
    list({ app, since = 0, limit = size }) {
      const found: LoggedCall[] = [];
      for (let next = Math.max(since, sequence - size); next < sequence && found.length < limit; next++) {
        const call = ring[next % size];
        // After a clear the slots of earlier calls are empty, or hold what was added since.
        if (call !== undefined && call.sequence === next + 1 && (app === undefined || call.app === app))
          found.push(call);
      }
      return found;
    },
    counters: () =>
      Object.fromEntries(
        [...counts].map(([operation, statuses]) => [operation, Object.fromEntries(statuses)]),
      ),
    clear() {
      ring.fill(undefined);
      counts = new Map();
    },
  };
}
