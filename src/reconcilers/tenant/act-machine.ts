/** How is a step on the machine carried out? Apart from act.ts only because machines have the most moves. */
import { WaitingError } from '../../controller/outcome.ts';
import { FlyError } from '../../fly/errors.ts';
import type { FlyMachines } from '../../fly/fly.ts';
import { done, type Acted, type ActContext, type ActDependencies } from './acted.ts';
import { LOOK_INTERVAL_MS } from './input.ts';
import { upsert, type Amendment } from './observed.ts';
import { METADATA } from './parts/machine-identity.ts';
import { mountedVolumeId } from './parts/volume.ts';
import type { Step } from './steps.ts';

type MachineStep = Extract<Step, { machineId: string } | { kind: 'createMachine' }>;

/** Carries out one step on the machine. After start and stop the machine is known to be on its way, no more. */
export async function actOnMachine(
  dependencies: ActDependencies,
  step: MachineStep,
  context: ActContext,
): Promise<Acted> {
  const { machines } = dependencies.fly;
  const { signal } = context;
  switch (step.kind) {
    case 'createMachine':
    case 'updateMachine':
      return configure(dependencies, step, context);
    case 'startMachine':
      await machines.start(step, signal);
      return done(
        inState(step.machineId, 'starting'),
        'MachineStarting',
        `machine "${step.machineId}" is being started`,
      );
    case 'stopMachine':
      await machines.stop(step, signal);
      return done(
        inState(step.machineId, 'stopping'),
        'MachineStopping',
        `machine "${step.machineId}" is being stopped`,
      );
    case 'destroyMachine':
      await machines.destroy(step, signal);
      return done(
        (observed) => ({
          ...observed,
          machines: observed.machines.filter(({ id }) => id !== step.machineId),
        }),
        'MachineDestroyed',
        `machine "${step.machineId}" is destroyed`,
      );
    default:
      return step satisfies never;
  }
}

async function configure(
  { fly, vault }: ActDependencies,
  step: Extract<MachineStep, { kind: 'createMachine' | 'updateMachine' }>,
  { tenant, signal }: ActContext,
): Promise<Acted> {
  // Without this a machine may boot with values from before the last change.
  const version = (await vault.describe(tenant.metadata.uid))?.applied?.version;
  const secrets = version === undefined ? {} : { min_secrets_version: version };
  const { app, config } = step;
  if (step.kind === 'createMachine') {
    const { name, region } = step;
    const machine = await fly.machines.create(
      app,
      { name, region, config, skip_launch: false, ...secrets },
      signal,
    );
    return done(
      (observed) => ({ ...observed, machines: upsert(observed.machines, machine) }),
      'MachineCreated',
      `machine "${machine.id}" is created in ${machine.region}`,
    );
  }
  const update = { config, current_version: step.currentVersion, skip_launch: !step.launch, ...secrets };
  const target = { app, machineId: step.machineId };
  const machine = await fly.machines.update(target, update, signal).catch(async (error: unknown) => {
    if (await hasMoved(fly.machines, step, { error, signal }))
      throw new WaitingError('MachineMoved', `Fly has moved machine "${step.machineId}"`, {
        cause: error,
        retryAfterMs: LOOK_INTERVAL_MS,
      });
    throw error;
  });
  const { reason, message } = updateEvent(step);
  return done((observed) => ({ ...observed, machines: upsert(observed.machines, machine) }), reason, message);
}

/**
 * Whether Fly refused an update for good only because it has moved the machine since the look: that gave it another
 * volume, and with that the update would be another one. When this cannot be told, the refusal stands.
 */
async function hasMoved(
  machines: FlyMachines,
  { app, machineId, config }: Extract<MachineStep, { kind: 'updateMachine' }>,
  { error, signal }: { readonly error: unknown; readonly signal: AbortSignal },
): Promise<boolean> {
  if (!(error instanceof FlyError) || error.kind !== 'terminal') return false;
  const machine = await machines.get({ app, machineId }, signal).catch(() => undefined);
  return machine?.config !== undefined && mountedVolumeId(machine) !== config.mounts?.[0]?.volume;
}

function inState(machineId: string, state: string): Amendment {
  return (observed) => ({
    ...observed,
    machines: observed.machines.map((machine) =>
      machine.id === machineId ? { ...machine, state } : machine,
    ),
  });
}

function updateEvent(step: Extract<Step, { kind: 'updateMachine' }>): { reason: string; message: string } {
  const restarted = step.changes.includes(`metadata.${METADATA.restartedAt}`);
  return {
    reason: restarted ? 'MachineRestarted' : 'MachineUpdated',
    message: `machine "${step.machineId}" is updated: ${step.changes.join(', ')}`,
  };
}
