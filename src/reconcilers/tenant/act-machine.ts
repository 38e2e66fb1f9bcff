/** How is a step on the machine carried out? Apart from act.ts only because machines have the most moves. */
import { done, type Acted, type ActContext, type ActDependencies } from './acted.ts';
import { upsert, type Amendment } from './observed.ts';
import { METADATA } from './parts/machine-identity.ts';
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
  const machine = await fly.machines.update({ app, machineId: step.machineId }, update, signal);
  const { reason, message } = updateEvent(step);
  return done((observed) => ({ ...observed, machines: upsert(observed.machines, machine) }), reason, message);
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
