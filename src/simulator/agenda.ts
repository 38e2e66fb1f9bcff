/**
 * What happens next? Every app keeps its own agenda inside the state; this index over all of them finds the
 * earliest entry without looking at every app. It holds nothing that the state does not hold, so it is built
 * anew from a state that was read back.
 */
import { own, type AgendaEntry, type AppRecord, type WorldState } from './state.ts';

export interface Agenda {
  /** Puts an entry on the app's agenda. */
  schedule(app: AppRecord, entry: AgendaEntry): void;
  /** Takes what was planned for a thing off again. */
  cancel(app: AppRecord, what: AgendaEntry['what'], id: string): void;
  /** Time of the earliest entry; undefined when nothing is under way. */
  nextDueAt(): number | undefined;
  /** Removes and returns the earliest entry that is due at `now`. */
  takeDue(now: number): { app: AppRecord; entry: AgendaEntry } | undefined;
}

interface Pointer {
  readonly at: number;
  readonly app: string;
}

/** By time, then by name, so that the order does not depend on who was scheduled first. */
function before(a: Pointer, b: Pointer): boolean {
  return a.at < b.at || (a.at === b.at && a.app < b.app);
}

/** The textbook's binary heap in an array. */
function push(heap: Pointer[], pointer: Pointer): void {
  let index = heap.length;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || !before(pointer, above)) break;
    heap[index] = above;
    index = parent;
  }
  heap[index] = pointer;
}

function pop(heap: Pointer[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    const left = heap[2 * index + 1];
    if (left === undefined) break;
    const right = heap[2 * index + 2];
    const [child, offset] = right !== undefined && before(right, left) ? [right, 2] : [left, 1];
    if (!before(child, last)) break;
    heap[index] = child;
    index = 2 * index + offset;
  }
  heap[index] = last;
}

export function createAgenda(state: WorldState): Agenda {
  const heap: Pointer[] = [];
  for (const app of Object.values(state.apps)) {
    for (const { at } of app.agenda) push(heap, { at, app: app.name });
  }

  /** Every entry has its pointer; those to what was cancelled or is gone stay in the heap until they surface here. */
  function earliest(): AppRecord | undefined {
    for (;;) {
      const top = heap[0];
      if (top === undefined) return undefined;
      const app = own(state.apps, top.app);
      if (app?.agenda[0]?.at === top.at) return app;
      pop(heap);
    }
  }

  return {
    schedule(app, entry) {
      let index = app.agenda.length;
      while (index > 0 && (app.agenda[index - 1]?.at ?? 0) > entry.at) index -= 1;
      app.agenda.splice(index, 0, entry);
      push(heap, { at: entry.at, app: app.name });
    },
    cancel(app, what, id) {
      app.agenda = app.agenda.filter((entry) => entry.what !== what || entry.id !== id);
    },
    nextDueAt: () => earliest()?.agenda[0]?.at,
    takeDue(now) {
      const app = earliest();
      const entry = app?.agenda[0];
      if (app === undefined || entry === undefined || entry.at > now) return undefined;
      pop(heap);
      app.agenda.shift();
      return { app, entry };
    },
  };
}
