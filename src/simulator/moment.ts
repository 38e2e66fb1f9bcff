/**
 * What does everything that happens in the world need? One moment: the state, the time, the settings, and
 * the ways to draw lots, plan ahead and tell observers. Nothing below this file knows another clock.
 */
import type { Agenda } from './agenda.ts';
import { drawLatencyMs, type LatencyName, type LatencyTable } from './latency.ts';
import type { AgendaEntry, AppRecord, WorldState } from './state.ts';

export interface WorldSettings {
  readonly latency: LatencyTable;
  /** Whether Fly's documented rate limits hold. */
  readonly rateLimits: boolean;
  /** How often the proxy looks for idle machines; 0: never. */
  readonly autostopEveryMs: number;
  /** Host names (with port) under which this registry is known; images elsewhere exist unseen. */
  readonly registryHosts: readonly string[];
}

/** Told what changed, for those who keep a copy or wait. Called during the change: look later. */
export interface WorldObserver {
  /** A record was made, changed or removed. */
  recordChanged?(table: 'apps' | 'manifests' | 'tags' | 'regions' | 'hosts', key: string): void;
  /** A machine is no longer as it was. */
  machineChanged?(machineId: string): void;
}

export interface Moment {
  readonly state: WorldState;
  readonly now: number;
  readonly settings: WorldSettings;
  readonly agenda: Agenda;
  readonly observer: WorldObserver;
}

/** Draws one latency, in milliseconds. */
export function drawMs(moment: Moment, name: LatencyName): number {
  return drawLatencyMs(moment.settings.latency, moment.state, name);
}

/** Plans something for `afterMs` from now. */
export function plan(
  moment: Moment,
  app: AppRecord,
  what: AgendaEntry['what'],
  id: string,
  afterMs: number,
): void {
  moment.agenda.schedule(app, { at: moment.now + afterMs, what, id });
}

/** Says that the app, or anything in it, has changed. */
export function changed(moment: Moment, app: AppRecord): void {
  moment.observer.recordChanged?.('apps', app.name);
}

/** RFC 3339, as everywhere on Fly's wire. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}
