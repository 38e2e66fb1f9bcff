/**
 * What is there in the whole organisation? The lists of all machines and all volumes, oldest change first, page
 * by page: what a controller polls instead of every app.
 */
import { flag, ok, words, type Answer, type Call } from './call.ts';
import { listedFace, type Lagged } from './lag.ts';
import { organisationMachineView } from './machine-view.ts';
import { timestamp, type Moment } from './moment.ts';
import { invalid } from './refusal.ts';
import { regions } from './regions.ts';
import {
  own,
  type AppRecord,
  type MachineFace,
  type MachineRecord,
  type VolumeFace,
  type VolumeRecord,
} from './state.ts';
import { volumeView } from './volumes.ts';

/** Fly's most, also used when no limit is given. */
const LARGEST_PAGE = 1000;

/** What machines and volumes have in common here. */
interface Listable<Face> extends Lagged<Face> {
  readonly id: string;
  readonly region: string;
}

interface Row<Thing, Face> {
  readonly app: AppRecord;
  readonly thing: Thing;
  /** What the list sees of it. */
  readonly face: Face;
}

interface Position {
  readonly updatedAt: number;
  readonly id: string;
}

function isAfter(a: Position, b: Position): boolean {
  return a.updatedAt > b.updatedAt || (a.updatedAt === b.updatedAt && a.id > b.id);
}

/** Where the page begins: behind the cursor, or behind `updated_after`, or at the very beginning. */
function startOf(call: Call): Position {
  const cursor = call.query.get('cursor') ?? '';
  if (cursor !== '') {
    const [updatedAt = '', id = ''] = Buffer.from(cursor, 'base64url').toString().split('|');
    if (id === '' || !/^[0-9]+$/.test(updatedAt)) throw invalid('invalid cursor');
    return { updatedAt: Number(updatedAt), id };
  }
  const after = call.query.get('updated_after') ?? '';
  if (after === '') return { updatedAt: -1, id: '' };
  const updatedAt = Date.parse(after);
  if (Number.isNaN(updatedAt)) throw invalid('updated_after must be a time in RFC 3339');
  // The greatest id: of those that changed in this very millisecond none is "after".
  return { updatedAt, id: '\uffff' };
}

function isListed(moment: Moment, region: string): boolean {
  return own(moment.state.regions, region)?.unlisted !== true;
}

/** Which rows the call asks for, besides where its page begins. */
function filterOf(
  call: Call,
  isDeleted: (state: string) => boolean,
): (region: string, state: string) => boolean {
  const wanted = call.query.get('region') ?? '';
  const states = words(call, 'state');
  const withDeleted = flag(call, 'include_deleted');
  return (region, state) =>
    (withDeleted || !isDeleted(state)) &&
    (wanted === '' || region === wanted) &&
    (states.length === 0 || states.includes(state));
}

type Face = Readonly<{ state: string; updatedAt: number }>;

/** Everything of the organisation behind `start` that the call asks for, in no order. */
function rowsBehind<F extends Face, T extends Listable<F>>(
  moment: Moment,
  call: Call,
  list: {
    start: Position;
    thingsOf: (app: AppRecord) => Readonly<Record<string, T>>;
    isDeleted: (state: string) => boolean;
  },
): Row<T, F>[] {
  const { state, now } = moment;
  const isWanted = filterOf(call, list.isDeleted);
  const rows: Row<T, F>[] = [];
  for (const app of Object.values(state.apps)) {
    if (app.org !== call.params.org_slug || app.foreign || app.listedAt > now) continue;
    for (const thing of Object.values(list.thingsOf(app))) {
      // What lists see is never newer than the truth, so the great many that did not change cost one comparison.
      if (thing.face.updatedAt < list.start.updatedAt) continue;
      const face = isListed(moment, thing.region) ? listedFace<F>(thing, now) : null;
      if (face === null || !isWanted(thing.region, face.state)) continue;
      if (isAfter({ updatedAt: face.updatedAt, id: thing.id }, list.start)) rows.push({ app, thing, face });
    }
  }
  return rows;
}

/** One page of the rows, and what the answer says about it. */
function pageOf<F extends Face, T extends Listable<F>>(
  call: Call,
  rows: Row<T, F>[],
): { page: Row<T, F>[]; lastId: string | undefined; about: Record<string, unknown> } {
  const limit = Number(call.query.get('limit') ?? LARGEST_PAGE);
  if (!Number.isSafeInteger(limit) || limit < 1) throw invalid('limit must be a positive number');
  rows.sort((a, b) => a.face.updatedAt - b.face.updatedAt || (a.thing.id < b.thing.id ? -1 : 1));
  const page = rows.slice(0, Math.min(limit, LARGEST_PAGE));
  const last = page.at(-1);
  if (last === undefined) return { page, lastId: undefined, about: {} };
  const cursor = Buffer.from(`${last.face.updatedAt}|${last.thing.id}`).toString('base64url');
  const about = {
    last_updated_at: timestamp(last.face.updatedAt),
    ...(rows.length > page.length && { next_cursor: cursor }),
  };
  return { page, lastId: last.thing.id, about };
}

export function listOrganisationMachines(moment: Moment, call: Call): Answer {
  const summary = flag(call, 'summary');
  const rows = rowsBehind<MachineFace, MachineRecord>(moment, call, {
    start: startOf(call),
    thingsOf: (app) => app.machines,
    isDeleted: (state) => state === 'destroyed',
  });
  const { page, lastId, about } = pageOf(call, rows);
  return ok({
    machines: page.map(({ app, thing: machine, face }) =>
      organisationMachineView({ app, machine, face }, { summary }),
    ),
    error_regions: regions.map(({ code }) => code).filter((code) => !isListed(moment, code)),
    ...(lastId !== undefined && { last_machine_id: lastId }),
    ...about,
  });
}

export function listOrganisationVolumes(moment: Moment, call: Call): Answer {
  const summary = flag(call, 'summary');
  const rows = rowsBehind<VolumeFace, VolumeRecord>(moment, call, {
    start: startOf(call),
    thingsOf: (app) => app.volumes,
    isDeleted: (state) => state === 'scheduling_destroy' || state === 'pending_destroy',
  });
  const { page, lastId, about } = pageOf(call, rows);
  return ok({
    volumes: page.map(({ app, thing, face }) => ({
      ...volumeView(moment, thing, { face, summary }),
      app_name: app.name,
      updated_at: timestamp(face.updatedAt),
    })),
    ...(lastId !== undefined && { last_volume_id: lastId }),
    ...about,
  });
}
