import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CONDITION_TYPES,
  conditionSchema,
  findCondition,
  mergeConditions,
  type Condition,
  type Finding,
} from '../../src/tenant/conditions.ts';

const T1 = Date.parse('2026-01-01T00:00:00Z');
const T2 = Date.parse('2026-01-02T00:00:00Z');

const ready = (status: Finding['status'], reason = 'Converged', message = ''): Finding => ({
  type: 'Ready',
  status,
  reason,
  message,
});

/** Merges one report after another, a day apart. */
function report(...reports: Finding[][]): Condition[] {
  return reports.reduce<Condition[]>(
    (previous, findings, index) =>
      mergeConditions({ previous, findings, generation: index + 1, now: index === 0 ? T1 : T2 }),
    [],
  );
}

describe('the transition time of a condition', () => {
  it('is that of the first report', () => {
    expect(report([ready('True')])).toEqual([
      { ...ready('True'), lastTransitionTime: '2026-01-01T00:00:00.000Z', observedGeneration: 1 },
    ]);
  });

  it('moves when the status flips', () => {
    expect(report([ready('True')], [ready('False')])[0]?.lastTransitionTime).toBe('2026-01-02T00:00:00.000Z');
  });

  it('moves when what was true becomes unknown', () => {
    expect(report([ready('True')], [ready('Unknown')])[0]?.lastTransitionTime).toBe(
      '2026-01-02T00:00:00.000Z',
    );
  });

  it('stays when only reason and message change, which are taken over', () => {
    expect(
      report([ready('False', 'Waiting', 'for a lease')], [ready('False', 'Failed', 'no capacity')]),
    ).toEqual([
      {
        ...ready('False', 'Failed', 'no capacity'),
        lastTransitionTime: '2026-01-01T00:00:00.000Z',
        observedGeneration: 2,
      },
    ]);
  });

  it('is kept for each type by itself', () => {
    const stalled = (status: Finding['status']): Finding => ({
      type: 'Stalled',
      status,
      reason: 'R',
      message: '',
    });
    const merged = report([ready('True'), stalled('False')], [ready('True'), stalled('True')]);
    expect(merged.map((condition) => condition.lastTransitionTime)).toEqual([
      '2026-01-01T00:00:00.000Z',
      '2026-01-02T00:00:00.000Z',
    ]);
  });
});

describe('merging', () => {
  it('keeps the order of the findings and drops what is no longer found', () => {
    const app: Finding = { type: 'AppReady', status: 'True', reason: 'R', message: '' };
    expect(report([ready('True'), app], [app]).map((condition) => condition.type)).toEqual(['AppReady']);
  });

  it('begins with nothing when nothing was reported before', () => {
    const merged = mergeConditions({
      previous: undefined,
      findings: [ready('True')],
      generation: 3,
      now: T1,
    });
    expect(merged[0]?.observedGeneration).toBe(3);
  });

  it('changes nothing when the same is found again at the same generation, whatever the time', () => {
    const finding = fc.record({
      type: fc.constantFrom(...CONDITION_TYPES),
      status: fc.constantFrom('True', 'False', 'Unknown'),
      reason: fc.constantFrom('A', 'B'),
      message: fc.string({ maxLength: 20 }),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(finding, { selector: (found) => found.type }),
        fc.date({ noInvalidDate: true }),
        (findings, date) => {
          const first = mergeConditions({ previous: [], findings, generation: 1, now: T1 });
          const second = mergeConditions({ previous: first, findings, generation: 1, now: date.getTime() });
          expect(second).toEqual(first);
          for (const condition of second) expect(conditionSchema.safeParse(condition).success).toBe(true);
        },
      ),
    );
  });
});

describe('looking for a condition', () => {
  it('finds the one of the type, and nothing where there is none', () => {
    const conditions = report([ready('True')]);
    expect(findCondition(conditions, 'Ready')?.status).toBe('True');
    expect(findCondition(conditions, 'Stalled')).toBeUndefined();
    expect(findCondition(undefined, 'Ready')).toBeUndefined();
  });
});
