/**
 * What happens by itself? The agenda's entries, each at its own time and in its order, and between them the
 * proxy's looks for idle machines.
 */
import type { Agenda } from './agenda.ts';
import { removeApp } from './apps.ts';
import { autostopPass } from './autostop.ts';
import { issueCertificate } from './certificates.ts';
import { stepMachine } from './machine-transitions.ts';
import { changed, type Moment } from './moment.ts';
import { drop, type AgendaEntry, type AppRecord, type WorldState } from './state.ts';
import { purgeVolume, stepVolume, unbindVolume } from './volume-record.ts';

/** So many looks are made up for after a time without anybody; more would only cost. */
const MOST_MISSED_LOOKS = 10;

export interface Timekeeper {
  /** Carries out everything that is due by `now`, each thing at its own time. */
  advance(now: number): void;
  /** When something happens by itself next; undefined when nothing will. */
  nextDueAt(): number | undefined;
}

/** What each kind of entry stands for. */
const happenings: Readonly<
  Record<AgendaEntry['what'], (moment: Moment, app: AppRecord, id: string) => void>
> = {
  machineStep: stepMachine,
  machineForget(moment, app, id) {
    drop(app.machines, id);
    changed(moment, app);
  },
  volumeStep: stepVolume,
  volumeUnbind: unbindVolume,
  volumePurge: purgeVolume,
  certificateIssue: issueCertificate,
  appGone: removeApp,
};

export function createTimekeeper(parts: {
  state: WorldState;
  agenda: Agenda;
  autostopEveryMs: number;
  momentAt: (now: number) => Moment;
}): Timekeeper {
  const { state, agenda, autostopEveryMs, momentAt } = parts;

  function lookForIdle(now: number): void {
    autostopPass(momentAt(state.nextAutostopAt));
    const next = state.nextAutostopAt + autostopEveryMs;
    state.nextAutostopAt = next < now - MOST_MISSED_LOOKS * autostopEveryMs ? now : next;
  }

  return {
    advance(now) {
      if (state.nextAutostopAt === 0) state.nextAutostopAt = now + autostopEveryMs;
      for (;;) {
        const idleAt = autostopEveryMs === 0 ? Infinity : state.nextAutostopAt;
        const due = agenda.takeDue(Math.min(now, idleAt));
        if (due !== undefined) happenings[due.entry.what](momentAt(due.entry.at), due.app, due.entry.id);
        else if (idleAt <= now) lookForIdle(now);
        else break;
      }
      state.now = Math.max(state.now, now);
    },
    nextDueAt() {
      const due = agenda.nextDueAt();
      if (autostopEveryMs === 0 || state.nextAutostopAt === 0) return due;
      return Math.min(due ?? Infinity, state.nextAutostopAt);
    },
  };
}
