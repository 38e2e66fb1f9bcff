/**
 * Does what becomes of a tenant depend on its spec alone? Two histories are lived whose tenants come to the same specs by
 * different ways, and what is to be seen of them in the end is compared: asked for at once (D1), not changed there and
 * back (D2), brought about by one daemon (D5).
 */
import type { InvariantId, Violation } from '../invariants/invariant.ts';
import type { Act, History } from './history.ts';
import { isBroken } from './people.ts';
import { runHistory, type Settled } from './run.ts';
import type { Stage } from './stage.ts';

/** Long enough to have everything told that is still to be told. */
const QUIET_MS = 1_000;

/**
 * What no spec says, and what is not undone: secrets that an owner has set stay, a machine that nobody uses is put to
 * sleep.
 */
const BESIDE_THE_SPEC: ReadonlySet<Act['do']> = new Set(['set-secret', 'idle-machine', 'request']);

/** The same history with nothing in it that leaves a trace on Fly but no word in a spec. */
function bySpecAlone(history: History): History {
  return { ...history, quietMs: QUIET_MS, acts: history.acts.filter((act) => !BESIDE_THE_SPEC.has(act.do)) };
}

/** In which what everybody has come to is asked for at once, and nothing goes wrong. */
function asked(settled: readonly Settled[], { seed, latency }: History): History {
  const acts = settled.flatMap(({ index: tenant, spec, hasMachine }): Act[] => {
    const create = { atMs: 0, do: 'create', tenant, spec } as const;
    // No machine is made for a tenant that was suspended before it ever had one.
    if (spec.state === 'Running' || !hasMachine) return [create];
    const suspend = { atMs: 0, do: 'edit', tenant, spec: { state: 'Suspended' } } as const;
    return [{ ...create, spec: { ...spec, state: 'Running' } }, suspend];
  });
  return { seed, latency, acts, patient: true, faults: [], quietMs: QUIET_MS };
}

/** What came of a comparison. */
export interface Comparison {
  readonly violations: readonly Violation[];
  /** How many tenants were there to be compared. */
  readonly tenants: number;
}

/** Spoils the second life: for tests of these judges. */
type Tamper = (stage: Stage) => void;

/** D1: lives the history, and then one in which everybody asks at once for what they came to in the end. */
export async function compareWithAsked(history: History, tamper?: Tamper): Promise<Comparison> {
  const { violations, settled } = await runHistory(bySpecAlone(history));
  // One that was suspended with what does not boot cannot be asked for so: it would have to run first.
  const comparable = settled.filter(({ spec }) => !isBroken(spec.image));
  if (comparable.length === 0) return { violations, tenants: 0 };
  const other = await runHistory(asked(comparable, history), withTamper(tamper));
  const unlike = differing('D1', comparable, other.settled);
  return { violations: [...violations, ...other.violations, ...unlike], tenants: comparable.length };
}

/**
 * D5: lives the history with one daemon, and with three. Each act waits for the one before: which of two comes first is
 * not for the number of daemons to say.
 */
export async function compareWithMore(history: History, tamper?: Tamper): Promise<Comparison> {
  const patient = { ...history, patient: true } as const;
  const [one, more] = [
    { ...patient, replicas: 1 },
    { ...patient, replicas: 3 },
  ];
  return compare('D5', [one, more], tamper);
}

/** D2: lives a history, and one that comes to the same specs by a detour. */
export async function compareWithDetour(
  [straight, detour]: readonly [History, History],
  tamper?: Tamper,
): Promise<Comparison> {
  return compare('D2', [straight, detour], tamper);
}

async function compare(
  id: InvariantId,
  [one, other]: readonly [History, History],
  tamper: Tamper | undefined,
): Promise<Comparison> {
  const first = await runHistory(bySpecAlone(one));
  const second = await runHistory(bySpecAlone(other), withTamper(tamper));
  const unlike = differing(id, first.settled, second.settled);
  const violations = [...first.violations, ...second.violations, ...unlike];
  return { violations, tenants: first.settled.length };
}

function withTamper(tamper: Tamper | undefined): { readonly tamper?: Tamper } {
  return tamper === undefined ? {} : { tamper };
}

function differing(id: InvariantId, one: readonly Settled[], other: readonly Settled[]): Violation[] {
  const indexes = [...new Set([...one, ...other].map(({ index }) => index))];
  return indexes.flatMap((index) => {
    const [here, there] = [one, other].map(
      (all) => all.find((settled) => settled.index === index)?.appearance,
    );
    if (here === undefined || there === undefined)
      return [{ invariant: id, message: `tenant ${index} is there by one way, and not by the other` }];
    return Object.keys(here)
      .filter((part) => here[part] !== there[part])
      .map((part) => ({
        invariant: id,
        message: `tenant ${index}, ${part}: ${here[part] ?? ''} by one way, ${there[part] ?? ''} by the other`,
      }));
  });
}
