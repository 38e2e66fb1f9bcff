/**
 * How is one machine's record found and changed? Every change goes through here, so that lists lag, events are
 * kept, waiters and keepers are told, and the organisation's feed sees a new `updated_at`.
 */
import { ulid } from './identifiers.ts';
import { replaceFace } from './lag.ts';
import { changed, drawMs, type Moment } from './moment.ts';
import { notFound, Refusal } from './refusal.ts';
import { hostStatus } from './regions.ts';
import { own, type AppRecord, type MachineEvent, type MachineFace, type MachineRecord } from './state.ts';

/** Fly answers at most 50 events. */
const MOST_EVENTS = 50;

/** The machine of a call as GET sees it: also a destroyed one, but not one that was just made. */
export function machineOf(moment: Moment, app: AppRecord, id: string): MachineRecord {
  const machine = own(app.machines, id);
  if (machine === undefined || moment.now < machine.visibleAt) throw notFound('machine');
  return machine;
}

/** The machine of a call that changes it: it must live, and on a host that answers. */
export function livingMachineOf(moment: Moment, app: AppRecord, id: string): MachineRecord {
  const machine = machineOf(moment, app, id);
  if (machine.face.state === 'destroyed') throw notFound('machine');
  if (hostStatus(moment.state, machine.host) !== 'ok') {
    throw new Refusal(408, 'deadline_exceeded: the host of the machine does not answer');
  }
  return machine;
}

/** Replaces part of what is seen of the machine. */
export function changeMachine(
  moment: Moment,
  place: { app: AppRecord; machine: MachineRecord },
  patch: Partial<MachineFace>,
): void {
  const { app, machine } = place;
  const face = { ...machine.face, ...patch, updatedAt: moment.now };
  replaceFace(machine, face, { now: moment.now, lagMs: drawMs(moment, 'list') });
  changed(moment, app);
  moment.observer.machineChanged?.(machine.id);
}

/** The events with one more in front. */
export function withEvent(
  moment: Moment,
  events: readonly MachineEvent[],
  event: Omit<MachineEvent, 'id' | 'timestamp'>,
): readonly MachineEvent[] {
  const { state, now } = moment;
  return [{ id: ulid(state, now), timestamp: now, ...event }, ...events].slice(0, MOST_EVENTS);
}

/** Machines that count: a destroyed one is only a memory. */
export function livingMachines(app: AppRecord): MachineRecord[] {
  return Object.values(app.machines).filter(({ face }) => face.state !== 'destroyed');
}
