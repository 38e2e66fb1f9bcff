/** What does each verb change in the spec, and when is it refused? */
import { describe, expect, it } from 'vitest';
import { applyPatch } from '../../../src/api/rest/requests.ts';
import { activate, deploy, restart, retryProvision, suspend } from '../../../src/api/rest/verbs.ts';
import { tenantWith } from '../tenants.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const IMAGE = 'registry.example.com/images:tenant-x@sha256:' + '0'.repeat(64);
const deployed = { image: IMAGE };
const failed = { observedGeneration: 1, phase: 'failed' };

describe('restart and retry', () => {
  it('carry the time of the request', () => {
    expect(restart(tenantWith({ spec: deployed }), NOW).restartedAt).toBe('2026-03-01T12:00:00.000Z');
    expect(retryProvision(tenantWith({ status: failed }), NOW).retriedAt).toBe('2026-03-01T12:00:00.000Z');
  });

  it.each([
    ['in the same millisecond', '2026-03-01T12:00:00.000Z', '2026-03-01T12:00:00.001Z'],
    ['when the clock was set back', '2026-03-01T13:00:00.000Z', '2026-03-01T13:00:00.001Z'],
    [
      'when the earlier one was given in another zone',
      '2026-03-01T14:00:00+01:00',
      '2026-03-01T13:00:00.001Z',
    ],
    ['later', '2026-02-01T00:00:00Z', '2026-03-01T12:00:00.000Z'],
  ])('are newer than an earlier one %s', (_name, earlier, want) => {
    expect(restart(tenantWith({ spec: { ...deployed, restartedAt: earlier } }), NOW).restartedAt).toBe(want);
    expect(retryProvision(tenantWith({ spec: { retriedAt: earlier }, status: failed }), NOW).retriedAt).toBe(
      want,
    );
  });

  it('are refused where they make no sense', () => {
    expect(() => restart(tenantWith(), NOW)).toThrow('nothing is deployed yet');
    expect(() => restart(tenantWith({ spec: { ...deployed, state: 'Suspended' } }), NOW)).toThrow(
      'it is suspended',
    );
    expect(() => retryProvision(tenantWith(), NOW)).toThrow('it has not failed');
  });
});

describe('a tenant that is being deleted', () => {
  const dying = tenantWith({
    metadata: { deletionTimestamp: '2026-02-01T00:00:00Z' },
    spec: deployed,
    status: failed,
  });
  it.each([
    ['suspend', () => suspend(dying)],
    ['activate', () => activate(dying)],
    ['restart', () => restart(dying, NOW)],
    ['retry', () => retryProvision(dying, NOW)],
    ['deploy', () => deploy(dying, IMAGE)],
    ['patch', () => applyPatch(dying, { memory_mb: 1024 })],
  ])('refuses %s', (_name, verb) => {
    expect(verb).toThrow('it is being deleted');
  });
});

describe('a patch', () => {
  const tenant = tenantWith({
    spec: { env: { A: '1', B: '2' }, hostnames: ['a.example.com'], memoryMb: 256, volumeGb: 3 },
  });

  it('changes nothing that it does not name', () => {
    expect(applyPatch(tenant, {})).toEqual(tenant.spec);
  });

  it('merges variables, removes those that are null, and replaces the list of hostnames', () => {
    const spec = applyPatch(tenant, { env: { A: null, C: '3' }, hostnames: ['b.example.com'] });
    expect(spec.env).toEqual({ B: '2', C: '3' });
    expect(spec.hostnames).toEqual(['b.example.com']);
  });

  it('scales and suspends', () => {
    expect(applyPatch(tenant, { memory_mb: 2048, volume_gb: 4, status: 'suspended' })).toMatchObject({
      memoryMb: 2048,
      volumeGb: 4,
      state: 'Suspended',
    });
  });
});
