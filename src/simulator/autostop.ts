/**
 * What does Fly's proxy do to machines? Every few minutes it stops or suspends at most one idle machine of an
 * app in each region, and a request wakes one whose services say so. Both go through the same moves as
 * everybody's calls, and are refused by a lease like them.
 */
import { heldLease } from './leases.ts';
import { writeLog } from './logs.ts';
import { start, stop, suspend } from './machine-actions.ts';
import { notSuspendable } from './machine-config.ts';
import { livingMachines } from './machine-record.ts';
import type { Place } from './machine-transitions.ts';
import { changed, type Moment } from './moment.ts';
import { Refusal } from './refusal.ts';
import { hostStatus } from './regions.ts';
import type { AppRecord, MachineRecord } from './state.ts';

/** What the proxy gives a process to stop. */
const PROXY_GRACE_MS = 5_000;

type Autostop = 'stop' | 'suspend';

/** How the proxy may put the machine to sleep: all of its services must allow it, suspend only if all say so. */
function autostopOf({ face }: MachineRecord): Autostop | undefined {
  const wishes = (face.config.services ?? []).map(({ autostop }) => autostop ?? false);
  if (wishes.length === 0 || wishes.includes(false)) return undefined;
  return wishes.every((wish) => wish === 'suspend') && notSuspendable(face.config) === undefined
    ? 'suspend'
    : 'stop';
}

function isWoken({ face }: MachineRecord): boolean {
  return (face.config.services ?? []).some(({ autostart }) => autostart === true);
}

/** `min_machines_running` protects the app's primary region: the one of its oldest machine. */
function leastRunning(app: AppRecord, region: string): number {
  const machines = livingMachines(app);
  if (machines[0]?.region !== region) return 0;
  const services = machines.flatMap(({ face }) => face.config.services ?? []);
  return Math.max(0, ...services.map(({ min_machines_running: least }) => least ?? 0));
}

/** Machines that the proxy could put to sleep now, the longest idle first. */
function candidates(moment: Moment, app: AppRecord, idleSince: number): MachineRecord[] {
  const running = livingMachines(app).filter(({ face }) => face.state === 'started');
  return running
    .filter((machine) => {
      const peers = running.filter(({ region }) => region === machine.region).length;
      return (
        autostopOf(machine) !== undefined &&
        peers > leastRunning(app, machine.region) &&
        machine.lastRequestAt <= idleSince &&
        (machine.runs.at(-1)?.from ?? 0) <= idleSince &&
        heldLease(moment, machine) === null &&
        hostStatus(moment.state, machine.host) === 'ok'
      );
    })
    .sort((a, b) => a.lastRequestAt - b.lastRequestAt);
}

function putToSleep(moment: Moment, place: Place): Autostop {
  const how = autostopOf(place.machine) ?? 'stop';
  const verb = how === 'suspend' ? 'Suspending' : 'Stopping';
  writeLog(moment, place, {
    message: `App ${place.app.name} has excess capacity, ${verb.toLowerCase()} machine ${place.machine.id}`,
    provider: 'proxy',
  });
  if (how === 'suspend') suspend(moment, place, 'proxy');
  else stop(moment, place, { source: 'proxy', graceMs: PROXY_GRACE_MS });
  return how;
}

/** One look of the proxy at all apps: in each region of each at most one machine goes to sleep. */
export function autostopPass(moment: Moment): void {
  const idleSince = moment.now - moment.settings.autostopEveryMs;
  for (const app of Object.values(moment.state.apps)) {
    const regions = new Set<string>();
    for (const machine of app.deletedAt === null ? candidates(moment, app, idleSince) : []) {
      if (regions.has(machine.region)) continue;
      regions.add(machine.region);
      putToSleep(moment, { app, machine });
    }
  }
}

/** The proxy puts one machine of the app to sleep now, idle or not. Null when none may sleep. */
export function autostopNow(moment: Moment, app: AppRecord): { machine: string; how: Autostop } | null {
  const [machine] = candidates(moment, app, moment.now);
  return machine === undefined ? null : { machine: machine.id, how: putToSleep(moment, { app, machine }) };
}

/** What became of a request to the app. */
export interface RequestOutcome {
  /** 200: it was served; 503: no machine could be reached. */
  readonly status: 200 | 503;
  readonly machine: string | null;
  readonly woke: boolean;
  /** Why no machine served it. */
  readonly why?: string;
}

function serve(moment: Moment, place: Place, woke: boolean): RequestOutcome {
  place.machine.lastRequestAt = moment.now;
  changed(moment, place.app);
  writeLog(moment, place, { message: 'GET / 200', provider: 'app' });
  return { status: 200, machine: place.machine.id, woke };
}

/** A request arrives: a running machine serves it, or one that sleeps is woken if its services say so. */
export function request(moment: Moment, app: AppRecord): RequestOutcome {
  const machines = livingMachines(app).filter(
    ({ face, host }) =>
      !face.cordoned && (face.config.services ?? []).length > 0 && hostStatus(moment.state, host) === 'ok',
  );
  const running = machines.find(({ face }) => face.state === 'started' || face.state === 'starting');
  if (running !== undefined) return serve(moment, { app, machine: running }, false);
  const asleep = machines.filter(({ face }) => face.state === 'stopped' || face.state === 'suspended');
  const machine = asleep.find(isWoken);
  if (machine === undefined) {
    const why = asleep.length > 0 ? 'no service of a sleeping machine has autostart' : 'no machine can serve';
    return { status: 503, machine: null, woke: false, why };
  }
  try {
    if (heldLease(moment, machine) !== null)
      throw new Refusal(409, `machine ID ${machine.id} lease currently held`);
    start(moment, { app, machine }, 'proxy');
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    writeLog(
      moment,
      { app, machine },
      {
        message: `[PM01] machines API returned an error: "${error.message}"`,
        provider: 'proxy',
        level: 'error',
      },
    );
    return { status: 503, machine: machine.id, woke: false, why: error.message };
  }
  return serve(moment, { app, machine }, true);
}
