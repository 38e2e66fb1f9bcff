/** How is one machine addressed? Its path, and the proof that the caller holds its lease. */
import type { MachineTarget } from './fly.ts';

export function machinePath({ app, machineId }: MachineTarget, ...rest: readonly string[]): string[] {
  return ['apps', app, 'machines', machineId, ...rest];
}

/** Goes on every write to a machine, of which Fly refuses those without it while somebody holds the lease. */
export function nonceHeader({ nonce }: MachineTarget): Record<string, string> {
  return nonce === undefined ? {} : { 'fly-machine-lease-nonce': nonce };
}
