/** What is an event called on the wire? */
import { describe, expect, it } from 'vitest';
import { eventName } from '../../../src/api/rest/event-names.ts';

/** All that the CLI can decode; it drops every other frame in silence. */
const KNOWN_TO_THE_CLI = [
  'subscription_created',
  'tenant_created',
  'database_created',
  'secrets_stored',
  'vm_provisioning_started',
  'vm_provisioning_progress',
  'vm_provisioned',
  'secrets_configured',
  'infrastructure_ready',
  'tenant_ready',
  'provisioning_failed',
];

describe('the name of an event', () => {
  it.each([
    'TenantCreated',
    'CredentialsGenerated',
    'DatabaseCreated',
    'AppCreated',
    'VolumeCreated',
    'AddressAllocated',
    'CertificateRequested',
    'SecretsSet',
    'MachineCreated',
    'MachineStarting',
    'InfrastructureReady',
    'TenantReady',
    'ProvisioningFailed',
    'Stalled',
    'MachineDoesNotBoot',
  ])('of %s is one that the CLI shows', (reason) => {
    expect(KNOWN_TO_THE_CLI).toContain(eventName(reason, 'running').event_type);
  });

  it('carries the name of the step that older clients showed', () => {
    expect(eventName('AppCreated', '').step).toBe('app_created');
    expect(eventName('CertificateRequested', '').step).toBe('certificate_added');
    expect(eventName('TenantCreated', '').step).toBe('provisioning_started');
  });

  it('says with which status the two waits end', () => {
    expect(eventName('InfrastructureReady', '').status).toBe('awaiting_deploy');
    expect(eventName('TenantReady', '').status).toBe('running');
  });

  it.each([
    ['VolumeExtended', 'volume_extended'],
    ['HTTPTimeout', 'httptimeout'],
    ['Odd2Name', 'odd2_name'],
    ['toString', 'to_string'],
  ])('of %s, which the table does not know, is %s with the phase as its status', (reason, want) => {
    expect(eventName(reason, 'updating')).toEqual({ event_type: want, status: 'updating', step: want });
  });
});
