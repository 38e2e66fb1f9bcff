import { describe, expect, it } from 'vitest';
import { DatabaseError } from '../../../src/database/errors.ts';
import { FlyError } from '../../../src/fly/errors.ts';
import { classifyFailure } from '../../../src/reconcilers/tenant/failures.ts';
import { StoreError } from '../../../src/store/store.ts';

const looking = { kind: 'observe', target: 'default/a' } as const;

describe('a store that cannot serve', () => {
  it.each([
    ['is away', { kind: 'unavailable', ambiguous: true }, 'StoreUnavailable', true, undefined],
    ['asks for time', { kind: 'busy', retryAfterMs: 7_000 }, 'StoreUnavailable', false, 7_000],
    ['refuses us', { kind: 'refused' }, 'StoreRefused', false, 60_000],
  ] as const)(
    'and %s is no fault of the tenant: it is tried again',
    (_what, details, reason, ambiguous, minDelayMs) => {
      const error = new StoreError('cannot get tenant "default/a": it is so', details);
      const failure = classifyFailure(looking, error);
      expect(failure).toMatchObject({ kind: 'transient', reason, ambiguous, message: error.message });
      expect(failure.minDelayMs).toBe(minDelayMs);
    },
  );
});

describe('an answer that is for good', () => {
  const refusal = new FlyError('cannot list certificates: Fly answered 400', {
    kind: 'terminal',
    reason: 'BadRequest',
    operation: 'App_Certificates_list',
    ambiguous: false,
  });

  it('stalls the tenant when something was to be changed', () => {
    expect(classifyFailure({ kind: 'requestCertificate', target: 'a' }, refusal).kind).toBe('terminal');
  });

  it('is no verdict on the tenant when it was only looked at', () => {
    expect(classifyFailure(looking, refusal)).toMatchObject({ kind: 'transient', reason: 'BadRequest' });
    const denied = new DatabaseError('cannot read roles: permission denied', { kind: 'refused' });
    expect(classifyFailure(looking, denied)).toMatchObject({ kind: 'transient', reason: 'DatabaseRefused' });
  });
});
