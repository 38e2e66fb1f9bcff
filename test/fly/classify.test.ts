/** The table of failures as a specification: what Fly says (facts 1.3, 1.4, 5.9, 15), and what it means here. */
import { describe, expect, test } from 'vitest';
import { classify, existingIdIn, mayHaveHappened } from '../../src/fly/classify.ts';
import { readRefusal } from '../../src/fly/refusal.ts';

interface Case {
  readonly name: string;
  readonly operation?: string;
  readonly status: number;
  readonly error?: string;
  readonly code?: string;
  readonly want: string;
}

const capacity: Case[] = [
  {
    name: 'a region without a candidate host, by its status field',
    status: 422,
    error: 'could not find a candidate host',
    code: 'insufficient_capacity',
    want: 'transient RegionWithoutCapacity',
  },
  {
    name: 'the same from the API before it had a status field',
    status: 422,
    error: 'could not find a candidate host',
    want: 'transient RegionWithoutCapacity',
  },
  {
    name: 'a status field of "unknown" leaves it to the words',
    status: 422,
    error: 'could not find a candidate host',
    code: 'unknown',
    want: 'transient RegionWithoutCapacity',
  },
  {
    name: 'a status field that nobody knows yet leaves it to the HTTP status',
    status: 422,
    error: 'something new',
    code: 'constructor',
    want: 'terminal BadRequest',
  },
  {
    name: 'the status field outranks the words',
    status: 409,
    error: 'already_exists: unique machine name violation',
    code: 'insufficient_capacity',
    want: 'transient RegionWithoutCapacity',
  },
  {
    name: 'a volume whose host is full, by its status field',
    status: 412,
    error: "insufficient resources to create new machine with existing volume id 'vol_1'",
    code: 'volume_placement_capacity',
    want: 'transient HostWithoutCapacity',
  },
  {
    name: 'the same from the API before it had a status field',
    status: 412,
    error: "insufficient resources to create new machine with existing volume id 'vol_1'",
    want: 'transient HostWithoutCapacity',
  },
  {
    name: 'a host without CPUs for an update',
    status: 409,
    error:
      'aborted: could not reserve resource for machine: insufficient CPUs available to fulfill request on the current host',
    want: 'transient HostWithoutCapacity',
  },
  {
    name: 'a host without memory for a start',
    operation: 'Machines_start',
    status: 409,
    error:
      'aborted: could not reserve resource for machine: insufficient memory available to fulfill request on the current host',
    want: 'transient HostWithoutCapacity',
  },
  {
    name: 'a host without addresses',
    status: 409,
    error: 'aborted: insufficient IPs available to fulfill request',
    want: 'transient HostWithoutCapacity',
  },
  {
    name: 'a host that was full when the machine came to it',
    status: 409,
    error: 'aborted: insufficient resources available to fulfill request: no room',
    want: 'transient HostWithoutCapacity',
  },
  {
    name: 'a host that takes no deploys',
    status: 409,
    error: 'aborted: deploys to this host are temporarily disabled',
    want: 'transient HostWithoutCapacity',
  },
  {
    name: 'a region without room for a volume',
    operation: 'Volumes_create',
    status: 409,
    error: 'aborted: no capacity',
    want: 'transient RegionWithoutCapacity',
  },
  {
    name: 'the same as some report it',
    operation: 'Volumes_create',
    status: 400,
    error: 'no capacity',
    want: 'transient RegionWithoutCapacity',
  },
];

const quotas: Case[] = [
  {
    name: 'a regional quota of memory',
    status: 403,
    error: 'organization acme is using 9000 MB of memory in iad which is over the allowed quota',
    want: 'terminal QuotaExceeded',
  },
  {
    name: 'a limit on machines',
    status: 422,
    error: 'Your organization has reached its machine limit. Please contact billing',
    want: 'terminal QuotaExceeded',
  },
  {
    name: 'an organisation that does not pay yet',
    status: 422,
    error: 'To create more than 1 machine please add a payment method',
    want: 'terminal QuotaExceeded',
  },
];

const conflicts: Case[] = [
  {
    name: 'a machine that moved on while it was being updated',
    operation: 'Machines_update',
    status: 409,
    error: 'aborted: machine update failed due to concurrent update',
    want: 'waiting MachineVersionChanged',
  },
  {
    name: 'an update before the last one has settled',
    operation: 'Machines_update',
    status: 409,
    error: 'aborted: machine is replacing: concurrent update in progress',
    want: 'waiting MachineBusy',
  },
  {
    name: 'metadata for a version that is gone',
    operation: 'Machines_update_metadata',
    status: 412,
    error: 'failed_precondition: machine version mismatch',
    want: 'waiting MachineVersionChanged',
  },
  {
    name: 'a version that is gone, without a word',
    operation: 'Machines_update',
    status: 412,
    want: 'waiting MachineVersionChanged',
  },
  {
    name: 'an update that the state forbids is not a change of version',
    operation: 'Machines_update',
    status: 412,
    error: "failed_precondition: unable to update machine from current state: 'destroying'",
    want: 'transient MachineBusy',
  },
  {
    name: 'a name that a machine of the app has already',
    status: 409,
    error:
      'already_exists: unique machine name violation, machine ID 1857aa00bb11cc already exists with name "web"',
    want: 'waiting AlreadyExists',
  },
  {
    name: 'a hostname that the app has already',
    operation: 'App_Certificates_acme_create',
    status: 422,
    error: 'Validation failed: Hostname already exists on app',
    want: 'waiting AlreadyExists',
  },
  {
    name: 'a lease of somebody else',
    operation: 'Machines_update',
    status: 409,
    error:
      'machine ID 1857aa00bb11cc lease currently held by a@tokens.fly.io, expires at 2026-01-01T00:02:00Z',
    want: 'waiting LeaseHeld',
  },
  {
    name: 'a start right after the create, while the image is prepared',
    operation: 'Machines_start',
    status: 412,
    error: "failed_precondition: unable to start machine from current state: 'created'",
    want: 'waiting MachineBusy',
  },
  {
    name: 'a start during an update',
    operation: 'Machines_start',
    status: 412,
    error: 'failed_precondition: machine getting replaced, refusing to start',
    want: 'waiting MachineBusy',
  },
  {
    name: 'a start right after a stop',
    operation: 'Machines_start',
    status: 412,
    error: 'failed_precondition: machine still active, refusing to start',
    want: 'waiting MachineBusy',
  },
  {
    name: 'a start of what is starting',
    operation: 'Machines_start',
    status: 409,
    error: 'aborted: machine still attempting to start',
    want: 'waiting MachineBusy',
  },
  {
    name: 'a destroy without force of what runs',
    operation: 'Machines_delete',
    status: 412,
    error:
      'failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created',
    want: 'waiting MachineBusy',
  },
  {
    name: 'a volume whose machine is not quite gone',
    operation: 'Volume_delete',
    status: 412,
    error: 'failed_precondition: volume is currently bound to machine: 1857aa00bb11cc',
    want: 'waiting VolumeBound',
  },
  {
    name: 'a wait for a version that was replaced',
    operation: 'Machines_wait',
    status: 400,
    error: 'machine version 01KD is currently replaced',
    want: 'waiting MachineVersionChanged',
  },
  {
    name: 'a conflict that we do not know',
    status: 409,
    error: 'aborted: tides',
    want: 'transient MachineBusy',
  },
  {
    name: 'a precondition that we do not know',
    operation: 'Machines_suspend',
    status: 412,
    error: 'failed_precondition: moon',
    want: 'transient MachineBusy',
  },
];

const absences: Case[] = [
  {
    name: 'an image that is missing, or too new for the host to see',
    status: 400,
    error:
      'failed to get manifest registry.fly.io/a:b: request failed: not found [http 404]: MANIFEST_UNKNOWN unknown',
    want: 'transient ImageNotFound',
  },
  {
    name: 'a machine for a volume that has gone',
    status: 400,
    error: 'volume not found',
    want: 'transient NotFound',
  },
  {
    name: 'what is not there, or not yet',
    status: 404,
    error: 'not_found: app not found',
    want: 'transient NotFound',
  },
  { name: 'what is not there any more', status: 410, want: 'transient NotFound' },
];

const names: Case[] = [
  {
    name: 'an app name that is taken, by its status field: ours perhaps, the next read says',
    operation: 'Apps_create',
    status: 422,
    error: 'Validation failed: Name has already been taken',
    code: 'name_taken',
    want: 'transient NameTaken',
  },
  {
    name: 'the same without the status field',
    operation: 'Apps_create',
    status: 422,
    error: 'Validation failed: Name has already been taken',
    want: 'transient NameTaken',
  },
  {
    name: 'the same when two creates race',
    operation: 'Apps_create',
    status: 422,
    error: 'uniqueness constraint violated',
    want: 'transient NameTaken',
  },
  {
    name: 'an app that exists where we may not look is somebody else’s',
    operation: 'Apps_show',
    status: 403,
    error: 'permission_denied',
    want: 'terminal NameTaken',
  },
];

const byStatus: Case[] = [
  { name: 'bad parameters', status: 400, error: 'invalid_argument: region', want: 'terminal BadRequest' },
  {
    name: 'a name that Fly does not allow',
    status: 422,
    error: 'Validation failed: Name',
    want: 'terminal BadRequest',
  },
  {
    name: 'a token that is missing, bad, or too new for a new app',
    status: 401,
    want: 'transient Unauthorized',
  },
  {
    name: 'a token that may not do this',
    status: 403,
    error: 'permission_denied',
    want: 'terminal Forbidden',
  },
  {
    name: 'an upstream that gave up waiting',
    status: 408,
    error: 'deadline_exceeded: no',
    want: 'transient FlyTimeout',
  },
  { name: 'a rate limit', status: 429, error: 'rate limit exceeded', want: 'transient RateLimited' },
  { name: 'a route that does not take this method', status: 405, want: 'terminal BadRequest' },
  { name: 'a failure of the platform', status: 500, error: 'boom', want: 'transient FlyServerError' },
  { name: 'a gateway without a backend', status: 502, want: 'transient FlyServerError' },
  { name: 'a platform that is down', status: 503, want: 'transient FlyServerError' },
  {
    name: 'words of a refusal in a 500 are not a refusal',
    status: 500,
    error: 'no capacity',
    want: 'transient FlyServerError',
  },
  { name: 'a redirect, which nobody asked for', status: 302, want: 'transient FlyUnintelligible' },
];

describe.each([
  { about: 'no room', cases: capacity },
  { about: 'the account', cases: quotas },
  { about: 'conflicts', cases: conflicts },
  { about: 'absence', cases: absences },
  { about: 'names', cases: names },
  { about: 'the HTTP status alone', cases: byStatus },
])('$about', ({ cases }) => {
  test.each(cases)('$name: $want', ({ operation = 'Machines_create', status, error, code, want }) => {
    const refusal = readRefusal(status, JSON.stringify({ error, status: code }));
    const { kind, reason } = classify(operation, refusal);
    expect(`${kind} ${reason}`).toBe(want);
  });
});

describe('a page that is not of Fly', () => {
  test.each([
    { status: 404, want: 'transient FlyUnintelligible' },
    { status: 400, want: 'transient FlyUnintelligible' },
    { status: 403, want: 'transient FlyUnintelligible' },
    { status: 408, want: 'transient FlyTimeout' },
    { status: 429, want: 'transient RateLimited' },
    { status: 503, want: 'transient FlyServerError' },
  ])('with status $status means $want', ({ status, want }) => {
    const { kind, reason } = classify('Apps_show', readRefusal(status, '<html>no</html>'));
    expect(`${kind} ${reason}`).toBe(want);
  });
});

describe('a write may have happened', () => {
  test.each([408, 500, 502, 503, 504, 302])('after %d', (status) =>
    expect(mayHaveHappened(status)).toBe(true),
  );
  test.each([400, 401, 403, 404, 409, 412, 422, 429])('not after %d', (status) =>
    expect(mayHaveHappened(status)).toBe(false),
  );
});

test('the machine that has the name already is named', () => {
  const text =
    'already_exists: unique machine name violation, machine ID 1857aa00bb11cc already exists with name "w"';
  expect(existingIdIn(text)).toBe('1857aa00bb11cc');
  expect(existingIdIn('already_exists')).toBeUndefined();
});
