/**
 * How does a machine look on the wire? The full object of GET and lists, the short one of summaries, and the
 * row of the organisation-wide list. A machine whose host does not answer shows no config.
 */
import { heldLease } from './leases.ts';
import { timestamp, type Moment } from './moment.ts';
import { hostStatus } from './regions.ts';
import type { AppRecord, MachineFace, MachineRecord } from './state.ts';

function checkNames(face: MachineFace): string[] {
  const services = (face.config.services ?? []).flatMap((service) =>
    (service.checks ?? []).map(
      (check, index) =>
        `servicecheck-${String(index).padStart(2, '0')}-${check.type ?? 'tcp'}-${service.internal_port ?? 0}`,
    ),
  );
  return [...Object.keys(face.config.checks ?? {}), ...services];
}

/** None before the first result is in, then critical, then passing. Outside a run nothing is checked. */
function checksView(face: MachineFace, now: number): Record<string, unknown>[] {
  if (face.state !== 'started' || now < face.checksKnownAt) return [];
  const passes = now >= face.checksPassAt;
  const status = face.checksForced ?? (passes ? 'passing' : 'critical');
  const output = status === 'passing' ? 'Success' : 'connect: connection refused';
  const since = face.checksForced === undefined && passes ? face.checksPassAt : face.checksKnownAt;
  return checkNames(face).map((name) => ({ name, status, output, updated_at: timestamp(since) }));
}

/** The fields that a summary has as well. */
function summaryView(machine: MachineRecord, face: MachineFace): Record<string, unknown> {
  return {
    id: machine.id,
    name: machine.name,
    state: face.state,
    region: machine.region,
    instance_id: face.instanceId,
    private_ip: face.privateIp,
    created_at: timestamp(machine.createdAt),
    updated_at: timestamp(face.updatedAt),
    image_ref: face.imageRef,
  };
}

/** A machine as GET and lists answer it; lists pass the face that they see. */
export function machineView(
  moment: Moment,
  machine: MachineRecord,
  options: { face?: MachineFace; summary?: boolean; withLease?: boolean; nonce?: string } = {},
): Record<string, unknown> {
  const { face = machine.face } = options;
  const view = summaryView(machine, face);
  if (options.summary === true) return view;
  // Assigned and not spread: this is what a simulation asks for most, and it is several times as fast.
  view.host_status = hostStatus(moment.state, machine.host);
  if (view.host_status === 'ok') view.config = face.config;
  else view.incomplete_config = { image: face.config.image, guest: face.config.guest };
  view.events = face.events;
  view.checks = checksView(face, moment.now);
  view.cordoned = face.cordoned;
  const lease = options.withLease === true ? heldLease(moment, machine) : null;
  if (lease !== null) {
    const { owner, description, expiresAt } = lease;
    view.lease = { owner, description, expires_at: Math.ceil(expiresAt / 1000) };
  }
  if (options.nonce !== undefined) view.nonce = options.nonce;
  return view;
}

/** A row of the organisation-wide list. */
export function organisationMachineView(
  row: { app: AppRecord; machine: MachineRecord; face: MachineFace },
  { summary }: { summary: boolean },
): Record<string, unknown> {
  const { app, machine, face } = row;
  const { image, guest, metadata } = face.config;
  return {
    id: machine.id,
    app_name: app.name,
    name: machine.name,
    state: face.state,
    region: machine.region,
    version: face.instanceId,
    private_ip: face.privateIp,
    created_at: timestamp(machine.createdAt),
    updated_at: timestamp(face.updatedAt),
    ...(!summary && { config: { image, guest, ...(metadata !== undefined && { metadata }) } }),
  };
}
