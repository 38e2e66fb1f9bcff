/**
 * What must hold, whatever happens? The invariants by their numbers, one sentence each, and what it means to break
 * one. Every rig (the simulation, the rigs over HTTP and PostgreSQL, whole processes) judges by this list.
 */

export const INVARIANTS = {
  S1: 'a tenant has at most one live machine',
  S2: 'a tenant that has data is never given another volume, unless its owner has said that the data is lost',
  S3: 'whatever is on Fly for a tenant is found again by its name or mark',
  S4: 'nothing is destroyed unless a spec of that time wants it gone',
  S5: 'of a tenant that is deleted with the policy Orphan nothing is destroyed',
  S6: 'for a tenant that is paused nothing is changed on Fly',
  S7: 'two daemons never act on one tenant: whoever acts has the latest holding of its shard',
  S8: 'the finalizer goes only when nothing of the tenant is left',
  S9: 'a status never runs ahead of its spec nor backwards, and Ready was true when it was said',
  S10: 'lastTransitionTime changes when, and only when, the condition flips',
  S11: 'no secret is ever in a status, an event or a log line',
  S12: 'a plan that somebody asks for is what the loop does',
  S13: 'no call is refused because there were too many, unless whoever made it could not count them',
  S14: 'every spec that was accepted is acted on, or a newer one is',
  E1: 'once nothing changes or fails any more, Fly is soon as the specs want it',
  E2: 'only what a person must mend stalls a tenant and is not asked of Fly again until then; what is in vain is not repeated at once',
  E3: 'what is wanted of a tenant at rest is begun at once, however many others are looked at meanwhile',
  E4: 'whoever comes last comes to his turn, however much others want',
  E5: 'a deletion ends, with nothing left behind',
  E6: 'whoever has died is replaced within a lease and a little more',
  E7: 'where everything is as it should be, nothing is written',
  D1: 'what is on Fly at rest depends on the spec alone, and on no way that led to it',
  D2: 'what is changed and changed back is as it was',
  D3: 'a spec that is not allowed is refused, and changes nothing',
  D5: 'several daemons come to what one comes to',
  ONCE: 'whatever is made is made once, however often its maker dies or hears nothing',
  BUG: 'no pass ends with an error that nobody has foreseen',
} as const;

export type InvariantId = keyof typeof INVARIANTS;

/** An invariant that did not hold. */
export interface Violation {
  readonly invariant: InvariantId;
  /** What was seen, for people. */
  readonly message: string;
}

/** Collects violations; the same one is told once. */
export interface Verdicts {
  readonly violations: readonly Violation[];
  /** How many times anything was judged. */
  readonly checks: number;
  check(invariant: InvariantId, holds: boolean, message: () => string): void;
}

export function createVerdicts(): Verdicts {
  const violations: Violation[] = [];
  const told = new Set<string>();
  let checks = 0;
  return {
    violations,
    get checks() {
      return checks;
    },
    check(invariant, holds, message) {
      checks += 1;
      if (holds) return;
      const text = message();
      if (told.has(`${invariant} ${text}`)) return;
      told.add(`${invariant} ${text}`);
      violations.push({ invariant, message: text });
    },
  };
}
