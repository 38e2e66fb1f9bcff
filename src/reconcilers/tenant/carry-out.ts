/**
 * How is a plan carried out? Every step whose needs are met runs, independent ones at the same time; after each
 * answer the plan is made anew from what is known then. A failure stops only what needs the failed part.
 */
import type { Clock } from '../../clock.ts';
import { isPaused } from '../../tenant/annotations.ts';
import { act } from './act.ts';
import type { ActDependencies } from './acted.ts';
import { classifyFailure } from './failures.ts';
import type { Pass } from './pass.ts';
import { stepId, type Plan, type Step } from './steps.ts';

/** More rounds than any plan has steps; a plan that wants more is wrong. */
const MOST_ROUNDS = 100;

export interface CarryOutOptions extends ActDependencies {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** A newer spec is known, or that the tenant is paused: finish what runs, begin nothing. */
  readonly isOutdated: () => boolean;
}

/** Runs until no step can be begun, and returns the plan that is left. Step failures are kept in the pass. */
export async function carryOut(pass: Pass, options: CarryOutOptions): Promise<Plan> {
  const running = new Map<string, Promise<void>>();
  const tried = new Set<string>();
  try {
    for (let round = 0; round < MOST_ROUNDS; round += 1) {
      const plan = pass.plan();
      const ready = plan.steps.filter((step) => step.needs.length === 0 && !tried.has(stepId(step)));
      for (const step of await journaled(pass, plan, { ready, options })) {
        const id = stepId(step);
        tried.add(id);
        pass.acted = true;
        running.set(
          id,
          runStep(pass, step, options).finally(() => running.delete(id)),
        );
      }
      if (running.size === 0) return plan;
      await Promise.race(running.values());
    }
    throw new Error(`cannot carry out the plan of tenant "${pass.tenant.metadata.name}": it has no end`);
  } finally {
    await Promise.all(running.values());
  }
}

/** The steps that may begin now, with their intents written down: none once something newer is known. */
async function journaled(
  pass: Pass,
  plan: Plan,
  { ready, options }: { readonly ready: readonly Step[]; readonly options: CarryOutOptions },
): Promise<readonly Step[]> {
  if (ready.length === 0 || !mayBegin(pass, options)) return [];
  const intents = ready.flatMap((step) => step.intent ?? []);
  if (!pass.acted || pass.ahead || intents.length > 0) await pass.write(plan, ready);
  if (mayBegin(pass, options)) return ready;
  // Nothing was asked for: if the journal said so, the next pass would wait for it.
  for (const intent of intents) pass.withdraw(intent);
  return [];
}

function mayBegin(pass: Pass, { signal, isOutdated }: CarryOutOptions): boolean {
  return !isPaused(pass.tenant) && !signal.aborted && !pass.superseded && !isOutdated();
}

/** Never rejects: what went wrong is kept in the pass, for the report. That the pass was cut off is no failure. */
async function runStep(pass: Pass, step: Step, options: CarryOutOptions): Promise<void> {
  try {
    const { clock, signal } = options;
    const acted = await act(options, step, { tenant: pass.tenant, clock, signal });
    pass.observed = acted.amend(pass.observed);
    pass.note(acted.event);
    if (step.intent === undefined) return;
    if (acted.forgetIntent === true) pass.forget(step.intent);
    else pass.done(step.intent);
  } catch (error) {
    const failure = classifyFailure(step, error);
    if (!options.signal.aborted) pass.failures.push(failure);
    if (step.intent === undefined) return;
    if (failure.ambiguous || failure.kind === 'bug') pass.renew(step.intent);
    else pass.withdraw(step.intent);
  }
}
