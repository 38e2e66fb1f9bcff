/**
 * What does a refusal of Fly mean? The one table from an answer to kind and reason. A machine-readable
 * `status` field outranks any text; then the first row whose HTTP status and words both fit decides; then
 * the HTTP status alone. Fly's words are not a contract: a row that no longer fits falls back to its status.
 */
import type { FlyErrorKind, FlyReason } from './errors.ts';
import type { Refusal } from './refusal.ts';

export interface Verdict {
  readonly kind: FlyErrorKind;
  readonly reason: FlyReason;
}

interface Rule extends Verdict {
  /** HTTP statuses that the row is for; absent: any. */
  readonly status?: readonly number[];
  /** Fly's words, matched without regard to case; absent: any. */
  readonly text?: RegExp;
  /** Operations that the row is for; absent: any. */
  readonly operation?: readonly string[];
  /** Why it is of this kind. */
  readonly why: string;
}

/** Values of the `status` field of an error. `unknown`, and values that we do not know, say nothing. */
const BY_CODE: ReadonlyMap<string, Verdict> = new Map<string, Verdict>([
  ['insufficient_capacity', { kind: 'transient', reason: 'RegionWithoutCapacity' }],
  ['volume_placement_capacity', { kind: 'transient', reason: 'HostWithoutCapacity' }],
  // A lost answer to our own create looks the same: the next GET of the app says whose it is (403 or ours).
  ['name_taken', { kind: 'transient', reason: 'NameTaken' }],
]);

/** Operations that name the version they were planned against: a bare 412 means that it is no longer the machine's. */
const VERSIONED = ['Machines_update', 'Machines_update_metadata'];

const BY_TEXT: readonly Rule[] = [
  {
    text: /over the allowed quota|reached its machine limit|payment method/i,
    kind: 'terminal',
    reason: 'QuotaExceeded',
    why: 'the organisation must be granted more, or pay',
  },
  {
    status: [409, 412],
    text: /insufficient resources to create new machine with existing volume|insufficient (?:resources|cpus|memory|ips)[^:]* available|could not reserve resource|deploys to this host are temporarily disabled/i,
    kind: 'transient',
    reason: 'HostWithoutCapacity',
    why: 'the host that holds the machine or its volume is full, others come and go',
  },
  {
    status: [400, 409, 422],
    text: /\bno capacity$|could not find a candidate host/i,
    kind: 'transient',
    reason: 'RegionWithoutCapacity',
    why: 'the whole region is full for now',
  },
  {
    status: [409],
    text: /lease currently held/i,
    kind: 'waiting',
    reason: 'LeaseHeld',
    why: 'somebody else works on the machine until the lease ends',
  },
  {
    status: [409, 422],
    text: /already_exists|unique machine name violation|already exists on app/i,
    kind: 'waiting',
    reason: 'AlreadyExists',
    why: 'an earlier create of ours succeeded, and a list will show it soon',
  },
  {
    text: /machine update failed due to concurrent update|currently replaced/i,
    kind: 'waiting',
    reason: 'MachineVersionChanged',
    why: 'the machine moved on to another version: read it again',
  },
  {
    status: [400, 409, 412],
    text: /\b(?:current_version|machine_version|version mismatch|version does not match)\b/i,
    operation: VERSIONED,
    kind: 'waiting',
    reason: 'MachineVersionChanged',
    why: 'the change was planned against another version of the machine: read it again',
  },
  {
    status: [409, 412],
    text: /concurrent update in progress|getting replaced|machine is replacing|still attempting to start|still active, refusing|unable to (?:start|stop|suspend|destroy|restart) machine/i,
    kind: 'waiting',
    reason: 'MachineBusy',
    why: 'the machine must first come to rest',
  },
  {
    status: [412],
    text: /currently bound to machine/i,
    kind: 'waiting',
    reason: 'VolumeBound',
    why: 'the binding outlives its machine by up to a minute',
  },
  {
    status: [400, 404, 422],
    text: /manifest_unknown|failed to get manifest|manifest unknown/i,
    kind: 'transient',
    reason: 'ImageNotFound',
    why: 'a manifest that was just pushed may take seconds to be seen by the host',
  },
  {
    status: [400],
    text: /volume not found/i,
    operation: ['Machines_create', 'Machines_update'],
    kind: 'transient',
    reason: 'NotFound',
    why: 'the volume has gone although a read may still show it: read the volumes again',
  },
  {
    status: [422],
    text: /has already been taken|uniqueness constraint violated/i,
    kind: 'transient',
    reason: 'NameTaken',
    why: 'the next read of the app says whether it is ours',
  },
];

const BY_STATUS: Readonly<Record<number, Verdict>> = {
  400: { kind: 'terminal', reason: 'BadRequest' },
  // Not terminal: right after an app was made Fly answers 401 for it, and a bad token is the operator's to
  // replace, after which every tenant must go on by itself.
  401: { kind: 'transient', reason: 'Unauthorized' },
  403: { kind: 'terminal', reason: 'Forbidden' },
  // Not terminal: reads lag behind writes, so a thing that was just made may be denied for a while.
  404: { kind: 'transient', reason: 'NotFound' },
  408: { kind: 'transient', reason: 'FlyTimeout' },
  409: { kind: 'transient', reason: 'MachineBusy' },
  410: { kind: 'transient', reason: 'NotFound' },
  412: { kind: 'transient', reason: 'MachineBusy' },
  422: { kind: 'terminal', reason: 'BadRequest' },
  429: { kind: 'transient', reason: 'RateLimited' },
};

/** Kind and reason of an answer that is not a success. */
export function classify(operation: string, refusal: Refusal): Verdict {
  const { status, code, text } = refusal;
  // A 408, a 429 and a 5xx mean the same whoever in between says them; any other page is not Fly's decision.
  if (!refusal.genuine && status < 500 && status !== 408 && status !== 429)
    return { kind: 'transient', reason: 'FlyUnintelligible' };
  const byCode = BY_CODE.get(code ?? '');
  if (byCode !== undefined) return byCode;
  if (status >= 500) return { kind: 'transient', reason: 'FlyServerError' };
  const rule = BY_TEXT.find((candidate) => fits(candidate, operation, refusal));
  if (rule !== undefined) return { kind: rule.kind, reason: rule.reason };
  if (status === 403 && operation === 'Apps_show') return { kind: 'terminal', reason: 'NameTaken' };
  if (status === 412 && VERSIONED.includes(operation) && !/failed_precondition/i.test(text))
    return { kind: 'waiting', reason: 'MachineVersionChanged' };
  if (status < 400) return { kind: 'transient', reason: 'FlyUnintelligible' };
  return BY_STATUS[status] ?? { kind: 'terminal', reason: 'BadRequest' };
}

/**
 * May Fly have done the work of a write that was refused with this status? A 4xx is a decision not to; 408
 * and 5xx say that somebody in between gave up waiting, and an answer that is not understood says nothing.
 */
export function mayHaveHappened(status: number): boolean {
  return status < 400 || status === 408 || status >= 500;
}

/** Id of the machine that a duplicate name belongs to: the one to adopt. */
export function existingIdIn(text: string): string | undefined {
  return /machine ID ([0-9a-z]+) already exists/i.exec(text)?.[1];
}

function fits(rule: Rule, operation: string, refusal: Refusal): boolean {
  return (
    (rule.status?.includes(refusal.status) ?? true) &&
    (rule.text?.test(refusal.text) ?? true) &&
    (rule.operation?.includes(operation) ?? true)
  );
}
