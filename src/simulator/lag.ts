/**
 * What does somebody see who reads elsewhere? Fly's lists read a copy that trails behind the truth. A record
 * therefore has a face (everything that a list shows of it, never changed in place) and keeps the faces that
 * lists still see, each until the moment at which its successor arrives there.
 */

/** A face that was replaced, and the time until which lists go on showing it; null: not listed yet. */
export interface Past<Face> {
  readonly until: number;
  readonly face: Face | null;
}

export interface Lagged<Face> {
  face: Face;
  /** Oldest first. */
  past: Past<Face>[];
}

/** Many quick changes within one lag are rare; dropping the oldest only makes a list less stale. */
const MOST_PAST_FACES = 16;

/** Replaces the face now; lists follow `lagMs` later, never before an earlier change arrived there. */
export function replaceFace<Face>(
  record: Lagged<Face>,
  face: Face,
  { now, lagMs }: { now: number; lagMs: number },
): void {
  const previous = record.past.at(-1)?.until ?? now;
  const until = Math.max(now + lagMs, previous);
  if (record.past.length > 0)
    record.past = record.past.filter((past) => past.until > now).slice(1 - MOST_PAST_FACES);
  if (until > now) record.past.push({ until, face: record.face });
  record.face = face;
}

/** A new record, which lists do not show before `lagMs` have passed. */
export function newLagged<Face>(face: Face, { now, lagMs }: { now: number; lagMs: number }): Lagged<Face> {
  return { face, past: lagMs > 0 ? [{ until: now + lagMs, face: null }] : [] };
}

/** What a list shows of the record; null when it does not show it yet. */
export function listedFace<Face>(record: Lagged<Face>, now: number): Face | null {
  for (const past of record.past) {
    if (past.until > now) return past.face;
  }
  return record.face;
}
