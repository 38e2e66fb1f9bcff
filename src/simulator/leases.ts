/**
 * Who may change a machine right now? Anybody, unless somebody holds its lease: then only calls with the nonce.
 * A lease outlives its holder until its time is over, and it keeps the proxy away as well.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { appOf } from './apps.ts';
import { created, ok, parseBody, type Answer, type Call } from './call.ts';
import { nonce } from './identifiers.ts';
import { livingMachineOf, machineOf } from './machine-record.ts';
import { changed, timestamp, type Moment } from './moment.ts';
import { invalid, notFound, Refusal } from './refusal.ts';
import type { AppRecord, Lease, MachineRecord } from './state.ts';

const NONCE_HEADER = 'fly-machine-lease-nonce';

/** When a lease is asked for without a time; Fly does not document its own default. */
const DEFAULT_TTL_S = 120;

/** Fly does not document a longest lease either; an hour is beyond any use. */
const LONGEST_TTL_S = 3600;

/** The lease that somebody holds on the machine now. */
export function heldLease(moment: Moment, machine: MachineRecord): Lease | null {
  return machine.lease !== null && machine.lease.expiresAt > moment.now ? machine.lease : null;
}

/** Refuses a call that changes a machine without the nonce of the lease on it. */
export function guardLease(moment: Moment, machine: MachineRecord, call: Call): void {
  const held = heldLease(moment, machine);
  const sent = call.headers[NONCE_HEADER];
  if (held !== null && sent !== held.nonce) {
    throw new Refusal(
      409,
      `machine ID ${machine.id} lease currently held by ${held.owner}, expires at ${timestamp(held.expiresAt)}`,
    );
  }
  if (held === null && sent !== undefined && sent !== '') {
    throw new Refusal(412, 'failed_precondition: the lease of that nonce is over');
  }
}

/** Who calls, as leases name it: of a token, no more than a hash is ever kept. */
function ownerOf(call: Call): string {
  const hash = createHash('sha256')
    .update(call.headers.authorization ?? '')
    .digest('hex');
  return `${hash.slice(0, 12)}@tokens.fly.io`;
}

/** Takes a lease on a machine that nobody holds. */
export function takeLease(
  moment: Moment,
  place: { app: AppRecord; machine: MachineRecord },
  request: { call: Call; ttlS: number; description?: string },
): Lease {
  const { app, machine } = place;
  if (request.ttlS < 1 || request.ttlS > LONGEST_TTL_S)
    throw invalid(`ttl must be 1 to ${LONGEST_TTL_S} seconds`);
  const lease: Lease = {
    nonce: nonce(moment.state),
    expiresAt: moment.now + request.ttlS * 1000,
    owner: ownerOf(request.call),
    description: request.description ?? '',
    version: machine.face.instanceId,
  };
  machine.lease = lease;
  changed(moment, app);
  return lease;
}

function leaseAnswer(lease: Lease): Record<string, unknown> {
  const { nonce: text, expiresAt, owner, description, version } = lease;
  return {
    status: 'success',
    data: { nonce: text, expires_at: Math.ceil(expiresAt / 1000), owner, description, version },
  };
}

const leaseBody = z.object({ description: z.string().optional(), ttl: z.int().optional() });

/** Takes a lease, or with the nonce of the held one gives it more time. */
export function createLease(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const machine = livingMachineOf(moment, app, call.params.machine_id ?? '');
  const body = parseBody(leaseBody, call);
  const asked = call.query.get('ttl');
  const ttlS = asked === null ? (body.ttl ?? DEFAULT_TTL_S) : Number(asked);
  if (!Number.isSafeInteger(ttlS)) throw invalid('ttl must be a whole number of seconds');
  guardLease(moment, machine, call);
  const held = heldLease(moment, machine);
  const lease = takeLease(
    moment,
    { app, machine },
    { call, ttlS, description: body.description ?? held?.description ?? '' },
  );
  if (held === null) return created(leaseAnswer(lease));
  machine.lease = { ...lease, nonce: held.nonce };
  return created(leaseAnswer(machine.lease));
}

export function showLease(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const lease = heldLease(moment, machineOf(moment, app, call.params.machine_id ?? ''));
  if (lease === null) throw notFound('lease');
  return ok(leaseAnswer(lease));
}

export function releaseLease(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const machine = machineOf(moment, app, call.params.machine_id ?? '');
  const sent = call.headers[NONCE_HEADER];
  if (sent === undefined || sent === '') throw invalid(`${NONCE_HEADER} is required`);
  if (heldLease(moment, machine) === null) throw notFound('lease');
  guardLease(moment, machine, call);
  machine.lease = null;
  changed(moment, app);
  return ok({ status: 'success', data: { ok: true } });
}
