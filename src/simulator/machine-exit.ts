/**
 * What happens when a process ends by itself, or when Fly moves its machine? The restart policy decides after an
 * exit; a migration keeps the machine's id and gives it another host, address and volume.
 */
import { privateIp } from './identifiers.ts';
import { writeLog } from './logs.ts';
import { destroy } from './machine-actions.ts';
import { launchSteps } from './machine-create.ts';
import { changeMachine, withEvent } from './machine-record.ts';
import { endRun, setOut, type Place } from './machine-transitions.ts';
import { drawMs, plan, type Moment } from './moment.ts';
import { placeVolume } from './placement.ts';
import { Refusal } from './refusal.ts';
import { own, type VolumeRecord } from './state.ts';
import { changeVolume, deleteSoftly } from './volume-record.ts';
import { makeVolume } from './volumes.ts';

/** Fly counts restarts within five minutes, and gives up after ten when not told otherwise. */
const RESTART_WINDOW_MS = 5 * 60_000;
const USUAL_RETRIES = 10;

function isRestarted(moment: Moment, { machine }: Place, code: number): boolean {
  const { policy = 'on-failure', max_retries: retries = USUAL_RETRIES } = machine.face.config.restart ?? {};
  if (policy === 'no' || (policy !== 'always' && code === 0)) return false;
  machine.restarts = machine.restarts.filter((at) => at > moment.now - RESTART_WINDOW_MS);
  return policy === 'always' || machine.restarts.length < retries;
}

/** The process of a started machine exits with `code`, or is killed for lack of memory. */
export function exitProcess(moment: Moment, place: Place, exit: { code: number; oomKilled: boolean }): void {
  const { machine } = place;
  if (machine.face.state !== 'started') {
    throw new Refusal(412, `cannot crash machine "${machine.id}": it is ${machine.face.state}`);
  }
  const restarting = isRestarted(moment, place, exit.code);
  endRun(moment, machine);
  writeLog(moment, place, {
    message: `Main child exited with code ${exit.code}`,
    provider: 'app',
    level: 'error',
  });
  // Zero values are left out, as Go does.
  const exitEvent = {
    ...(exit.code !== 0 && { exit_code: exit.code }),
    ...(exit.oomKilled && { oom_killed: true }),
    ...(restarting && { restarting: true }),
  };
  if (restarting) machine.restarts = [...machine.restarts, moment.now];
  setOut(moment, place, {
    state: restarting ? 'starting' : 'stopped',
    steps: restarting ? [{ to: 'started', afterMs: drawMs(moment, 'boot'), source: 'flyd' }] : [],
    event: {
      type: 'exit',
      status: 'stopped',
      source: 'flyd',
      request: { exit_event: exitEvent, ...(restarting && { restart_count: machine.restarts.length }) },
    },
    patch: { checksKnownAt: 0, checksPassAt: 0 },
  });
  if (!restarting && machine.face.config.auto_destroy === true) destroy(moment, place, 'flyd');
}

/** A copy of the volume on another host; the old one is deleted softly. */
function moveVolume(moment: Moment, { app, machine }: Place, volume: VolumeRecord): VolumeRecord {
  const { name, encrypted, fstype, region, face } = volume;
  const place = placeVolume(moment, app, { region, name, uniqueZone: true });
  const { sizeGb, snapshotRetention, autoBackup } = face;
  const copy = makeVolume(moment, app, {
    ...place,
    name,
    encrypted,
    fstype,
    sizeGb,
    snapshotRetention,
    autoBackup,
  });
  changeVolume(moment, { app, volume: copy }, { state: 'hydrating', attachedMachineId: machine.id });
  plan(moment, app, 'volumeStep', copy.id, drawMs(moment, 'migrate'));
  deleteSoftly(moment, app, volume);
  machine.host = copy.host;
  return copy;
}

/** Fly moves the machine: same id, new private address, new volume, and a `launch` event from flyd. */
export function migrateMachine(moment: Moment, place: Place): void {
  const { app, machine } = place;
  const { face } = machine;
  if (!['started', 'stopped', 'suspended'].includes(face.state)) {
    throw new Refusal(412, `cannot migrate machine "${machine.id}": it is ${face.state}`);
  }
  const mount = face.config.mounts?.[0];
  const volume = mount === undefined ? undefined : own(app.volumes, mount.volume);
  const moved =
    mount === undefined || volume === undefined
      ? undefined
      : { ...mount, volume: moveVolume(moment, place, volume).id };
  const patch = {
    privateIp: privateIp(moment.state),
    checksKnownAt: 0,
    checksPassAt: 0,
    ...(moved !== undefined && { config: { ...face.config, mounts: [moved] } }),
  };
  const event = { type: 'launch', status: 'created', source: 'flyd' };
  if (face.state !== 'started') {
    changeMachine(moment, place, {
      ...patch,
      state: 'stopped',
      events: withEvent(moment, face.events, event),
    });
    return;
  }
  setOut(moment, place, {
    state: 'stopping',
    steps: [
      { to: 'stopped', afterMs: drawMs(moment, 'stop'), source: 'flyd' },
      { to: 'created', afterMs: drawMs(moment, 'migrate'), source: 'flyd' },
      ...launchSteps(moment, 'flyd'),
    ],
    event,
    patch,
  });
}
