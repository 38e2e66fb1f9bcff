/** What does a status say, and may it say so? Judged of a tenant by itself, and of one status after another. */
import { findCondition, type ConditionType } from '../../src/tenant/conditions.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import type { Verdicts } from './invariant.ts';

/** Ready, at the newest generation. */
export function isReady({ metadata, status }: Tenant): boolean {
  const ready = findCondition(status?.conditions, 'Ready');
  return ready?.status === 'True' && ready.observedGeneration === metadata.generation;
}

/** Stalled, at the newest generation. */
export function isStalled({ metadata, status }: Tenant): boolean {
  const stalled = findCondition(status?.conditions, 'Stalled');
  return stalled?.status === 'True' && stalled.observedGeneration === metadata.generation;
}

/** What in the status of a tenant that is Ready contradicts that. */
export function contradictions({ metadata, status }: Tenant): string[] {
  const conditions = status?.conditions ?? [];
  const unexpected = (type: ConditionType): string[] =>
    findCondition(conditions, type)?.status === 'False' ? [] : [`it is Ready and ${type}`];
  return [
    ...unexpected('Reconciling'),
    ...unexpected('Stalled'),
    ...(status?.failure === undefined ? [] : [`it is Ready and has the failure ${status.failure.reason}`]),
    ...(status?.observedGeneration === metadata.generation ? [] : ['it speaks of another generation']),
    ...conditions
      .filter(({ observedGeneration }) => observedGeneration !== metadata.generation)
      .map(({ type }) => `${type} speaks of another generation`),
  ];
}

/** May the one status follow the other? (S9, S10) */
export function checkTransition(verdicts: Verdicts, before: Tenant | undefined, after: Tenant): void {
  const { name, generation } = after.metadata;
  const said = after.status?.observedGeneration ?? 0;
  const earlier = before?.status?.observedGeneration ?? 0;
  verdicts.check('S9', said <= generation, () => `tenant ${name} observes a generation to come`);
  verdicts.check('S9', said >= earlier, () => `tenant ${name} observes an older generation than before`);
  for (const condition of after.status?.conditions ?? []) {
    const previous = findCondition(before?.status?.conditions, condition.type);
    if (previous === undefined) continue;
    const flipped = previous.status !== condition.status;
    const moved = previous.lastTransitionTime !== condition.lastTransitionTime;
    verdicts.check(
      'S10',
      flipped === moved,
      () =>
        `${condition.type} of tenant ${name} ${moved ? 'moved without a flip' : 'flipped and did not move'}`,
    );
    verdicts.check(
      'S9',
      condition.observedGeneration >= previous.observedGeneration,
      () => `${condition.type} of tenant ${name} speaks of an older generation than before`,
    );
  }
}

/** Whatever a secret was told in (S11). */
export function checkTold(
  verdicts: Verdicts,
  options: { readonly where: string; readonly text: string; readonly secrets: Iterable<string> },
): void {
  for (const secret of options.secrets)
    verdicts.check('S11', !options.text.includes(secret), () => `a secret is in ${options.where}`);
}
