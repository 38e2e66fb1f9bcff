/**
 * Is every state of a small world reached and left as it should be? One tenant, so many edits and so many faults, each
 * at any call: breadth first, and no further where a state is reached that was seen before, with as much still to come.
 * A state is what `fingerprint.ts` says; every path to one is a history that `--history` lives again.
 */
import type { Violation } from '../invariants/invariant.ts';
import type { OnLived } from './enumerate.ts';
import type { Fate } from './fate.ts';
import { digest, lasting } from './fingerprint.ts';
import { isRead } from './generate.ts';
import type { Act, History, TenantAct } from './history.ts';
import { EPOCH_MS } from './kernel.ts';
import { imageNamed } from './people.ts';
import { runHistory } from './run.ts';
import type { Onlooker, Stage } from './stage.ts';
import type { Fault } from './wire.ts';

/** What may still happen. */
interface Budget {
  readonly edits: number;
  readonly faults: number;
}

export interface Exploration {
  /** Distinct states at the beginning of a call. */
  readonly states: number;
  /** Histories that were lived, at least from their last event to a known state or to the end. */
  readonly histories: number;
  readonly failed: readonly { readonly history: History; readonly violations: readonly Violation[] }[];
}

const EDITS: readonly TenantAct[] = [
  { do: 'edit', tenant: 0, spec: { state: 'Suspended' } },
  { do: 'edit', tenant: 0, spec: { image: imageNamed('world') } },
  { do: 'undeploy', tenant: 0 },
  { do: 'delete', tenant: 0 },
];

/** What can become of a call that changes something; one that only reads can be the last one of a daemon. */
const FATES: readonly Fate[] = ['crash-on-effect', 'answer-lost', 'effect-late'];

const BIRTH: History = {
  ...{ seed: 1, latency: 0, faults: [], quietMs: 0 },
  acts: [{ atMs: 0, do: 'create', tenant: 0, spec: { image: imageNamed('hello') } }],
};

/** Calls that belong to no pass: the state at any of them is one at another call, too. */
const APART = /_org_list$|^store\.list$|_wait$/;

/** The state was seen before: what follows from it is known. */
class KnownState extends Error {}

interface Node extends Budget {
  readonly history: History;
}

export interface Scope extends Budget {
  /** Whether what the running pass has seen and called so far belongs to a state; or only what outlives a daemon. */
  readonly memory: boolean;
  /** Called for every number of edits and faults that there can be: the histories with so many are lived next. */
  readonly onLevel?: (events: number) => OnLived;
}

/** Explores everything within the scope. */
export async function explore({ memory, onLevel, ...budget }: Scope): Promise<Exploration> {
  const seen = new Map<string, Budget[]>();
  const failed: { history: History; violations: readonly Violation[] }[] = [];
  let level: Node[] = [{ ...budget, history: BIRTH }];
  let histories = 0;
  for (let events = 0; level.length > 0; events += 1) {
    const onLived = onLevel?.(events);
    const next: Node[] = [];
    for (const [index, node] of level.entries()) {
      histories += 1;
      const violations = await live(node, { seen, memory, found: (child) => next.push(child) });
      if (violations.length > 0) failed.push({ history: node.history, violations });
      onLived?.(index + 1, level.length, failed.length);
      if (histories % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    level = next;
  }
  return { states: seen.size, histories, failed };
}

/** Lives one history to a known state or its end, and tells of those that branch off after its last event. */
async function live(
  node: Node,
  {
    seen,
    memory,
    found,
  }: {
    readonly seen: Map<string, Budget[]>;
    readonly memory: boolean;
    readonly found: (child: Node) => void;
  },
): Promise<readonly Violation[]> {
  const { acts, faults } = node.history;
  const lastActMs = EPOCH_MS + (acts.at(-1)?.atMs ?? 0);
  const pass = { start: '', calls: [] as string[] };
  let stage: Stage | undefined;
  let known = false;
  const onlooker: Onlooker = {
    began(now, { site, occurrence }) {
      stage = now;
      if (APART.test(site)) return;
      const state = lasting(now);
      if (site === 'store.get') Object.assign(pass, { start: state, calls: [] });
      pass.calls.push(site);
      if (known || now.kernel.now() <= lastActMs || now.scene.wire.hits.length < faults.length) return;
      const late = lateOnes(now);
      const remembered = memory ? [pass.start, [...pass.calls].sort()] : [];
      const id = digest(JSON.stringify([state, remembered, site, late]));
      known = !isNew(seen, { id, node });
      if (!known) for (const child of branches(node, { stage: now, site, occurrence })) found(child);
    },
    afterTurn() {
      if (known) throw new KnownState('known');
    },
  };
  try {
    return (await runHistory(node.history, { onlooker })).violations;
  } catch (error) {
    if (!(error instanceof KnownState)) throw error;
    return stage?.verdicts.violations ?? [];
  }
}

/** Marks the state. False when it was seen with at least as much still to come. */
function isNew(
  seen: Map<string, Budget[]>,
  { id, node: { edits, faults } }: { readonly id: string; readonly node: Budget },
): boolean {
  const budgets = seen.get(id) ?? [];
  if (budgets.some((one) => one.edits >= edits && one.faults >= faults)) return false;
  budgets.push({ edits, faults });
  seen.set(id, budgets);
  return true;
}

/** An effect that is still to come belongs to the state. */
function lateOnes({ scene }: Stage): string[] {
  return scene.wire.hits.filter(({ fate }) => fate === 'effect-late').map(({ site }) => site);
}

/** What else may happen just before, in, or after this call. */
function branches(
  { history, edits, faults }: Node,
  { stage, site, occurrence }: { readonly stage: Stage } & Pick<Fault, 'site' | 'occurrence'>,
): Node[] {
  const atMs = stage.kernel.now() - EPOCH_MS;
  const tenant = stage.people.tenant(0);
  const editable = edits > 0 && tenant !== undefined && tenant.metadata.deletionTimestamp === undefined;
  const fates: readonly Fate[] = isRead(site) ? ['crash-before'] : ['crash-before', ...FATES];
  return [
    ...(editable ? EDITS : []).map((edit) => ({
      ...{ edits: edits - 1, faults },
      history: { ...history, acts: [...history.acts, { atMs, ...edit } satisfies Act] },
    })),
    ...(faults > 0 ? fates : []).map((fate) => ({
      ...{ edits, faults: faults - 1 },
      history: { ...history, faults: [...history.faults, { site, occurrence, fate }] },
    })),
  ];
}
