/**
 * What can become of one call from a process to something outside of it? The seven moments at which the network or
 * the process can fail (the same for every call), and the answers that only some callees give.
 */

/**
 * - `crash-before`: the process dies before the request leaves it.
 * - `request-lost`: the request never arrives; the caller waits until its patience ends.
 * - `answer-lost`: the effect takes place, then the connection is cut.
 * - `crash-on-effect`: the process dies when the effect has taken place and the answer is under way.
 * - `crash-after-answer`: the process dies when it has seen the answer and done what follows from it without a call.
 * - `answer-late`: the effect takes place, its answer comes when nobody waits for it any more.
 * - `effect-late`: the caller has given up, has perhaps looked, and only then the effect takes place.
 */
export const TIMINGS = [
  'crash-before',
  'request-lost',
  'answer-lost',
  'crash-on-effect',
  'crash-after-answer',
  'answer-late',
  'effect-late',
] as const;

export type Timing = (typeof TIMINGS)[number];

/** Fly's ways of saying no, and of saying nothing that makes sense. Bodies are in Fly's own words (fly-api). */
export interface FlyAnswer {
  readonly status: number;
  /** JSON, or text as it is. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** The effect takes place all the same: a gateway gave up, or the answer was garbled on its way. */
  readonly applied?: true;
}

/** Every class of answers that a client of Fly must tell apart. */
export const FLY_ANSWERS = {
  '400': { status: 400, body: { error: 'invalid request' } },
  '401': { status: 401, body: { error: 'unauthorized' } },
  '403': { status: 403, body: { error: 'forbidden: token may not do this' } },
  '403 quota': { status: 403, body: { error: 'your organization is over the allowed quota' } },
  '404': { status: 404, body: { error: 'not found' } },
  '408': { status: 408, body: { error: 'deadline exceeded' } },
  '409 exists': { status: 409, body: { error: 'already_exists: unique machine name violation' } },
  '409 lease': { status: 409, body: { error: 'lease currently held by somebody' } },
  '412 capacity': {
    status: 412,
    body: { error: 'insufficient resources to create new machine with existing volume' },
  },
  '412 version': { status: 412, body: { error: 'machine_version does not match: version mismatch' } },
  '422': { status: 422, body: { error: 'unprocessable' } },
  '422 no capacity': { status: 422, body: { error: 'could not find a candidate host' } },
  '429': { status: 429, body: { error: 'rate limit exceeded' } },
  '429 with Retry-After': {
    status: 429,
    body: { error: 'rate limit exceeded' },
    headers: { 'retry-after': '7' },
  },
  '500': { status: 500, body: { error: 'internal server error' } },
  '502 applied': { status: 502, body: '<html><body>502 Bad Gateway</body></html>', applied: true },
  '503': { status: 503, body: { error: 'service unavailable' } },
  '504 applied': { status: 504, body: '<html><body>504 Gateway Timeout</body></html>', applied: true },
  'truncated JSON': { status: 200, body: '{"id": "tru', applied: true },
  'page of HTML': { status: 200, body: '<html><body>Welcome</body></html>', applied: true },
  'nothing at all': { status: 200, body: '', applied: true },
} as const satisfies Record<string, FlyAnswer>;

export type FlyAnswerName = keyof typeof FLY_ANSWERS;

/** What a database says instead of doing its work: it is away, or somebody else is in the way. */
export const DATABASE_REFUSALS = ['unavailable', 'busy'] as const;

export type DatabaseRefusal = (typeof DATABASE_REFUSALS)[number];

/** One name for each of all these. */
export type Fate = Timing | FlyAnswerName | DatabaseRefusal;

export const FLY_FATES: readonly Fate[] = [...TIMINGS, ...(Object.keys(FLY_ANSWERS) as FlyAnswerName[])];
export const DATABASE_FATES: readonly Fate[] = [...TIMINGS, ...DATABASE_REFUSALS];

/** Whether the process does not outlive it. */
export function isCrash(fate: Fate): boolean {
  return fate.startsWith('crash-');
}

export function flyAnswer(fate: Fate): FlyAnswer | undefined {
  return Object.hasOwn(FLY_ANSWERS, fate) ? FLY_ANSWERS[fate as FlyAnswerName] : undefined;
}
