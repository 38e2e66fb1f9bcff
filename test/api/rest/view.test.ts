/** Which coarse word does the CLI read off a tenant? It stops polling at `ready` and at `failed`. */
import { describe, expect, it } from 'vitest';
import {
  coarseStatus,
  flyStatus,
  isFailed,
  ownedStatus,
  statusView,
  tenantView,
} from '../../../src/api/rest/view.ts';
import { PHASES } from '../../../src/tenant/phases.ts';
import { condition, tenantWith, UID } from '../tenants.ts';

const seen = (phase: string, rest: object = {}) => ({ observedGeneration: 1, phase, ...rest });

describe('the status that the CLI polls', () => {
  it.each([
    ['a tenant that nobody has looked at', tenantWith(), 'pending'],
    ['one that is being built', tenantWith({ status: seen('provisioning') }), 'provisioning'],
    ['one that awaits its first deploy', tenantWith({ status: seen('awaiting_deploy') }), 'ready'],
    ['one that runs', tenantWith({ status: seen('running') }), 'ready'],
    [
      'one that ran before its newest change',
      tenantWith({ metadata: { generation: 2 }, status: seen('running') }),
      'provisioning',
    ],
    ['one whose first machine is being made', tenantWith({ status: seen('deploying') }), 'provisioning'],
    ['one that is being updated', tenantWith({ status: seen('updating') }), 'provisioning'],
    ['one that has failed', tenantWith({ status: seen('failed') }), 'failed'],
    [
      'one that failed before it was retried',
      tenantWith({ metadata: { generation: 2 }, status: seen('failed') }),
      'provisioning',
    ],
    [
      'one that is suspended',
      tenantWith({ spec: { state: 'Suspended' }, status: seen('suspended') }),
      'suspended',
    ],
    [
      'one that shall be suspended',
      tenantWith({ spec: { state: 'Suspended' }, status: seen('running') }),
      'suspended',
    ],
    [
      'one that failed to suspend',
      tenantWith({ spec: { state: 'Suspended' }, status: seen('failed') }),
      'failed',
    ],
    [
      'one that is being deleted',
      tenantWith({ metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' }, status: seen('running') }),
      'deleted',
    ],
  ])('of %s', (_name, tenant, want) => {
    expect(coarseStatus(tenant)).toBe(want);
  });

  it('says that the newest change has not been looked at rather than repeating an old message', () => {
    const status = seen('running', { conditions: [condition('Ready', 'True')] });
    expect(statusView(tenantWith({ status }), 'example.app').message).toBe('Ready is True');
    const stale = tenantWith({ metadata: { generation: 2 }, status });
    expect(statusView(stale, 'example.app').message).toBe('The newest change has not been looked at yet.');
  });

  it('shows the failure with its next attempt', () => {
    const failure = {
      step: 'createVolume',
      reason: 'QuotaExceeded',
      message: 'cannot create volume',
      attempts: 3,
      terminal: true,
      generation: 1,
    };
    const view = statusView(tenantWith({ status: seen('failed', { failure }) }), 'example.app');
    expect(view).toMatchObject({
      status: 'failed',
      message: 'cannot create volume',
      failure: { step: 'createVolume', reason: 'QuotaExceeded', attempts: 3, terminal: true },
    });
  });
});

describe('the status of ownership, a closed list in the CLI', () => {
  it.each([
    [tenantWith(), 'pending'],
    [tenantWith({ status: seen('provisioning') }), 'pending'],
    [tenantWith({ status: seen('failed') }), 'pending'],
    [
      tenantWith({ status: seen('failed', { machine: { id: 'm', version: 'v', state: 'started' } }) }),
      'active',
    ],
    [tenantWith({ status: seen('awaiting_deploy') }), 'active'],
    [tenantWith({ status: seen('running') }), 'active'],
    [tenantWith({ spec: { state: 'Suspended' }, status: seen('running') }), 'suspended'],
    [
      tenantWith({ metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' }, status: seen('running') }),
      'deleted',
    ],
  ])('case %#', (tenant, want) => {
    expect(ownedStatus(tenant)).toBe(want);
  });
});

describe('the view of a tenant', () => {
  it('has a word of the old column for every phase', () => {
    const words = PHASES.map((phase) => flyStatus(phase));
    expect(new Set(words)).toEqual(
      new Set(['pending', 'awaiting_deploy', 'running', 'suspended', 'failed', 'deleting']),
    );
  });

  it('tells where the tenant will be before it is there', () => {
    expect(tenantView(tenantWith(), 'example.app')).toMatchObject({
      id: UID,
      hostname: `${UID}.example.app`,
      app_url: `https://${UID}.example.app`,
      fly_hostname: `${UID}.example.app`,
    });
  });

  it('counts as failed when it is stalled, in phase failed, or backing off', () => {
    expect(isFailed(tenantWith({ status: seen('running') }))).toBe(false);
    expect(isFailed(tenantWith({ status: seen('failed') }))).toBe(true);
    expect(
      isFailed(tenantWith({ status: seen('updating', { conditions: [condition('Stalled', 'True')] }) })),
    ).toBe(true);
  });
});
