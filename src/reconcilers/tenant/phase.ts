/** Which phase is a tenant in? Read off the conditions and the spec; nothing is ever decided by it. */
import type { ConditionType, Finding } from '../../tenant/conditions.ts';
import type { Phase } from '../../tenant/phases.ts';
import type { Tenant } from '../../tenant/schema.ts';

/** Phase of a tenant whose machine is on its way, by the reason of MachineReady. */
const PHASE_BY_REASON: Readonly<Record<string, Phase>> = {
  CreatingMachine: 'deploying',
  MachineNotVisibleYet: 'deploying',
  Deploying: 'deploying',
  Restarting: 'restarting',
  Resuming: 'resuming',
  Suspending: 'suspending',
  MachineDoesNotBoot: 'failed',
};

/** What must be there before an image can be deployed. */
const INFRASTRUCTURE: readonly ConditionType[] = [
  'DatabaseReady',
  'AppReady',
  'NetworkReady',
  'VolumeReady',
  'SecretsSynced',
];

export function phaseOf(options: { readonly tenant: Tenant; readonly findings: readonly Finding[] }): Phase {
  const { tenant, findings } = options;
  const find = (type: ConditionType): Finding | undefined =>
    findings.find((finding) => finding.type === type);
  if (tenant.metadata.deletionTimestamp !== undefined) return 'deleting';
  if (find('Stalled')?.status === 'True') return 'failed';
  const { state, image } = tenant.spec;
  if (find('Ready')?.status === 'True') {
    if (state === 'Suspended') return 'suspended';
    return image === undefined ? 'awaiting_deploy' : 'running';
  }
  const firstTime = tenant.status?.machine === undefined;
  const incomplete = INFRASTRUCTURE.some((type) => find(type)?.status !== 'True');
  if (firstTime && incomplete) return 'provisioning';
  const machine = find('MachineReady');
  const byReason = machine?.status === 'False' ? PHASE_BY_REASON[machine.reason] : undefined;
  if (byReason !== undefined) return byReason;
  if (!firstTime) return 'updating';
  return image !== undefined && state === 'Running' ? 'deploying' : 'provisioning';
}
