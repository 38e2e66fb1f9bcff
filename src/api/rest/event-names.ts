/**
 * What is each thing that happens called on the event stream? The CLI knows a closed list of `event_type`s and drops
 * all others in silence, so the loop's finer reasons are mapped onto it, and the name of the step that older clients
 * showed travels beside it in `step`. A reason that is not in the table goes out under its own name.
 */

/** How an event reads on the wire. */
export interface EventName {
  readonly event_type: string;
  /** The word of the state that the tenant was entering. */
  readonly status: string;
  readonly step: string;
}

/** Ends the stream of a tenant that awaits its first deploy. */
export const INFRASTRUCTURE_READY = 'infrastructure_ready';
/** Ends the CLI's wait with a failure. */
export const PROVISIONING_FAILED = 'provisioning_failed';

const NAMES: Readonly<Record<string, EventName>> = {
  TenantCreated: name('tenant_created', 'pending', 'provisioning_started'),
  CredentialsGenerated: name('secrets_stored', 'provisioning'),
  DatabaseCreated: name('database_created', 'provisioning'),
  AppCreated: name('vm_provisioning_progress', 'provisioning', 'app_created'),
  VolumeCreated: name('vm_provisioning_progress', 'provisioning', 'volume_created'),
  AddressAllocated: name('vm_provisioning_progress', 'provisioning', 'address_allocated'),
  CertificateRequested: name('vm_provisioning_progress', 'provisioning', 'certificate_added'),
  SecretsSet: name('secrets_configured', 'provisioning'),
  InfrastructureReady: name(INFRASTRUCTURE_READY, 'awaiting_deploy'),
  MachineCreated: name('vm_provisioning_started', 'deploying', 'machine_created'),
  MachineStarting: name('vm_provisioning_progress', 'deploying', 'machine_starting'),
  TenantReady: name('tenant_ready', 'running'),
  ProvisioningFailed: name(PROVISIONING_FAILED, 'failed'),
  Stalled: name(PROVISIONING_FAILED, 'failed', 'stalled'),
  MachineDoesNotBoot: name(PROVISIONING_FAILED, 'failed', 'machine_does_not_boot'),
  DriftDetected: name('drift_detected', 'updating'),
  MachineUpdated: name('updated', 'updating'),
  MachineRestarted: name('restarted', 'restarting'),
  Suspended: name('suspended', 'suspended'),
};

/** The wire's name of an event reason; `phase` is the state to show for one that the table does not know. */
export function eventName(reason: string, phase: string): EventName {
  const known = Object.hasOwn(NAMES, reason) ? NAMES[reason] : undefined;
  return known ?? name(snakeCase(reason), phase);
}

/**
 * A failure that is history: the tenant has since left it, but a client that replays the events and stops at the
 * first failure would never see that. It is shown as progress instead.
 */
export const OVERCOME_FAILURE: EventName = name(
  'vm_provisioning_progress',
  'provisioning',
  PROVISIONING_FAILED,
);

function name(eventType: string, status: string, step = eventType): EventName {
  return { event_type: eventType, status, step };
}

function snakeCase(reason: string): string {
  return reason.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toLowerCase();
}
