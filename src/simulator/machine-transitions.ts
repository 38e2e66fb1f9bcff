/**
 * What is a machine going through? A change of state is a path of steps that the agenda takes one by one; this
 * file sets a machine out on a path and does what belongs to arriving in each state.
 */
import { listedFace } from './lag.ts';
import { writeLog } from './logs.ts';
import { changeMachine, withEvent } from './machine-record.ts';
import { drawMs, plan, type Moment } from './moment.ts';
import {
  own,
  type AppRecord,
  type BootFailure,
  type MachineEvent,
  type MachineFace,
  type MachineRecord,
  type MachineState,
  type MachineStep,
} from './state.ts';
import { releaseVolumes } from './volume-record.ts';

/** A machine and the app that it is in. */
export interface Place {
  readonly app: AppRecord;
  readonly machine: MachineRecord;
}

type NewEvent = Omit<MachineEvent, 'id' | 'timestamp'>;

/** So many runs, versions and drawn latencies of a machine are remembered. */
export const MOST_REMEMBERED = 20;

/** A destroyed machine stays readable for so long; Fly does not document its own time. */
const FORGET_AFTER_MS = 60 * 60_000;

/** What a process that does not run says of its checks. */
const noChecks = { checksKnownAt: 0, checksPassAt: 0 };

function takeNextStep(moment: Moment, { app, machine }: Place): void {
  const next = machine.path[0];
  if (next === undefined) return;
  plan(moment, app, 'machineStep', machine.id, next.afterMs);
  machine.drawn = [...machine.drawn, { to: next.to, ms: next.afterMs, at: moment.now }].slice(
    -MOST_REMEMBERED,
  );
}

/** Leaves whatever the machine was going through and sets out on another path, beginning in `state`. */
export function setOut(
  moment: Moment,
  place: Place,
  journey: {
    state: MachineState;
    steps: readonly MachineStep[];
    event?: NewEvent;
    patch?: Partial<MachineFace>;
  },
): void {
  const { app, machine } = place;
  moment.agenda.cancel(app, 'machineStep', machine.id);
  const events =
    journey.event === undefined ? machine.face.events : withEvent(moment, machine.face.events, journey.event);
  changeMachine(moment, place, { ...journey.patch, state: journey.state, events });
  machine.path = [...journey.steps];
  takeNextStep(moment, place);
}

/** The running process ends; a machine that does not run is left alone. */
export function endRun(moment: Moment, machine: MachineRecord): void {
  const last = machine.runs.at(-1);
  if (last?.to === null) machine.runs[machine.runs.length - 1] = { from: last.from, to: moment.now };
}

/** How a boot of the machine's image ends; undefined: as it should. */
function bootFailure(moment: Moment, { machine }: Place): BootFailure | undefined {
  const { repository, digest } = machine.face.imageRef;
  return own(moment.state.manifests, `${repository}@${digest}`)?.boot;
}

/** The image does not boot. No event of Fly's tells so: none is documented. */
function arriveBroken(moment: Moment, place: Place, failure: BootFailure): void {
  const { machine } = place;
  const vanishes = failure === 'destroyed' && machine.runs.length === 0;
  if (vanishes) machine.path = [{ to: 'destroyed', afterMs: drawMs(moment, 'destroy'), source: 'flyd' }];
  changeMachine(moment, place, { ...noChecks, state: vanishes ? 'launch_failed' : 'failed' });
  writeLog(moment, place, {
    message: 'Machine failed to boot: could not start the main process',
    provider: 'runner',
    level: 'error',
  });
}

function arriveStarted(moment: Moment, place: Place, step: MachineStep): void {
  const { app, machine } = place;
  machine.runs = [...machine.runs, { from: moment.now, to: null }].slice(-MOST_REMEMBERED);
  if (step.resumed === undefined) {
    const seen = listedFace(app.secrets, moment.now)?.version ?? 0;
    machine.secretsVersion = seen >= machine.minSecretsVersion ? seen : app.secrets.face.version;
  }
  const checksKnownAt = moment.now + drawMs(moment, 'checkResult');
  changeMachine(moment, place, {
    state: 'started',
    events: withEvent(moment, machine.face.events, { type: 'start', status: 'started', source: step.source }),
    checksKnownAt,
    checksPassAt: checksKnownAt + drawMs(moment, 'checkResult'),
  });
  const seconds = (step.afterMs / 1000).toFixed(2);
  writeLog(moment, place, { message: `Machine started in ${seconds}s`, provider: 'runner' });
}

function arriveStopped(moment: Moment, place: Place, step: MachineStep): void {
  const { machine } = place;
  const ran = machine.face.state === 'stopping';
  endRun(moment, machine);
  machine.startableAt = moment.now + (ran ? drawMs(moment, 'stopSettle') : 0);
  const event: NewEvent = ran
    ? { type: 'exit', status: 'stopped', source: 'flyd', request: { exit_event: { requested_stop: true } } }
    : { type: 'update', status: 'stopped', source: step.source };
  changeMachine(moment, place, {
    ...noChecks,
    state: 'stopped',
    events: withEvent(moment, machine.face.events, event),
  });
  if (ran) writeLog(moment, place, { message: 'Machine stopped', provider: 'runner' });
}

function arriveSuspended(moment: Moment, place: Place, step: MachineStep): void {
  const { machine } = place;
  endRun(moment, machine);
  const event: NewEvent = { type: 'suspend', status: 'suspended', source: step.source };
  const events = withEvent(moment, machine.face.events, event);
  changeMachine(moment, place, { ...noChecks, state: 'suspended', events });
}

function arriveDestroyed(moment: Moment, place: Place, step: MachineStep): void {
  const { app, machine } = place;
  endRun(moment, machine);
  machine.lease = null;
  changeMachine(moment, place, {
    ...noChecks,
    state: 'destroyed',
    events: withEvent(moment, machine.face.events, {
      type: 'destroy',
      status: 'destroyed',
      source: step.source,
    }),
  });
  releaseVolumes(moment, app, machine.id);
  plan(moment, app, 'machineForget', machine.id, FORGET_AFTER_MS);
}

function arrive(moment: Moment, place: Place, step: MachineStep): void {
  switch (step.to) {
    case 'started': {
      const failure = step.resumed === undefined ? bootFailure(moment, place) : undefined;
      if (failure === undefined) arriveStarted(moment, place, step);
      else arriveBroken(moment, place, failure);
      break;
    }
    case 'stopped':
      arriveStopped(moment, place, step);
      break;
    case 'suspended':
      arriveSuspended(moment, place, step);
      break;
    case 'destroyed':
      arriveDestroyed(moment, place, step);
      break;
    default:
      changeMachine(moment, place, { state: step.to });
  }
}

/** The agenda's turn: the machine arrives at the first step of its path and sets out for the next. */
export function stepMachine(moment: Moment, app: AppRecord, machineId: string): void {
  const machine = app.machines[machineId];
  const step = machine?.path.shift();
  if (machine === undefined || step === undefined) return;
  arrive(moment, { app, machine }, step);
  takeNextStep(moment, { app, machine });
}
