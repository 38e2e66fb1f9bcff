/**
 * What can be done to a machine besides changing its config? Start, stop, suspend, restart, cordon, destroy:
 * each from the states that Fly allows, with Fly's refusals from the others. The proxy uses the same moves.
 */
import { z } from 'zod';
import { appOf } from './apps.ts';
import { flag, ok, parseBody, type Answer, type Call } from './call.ts';
import { formatGoDuration, parseGoDuration } from './go-duration.ts';
import { guardLease } from './leases.ts';
import { notSuspendable } from './machine-config.ts';
import { changeMachine, livingMachineOf } from './machine-record.ts';
import { setOut, type Place } from './machine-transitions.ts';
import { drawMs, type Moment } from './moment.ts';
import { hasRoom } from './placement.ts';
import { invalid, Refusal } from './refusal.ts';
import type { MachineState } from './state.ts';

/** Fly waits at most so long for a process to obey, and five seconds when not told. */
const LONGEST_STOP_MS = 300_000;
const DEFAULT_STOP = '5s';

function placeOf(moment: Moment, call: Call): Place {
  const app = appOf(moment, call, { write: true });
  const machine = livingMachineOf(moment, app, call.params.machine_id ?? '');
  guardLease(moment, machine, call);
  return { app, machine };
}

function refuseState(verb: string, state: MachineState): Refusal {
  return new Refusal(412, `failed_precondition: unable to ${verb} machine from current state: '${state}'`);
}

/** Why the machine cannot be started now; undefined when it can. */
function startRefusal(moment: Moment, { machine }: Place): Refusal | undefined {
  const { state } = machine.face;
  if (state === 'replacing') {
    return new Refusal(412, 'failed_precondition: machine getting replaced, refusing to start');
  }
  if (state === 'starting' || state === 'restarting') {
    return new Refusal(409, 'aborted: machine still attempting to start');
  }
  if (state === 'stopping' || state === 'suspending') {
    return new Refusal(412, 'failed_precondition: machine still active, refusing to start');
  }
  if (state === 'destroying') return refuseState('start', state);
  if (moment.now < machine.startableAt) {
    return state === 'created'
      ? refuseState('start', state)
      : new Refusal(412, 'failed_precondition: machine still active, refusing to start');
  }
  // A suspended machine keeps its reservation on the host; every other one needs room again.
  if (state !== 'suspended' && !hasRoom(moment, machine.host)) {
    return new Refusal(
      409,
      'aborted: could not reserve resource for machine: insufficient memory available to fulfill request on the current host',
    );
  }
  return undefined;
}

/** Starts a machine, or refuses; one that runs is left alone. `source` is who asked. */
export function start(moment: Moment, place: Place, source: 'user' | 'proxy'): void {
  const { machine } = place;
  if (machine.face.state === 'started') return;
  const refusal = startRefusal(moment, place);
  if (refusal !== undefined) throw refusal;
  const resumed = machine.face.state === 'suspended';
  setOut(moment, place, {
    state: 'starting',
    steps: [
      {
        to: 'started',
        afterMs: drawMs(moment, resumed ? 'resume' : 'boot'),
        source: 'flyd',
        ...(resumed && { resumed }),
      },
    ],
    event: { type: 'start', status: 'starting', source },
  });
}

export function startMachine(moment: Moment, call: Call): Answer {
  const place = placeOf(moment, call);
  const previous = place.machine.face.state;
  start(moment, place, 'user');
  return ok({ previous_state: previous, migrated: false, new_host: '' });
}

/** Stops a machine that runs or sleeps. The process is given at most `graceMs`. */
export function stop(moment: Moment, place: Place, by: { source: 'user' | 'proxy'; graceMs: number }): void {
  const { state } = place.machine.face;
  if (state === 'stopped' || state === 'stopping') return;
  if (state === 'suspended') {
    setOut(moment, place, {
      state: 'stopped',
      steps: [],
      event: { type: 'stop', status: 'stopped', source: by.source },
    });
    return;
  }
  if (state !== 'started' && state !== 'starting') throw refuseState('stop', state);
  setOut(moment, place, {
    state: 'stopping',
    steps: [{ to: 'stopped', afterMs: Math.min(drawMs(moment, 'stop'), by.graceMs), source: 'flyd' }],
    event: { type: 'stop', status: 'stopping', source: by.source },
  });
}

/** Milliseconds of a grace period that may be a Go duration or, in a query, a bare number of seconds. */
function graceMs(asked: string | number | undefined): number {
  const seconds = typeof asked === 'string' && /^[0-9]+$/.test(asked) ? `${asked}s` : asked;
  const nanoseconds = parseGoDuration(seconds ?? DEFAULT_STOP);
  if (nanoseconds === undefined || nanoseconds < 0) throw invalid(`invalid timeout "${asked ?? ''}"`);
  if (nanoseconds / 1e6 > LONGEST_STOP_MS) {
    throw invalid(`timeout ${formatGoDuration(nanoseconds)} is longer than 5m0s`);
  }
  return nanoseconds / 1e6;
}

const stopBody = z.object({
  signal: z.string().optional(),
  timeout: z.union([z.string(), z.number()]).optional(),
});

export function stopMachine(moment: Moment, call: Call): Answer {
  const place = placeOf(moment, call);
  const { timeout } = parseBody(stopBody, call);
  stop(moment, place, {
    source: 'user',
    graceMs: graceMs(timeout ?? place.machine.face.config.stop_config?.timeout),
  });
  return ok({ ok: true });
}

/** Suspends a running machine. One that cannot be suspended is refused. */
export function suspend(moment: Moment, place: Place, source: 'user' | 'proxy'): void {
  const { face } = place.machine;
  if (face.state === 'suspended' || face.state === 'suspending') return;
  if (face.state !== 'started') throw refuseState('suspend', face.state);
  const why = notSuspendable(face.config);
  if (why !== undefined) throw new Refusal(412, `failed_precondition: machine cannot be suspended: ${why}`);
  setOut(moment, place, {
    state: 'suspending',
    steps: [{ to: 'suspended', afterMs: drawMs(moment, 'suspend'), source: 'flyd' }],
    event: { type: 'suspend', status: 'suspending', source },
  });
}

export function suspendMachine(moment: Moment, call: Call): Answer {
  suspend(moment, placeOf(moment, call), 'user');
  return ok({ ok: true });
}

export function restartMachine(moment: Moment, call: Call): Answer {
  const place = placeOf(moment, call);
  const { machine } = place;
  if (machine.face.state !== 'started') throw refuseState('restart', machine.face.state);
  const stopMs = Math.min(drawMs(moment, 'stop'), graceMs(call.query.get('timeout') ?? undefined));
  const run = machine.runs.at(-1);
  if (run !== undefined) machine.runs[machine.runs.length - 1] = { from: run.from, to: moment.now + stopMs };
  setOut(moment, place, {
    state: 'restarting',
    steps: [
      { to: 'starting', afterMs: stopMs, source: 'flyd' },
      { to: 'started', afterMs: drawMs(moment, 'boot'), source: 'flyd' },
    ],
    event: { type: 'restart', status: 'restarting', source: 'user' },
    patch: { checksKnownAt: 0, checksPassAt: 0 },
  });
  return ok({ ok: true });
}

function setCordoned(moment: Moment, call: Call, cordoned: boolean): Answer {
  const place = placeOf(moment, call);
  if (place.machine.face.cordoned !== cordoned) changeMachine(moment, place, { cordoned });
  return ok({ ok: true });
}

export function cordonMachine(moment: Moment, call: Call): Answer {
  return setCordoned(moment, call, true);
}

export function uncordonMachine(moment: Moment, call: Call): Answer {
  return setCordoned(moment, call, false);
}

/** Destroys a machine, whatever it is doing. */
export function destroy(moment: Moment, place: Place, source: string): void {
  if (place.machine.face.state === 'destroying') return;
  setOut(moment, place, {
    state: 'destroying',
    steps: [{ to: 'destroyed', afterMs: drawMs(moment, 'destroy'), source }],
    event: { type: 'destroy', status: 'destroying', source },
  });
}

export function destroyMachine(moment: Moment, call: Call): Answer {
  const place = placeOf(moment, call);
  const { state } = place.machine.face;
  const force = flag(call, 'force') || flag(call, 'kill');
  if (!force && !['stopped', 'suspended', 'failed', 'created', 'destroying'].includes(state)) {
    throw new Refusal(
      412,
      'failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created',
    );
  }
  destroy(moment, place, 'user');
  return ok({ ok: true });
}
