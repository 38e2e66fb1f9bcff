/**
 * What if this very call goes wrong, in this very way? Every call of one undisturbed history meets every fate that a
 * call to its callee can meet, one fault a history. Which calls there are is read off the history itself.
 */
import type { Violation } from '../invariants/invariant.ts';
import { DATABASE_FATES, FLY_FATES, isCrash, type Fate } from './fate.ts';
import { isRead } from './generate.ts';
import type { History } from './history.ts';
import { runHistory, type Made, type Verdict } from './run.ts';
import type { Fault } from './wire.ts';

export interface Enumeration {
  /** Call sites, each at each of its occurrences. */
  readonly sites: number;
  /** Of one fault each. */
  readonly histories: number;
  /** Of these, histories in which a daemon died. */
  readonly crashes: number;
  readonly failed: readonly { readonly history: History; readonly violations: readonly Violation[] }[];
}

export interface EnumerateOptions {
  readonly history: History;
  /** A read is hit at its first occurrences only: later ones are the same code in the same state. */
  readonly readOccurrences: number;
  /** Fates to try; all when absent. */
  readonly only?: (fate: Fate) => boolean;
  /** Every n-th of them all; 1 when absent. */
  readonly stride?: number;
  /** Whether to end with the first history that breaks an invariant. */
  readonly stopAtFirst?: boolean;
  readonly onLived?: OnLived;
}

/** Told after every history: how many have been lived, of how many, and how many of them broke an invariant. */
export type OnLived = (lived: number, all: number, failed: number) => void;

/** What must not be made more often because something went wrong. */
const MADE_ONCE = [
  'Apps_create',
  'App_IPAssignments_create',
  'App_Certificates_acme_create',
  'Volumes_create',
  'Machines_create',
  'Machines_update',
] as const;

export async function enumerate(options: EnumerateOptions): Promise<Enumeration> {
  const { history, stride = 1 } = options;
  const undisturbed = await runHistory(history);
  const faults = allFaults(undisturbed, options).filter((_, index) => index % stride === 0);
  const failed: { history: History; violations: readonly Violation[] }[] = [];
  for (const [index, fault] of faults.entries()) {
    const disturbed = { ...history, faults: [...history.faults, fault] };
    const verdict = await runHistory(disturbed);
    const violations = [...verdict.violations, ...repeated(undisturbed.made, { fault, made: verdict.made })];
    if (violations.length > 0) failed.push({ history: disturbed, violations });
    options.onLived?.(index + 1, faults.length, failed.length);
    if (failed.length > 0 && options.stopAtFirst === true) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return {
    sites: new Set(faults.map(({ site, occurrence }) => `${site} ${occurrence}`)).size,
    histories: faults.length,
    crashes: faults.filter(({ fate }) => isCrash(fate)).length,
    failed,
  };
}

/** One of each fault that the history can meet. */
function allFaults({ calls }: Verdict, { readOccurrences, only = () => true }: EnumerateOptions): Fault[] {
  return [...calls].flatMap(([site, count]) => {
    const occurrences = isRead(site) ? Math.min(count, readOccurrences) : count;
    const fates = (site.startsWith('fly.') ? FLY_FATES : DATABASE_FATES).filter(only);
    return Array.from({ length: occurrences }, (_, index) =>
      fates.map((fate) => ({ site, occurrence: index + 1, fate })),
    ).flat();
  });
}

function repeated(undisturbed: Made, { fault, made }: { fault: Fault; made: Made }): Violation[] {
  return MADE_ONCE.flatMap((operation): Violation[] => {
    const [usual, now] = [undisturbed[operation] ?? 0, made[operation] ?? 0];
    // What comes late may bring back what was made and taken away again meanwhile.
    const late = fault.fate === 'effect-late' && fault.site === `fly.${operation}`;
    if (now <= usual + (late ? 1 : 0)) return [];
    return [{ invariant: 'ONCE', message: `${operation} took effect ${now} times instead of ${usual}` }];
  });
}
