/**
 * When does a wait end? When the machine is in one of the wanted states, when that can no longer happen, or
 * when the time is over, which Fly says with 408 and which means "not yet".
 */
import { appOf } from './apps.ts';
import { ok, words, type Answer, type Call, type Waiting } from './call.ts';
import { machineOf } from './machine-record.ts';
import type { Moment } from './moment.ts';
import { invalid, notFound, Refusal } from './refusal.ts';
import type { MachineRecord, MachineState } from './state.ts';

const WAITABLE = ['started', 'stopped', 'suspended', 'destroyed', 'failed', 'settled'];

/** Fly's default, and its longest. */
const LONGEST_WAIT_S = 60;

const SETTLED: readonly MachineState[] = [
  'created',
  'started',
  'stopped',
  'suspended',
  'failed',
  'destroyed',
];

interface Wanted {
  readonly states: readonly string[];
  readonly version: string;
  readonly fromEventId: string;
  readonly untilMs: number;
}

function wantedOf(call: Call): Wanted {
  const asked = words(call, 'state');
  const states = asked.length === 0 ? ['started'] : asked;
  const unknown = states.find((state) => !WAITABLE.includes(state));
  if (unknown !== undefined) throw invalid(`cannot wait for state "${unknown}"`);
  const version = call.query.get('version') ?? call.query.get('instance_id') ?? '';
  if (version === '' && states.includes('stopped')) {
    throw new Refusal(400, 'instance_id required when waiting for stopped machine');
  }
  const timeoutS = Number(call.query.get('timeout') ?? LONGEST_WAIT_S);
  if (!Number.isSafeInteger(timeoutS) || timeoutS < 0) throw invalid('timeout must be a number of seconds');
  const untilMs = call.startedAt + Math.min(timeoutS, LONGEST_WAIT_S) * 1000;
  return { states, version, fromEventId: call.query.get('from_event_id') ?? '', untilMs };
}

function failed(wanted: Wanted, currently: string): Refusal {
  const states = wanted.states.join(', ');
  return new Refusal(
    408,
    `deadline_exceeded: machine failed to reach desired state, ${states}, currently ${currently}`,
  );
}

function isReached(wanted: Wanted, machine: MachineRecord): boolean {
  const { state, events } = machine.face;
  if ((events[0]?.id ?? '') <= wanted.fromEventId) return false;
  return wanted.states.includes(state) || (wanted.states.includes('settled') && SETTLED.includes(state));
}

export function waitForMachine(moment: Moment, call: Call): Answer | Waiting {
  const app = appOf(moment, call);
  const machine = machineOf(moment, app, call.params.machine_id ?? '');
  const { state, instanceId, events } = machine.face;
  // A machine that is gone cannot be waited for; one that goes while somebody waits ends that wait.
  if (state === 'destroyed' && machine.face.updatedAt <= call.startedAt) throw notFound('machine');
  const wanted = wantedOf(call);
  if (wanted.version !== '' && wanted.version !== instanceId) {
    if (machine.versions.some(({ version }) => version === wanted.version)) throw failed(wanted, 'replaced');
    throw invalid(`unknown machine version "${wanted.version}"`);
  }
  if (isReached(wanted, machine)) {
    return ok({ ok: true, state, version: instanceId, event_id: events[0]?.id ?? '' });
  }
  if (state === 'destroyed') throw notFound('machine');
  if (moment.now >= wanted.untilMs) throw failed(wanted, state);
  return { waitsFor: machine.id, untilMs: wanted.untilMs };
}
