/**
 * What goes wrong, and when? A plan of faults in the state: each names an operation, which of its calls to hit,
 * and what becomes of them. The nastiest are those where the work is done and the caller never learns of it.
 */
import { z } from 'zod';

/**
 * - `status`: answered so, without effect.
 * - `hang`: no effect and never an answer.
 * - `reset`: no effect, the connection is cut.
 * - `applied-answer-lost`: the effect takes place, then the connection is cut.
 * - `late`: the effect takes place, the answer comes `afterMs` later than usual.
 * - `nonsense`: the effect takes place, and 200 with something else than JSON is the answer.
 */
export const faultKinds = ['status', 'hang', 'reset', 'applied-answer-lost', 'late', 'nonsense'] as const;

export type FaultKind = (typeof faultKinds)[number];

/** What the control surface takes. */
export const faultBody = z.strictObject({
  /** OpenAPI's operationId, or `*` for all of them. */
  operation: z.string().min(1),
  app: z.string().optional(),
  /** The first call that it hits, counted from when it was set; 1 is the next one. */
  occurrence: z.int().min(1).default(1),
  /** How many calls in a row it hits. */
  count: z.int().min(1).default(1),
  kind: z.enum(faultKinds),
  status: z.int().min(400).max(599).optional(),
  /** Answered instead of the usual body: text as it is, anything else as JSON. */
  body: z.unknown().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  afterMs: z.number().min(0).max(600_000).optional(),
});

export type FaultPlan = z.input<typeof faultBody>;

/** One planned fault and what became of it. */
export interface Fault {
  readonly id: number;
  readonly operation: string;
  readonly app?: string;
  readonly occurrence: number;
  readonly count: number;
  readonly kind: FaultKind;
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly afterMs?: number;
  /** Calls that matched since it was set. */
  seen: number;
  /** Calls that it hit. */
  fired: number;
}

/** All of Fly at once, until it is switched off. */
export interface Outage {
  readonly kind: 'status' | 'hang' | 'reset';
  readonly status?: number;
}

/** What happens to one call. */
export type Hit = Pick<Fault, 'kind' | 'status' | 'body' | 'headers' | 'afterMs'>;

/** Counts the call against every planned fault; the first that it falls into happens to it. */
export function hitBy(
  faults: Fault[],
  outage: Outage | null,
  call: { operation: string; app: string | undefined },
): Hit | undefined {
  let hit: Hit | undefined = outage ?? undefined;
  for (const fault of faults) {
    if (fault.operation !== '*' && fault.operation !== call.operation) continue;
    if (fault.app !== undefined && fault.app !== call.app) continue;
    fault.seen += 1;
    if (hit !== undefined || fault.seen < fault.occurrence || fault.fired >= fault.count) continue;
    fault.fired += 1;
    hit = fault;
  }
  return hit;
}

/** Without effect on the world. */
export function isWithoutEffect(kind: FaultKind): boolean {
  return kind === 'status' || kind === 'hang' || kind === 'reset';
}
