import { describe, expect, it } from 'vitest';
import { classifyFailure } from '../../../src/reconcilers/tenant/failures.ts';
import { report } from '../../../src/reconcilers/tenant/report.ts';
import { TransientError } from '../../../src/controller/outcome.ts';
import { FlyError } from '../../../src/fly/errors.ts';
import type { StepKind } from '../../../src/reconcilers/tenant/steps.ts';
import { findCondition } from '../../../src/tenant/conditions.ts';
import type { TenantStatus } from '../../../src/tenant/schema.ts';
import { converge, empty, makeTenant, NOW, plan, settings, type State } from './model.ts';

const BY_FLY = { kind: 'terminal', reason: 'BadRequest', operation: 'any', ambiguous: false } as const;
const refused = (kind: StepKind) =>
  classifyFailure({ kind, target: 'hello' }, new FlyError(`cannot ${kind}`, BY_FLY));
const unheard = (kind: StepKind) =>
  classifyFailure({ kind, target: 'hello' }, new TransientError('Unavailable', `nobody hears ${kind}`));

function told(state: State, failures: ReturnType<typeof refused>[]): TenantStatus {
  const attempt = { number: 1, retryDelayMs: 500 };
  return report({ ...state, settings, now: NOW, observedAt: NOW, plan: plan(state), failures, attempt })
    .status;
}

/** The state after a pass in which these failed. */
function after(state: State, ...failures: ReturnType<typeof refused>[]): State {
  return { ...state, tenant: { ...state.tenant, status: told(state, failures) } };
}

function withApp(): State {
  const { tenant, observed } = converge({ tenant: makeTenant(), observed: empty(makeTenant()) });
  const { app, vault, database, image } = observed;
  return {
    tenant: { ...tenant, status: undefined },
    observed: { ...empty(tenant), app, vault, database, image },
  };
}

const kinds = (state: State): StepKind[] => plan(state).steps.map(({ kind }) => kind);

describe('what Fly refused for good', () => {
  it('is remembered, however many things there are, and none of them is planned again', () => {
    const fresh = withApp();
    expect(kinds(fresh)).toEqual(expect.arrayContaining(['createVolume', 'requestCertificate']));
    const once = after(fresh, refused('requestCertificate'), refused('createVolume'));
    expect(once.tenant.status?.failure).toMatchObject({
      step: 'requestCertificate',
      terminal: true,
      others: [{ step: 'createVolume', reason: 'BadRequest', message: 'cannot createVolume' }],
    });
    expect(kinds(once)).not.toContain('createVolume');
    expect(kinds(once)).not.toContain('requestCertificate');
    // The next pass has nothing new to say.
    expect(after(once).tenant.status).toEqual(once.tenant.status);
  });

  it('is told in the same words by Ready and Stalled', () => {
    const { tenant } = after(withApp(), refused('requestCertificate'), refused('createVolume'));
    const ready = findCondition(tenant.status?.conditions, 'Ready');
    const stalled = findCondition(tenant.status?.conditions, 'Stalled');
    expect(stalled?.status).toBe('True');
    expect(stalled?.message).toBe(ready?.message);
  });

  it('is not forgotten over what passes', () => {
    const once = after(withApp(), refused('createVolume'));
    const twice = after(once, unheard('allocateAddress'));
    expect(twice.tenant.status?.failure).toEqual(once.tenant.status?.failure);
    expect(kinds(twice)).not.toContain('createVolume');
  });

  it.each([
    ['the spec', (state: State): State => ({ ...state, tenant: edited(state) })],
    [
      'a secret',
      (state: State): State => ({ ...state, observed: { ...state.observed, vault: newer(state) } }),
    ],
  ])('is asked again when %s changes', (_what, change) => {
    const changed = change(after(withApp(), refused('createVolume'), refused('requestCertificate')));
    expect(kinds(changed)).toEqual(expect.arrayContaining(['createVolume', 'requestCertificate']));
    expect(after(changed).tenant.status).not.toHaveProperty('failure');
  });

  it('is no failure any more once somebody else has done it', () => {
    const { failure } = after(withApp(), refused('createVolume')).tenant.status ?? {};
    const settled = converge({ tenant: makeTenant(), observed: empty(makeTenant()) });
    const status = { ...settled.tenant.status, ...(failure && { failure }) };
    const mended = after({ ...settled, tenant: { ...settled.tenant, status } });
    expect(failure?.terminal).toBe(true);
    expect(mended.tenant.status).not.toHaveProperty('failure');
    expect(findCondition(mended.tenant.status?.conditions, 'Ready')?.status).toBe('True');
  });
});

describe('a volume that Fly has moved', () => {
  it('is recorded under the id that its machine mounts, also while no list shows it', () => {
    const state = converge({ tenant: makeTenant(), observed: empty(makeTenant()) });
    const machines = state.observed.machines.map((machine) => ({
      ...machine,
      config: { ...machine.config, mounts: [{ volume: 'vol_moved', path: '/data' }] },
    }));
    const moved = after({ ...state, observed: { ...state.observed, machines, volumes: [] } });
    expect(moved.tenant.status?.volume).toEqual({ ...state.tenant.status?.volume, id: 'vol_moved' });
    expect(findCondition(moved.tenant.status?.conditions, 'VolumeReady')?.reason).toBe('VolumeNotVisibleYet');
    const gone = { ...moved, observed: { ...moved.observed, machines: [] } };
    expect(after(gone).tenant.status?.volume?.id).toBe('vol_moved');
  });
});

function edited({ tenant }: State): State['tenant'] {
  return { ...tenant, metadata: { ...tenant.metadata, generation: tenant.metadata.generation + 1 } };
}

function newer({ observed }: State): State['observed']['vault'] {
  return observed.vault && { ...observed.vault, revision: observed.vault.revision + 1 };
}
