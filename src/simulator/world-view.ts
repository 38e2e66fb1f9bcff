/**
 * What is there? Everything in the world, by app, for tests, benchmarks and people: more than Fly tells (hosts,
 * secrets versions, drawn latencies), but never the value of a secret.
 */
import { heldLease } from './leases.ts';
import type { Moment } from './moment.ts';
import type { AppRecord, MachineRecord, VolumeRecord } from './state.ts';

function machineSummary(moment: Moment, machine: MachineRecord): Record<string, unknown> {
  const { face } = machine;
  return {
    id: machine.id,
    name: machine.name,
    state: face.state,
    region: machine.region,
    host: machine.host,
    instance_id: face.instanceId,
    image: face.imageRef,
    config: face.config,
    cordoned: face.cordoned,
    lease: heldLease(moment, machine) !== null,
    secrets_version: machine.secretsVersion,
    events: face.events,
    versions: machine.versions.map(({ version }) => version),
    transitions: machine.drawn,
  };
}

function volumeSummary(volume: VolumeRecord): Record<string, unknown> {
  const { face } = volume;
  return {
    id: volume.id,
    name: volume.name,
    state: face.state,
    region: volume.region,
    host: volume.host,
    size_gb: face.sizeGb,
    attached_machine_id: face.attachedMachineId,
  };
}

function appSummary(moment: Moment, app: AppRecord): Record<string, unknown> {
  return {
    id: app.id,
    org: app.org,
    network: app.network,
    foreign: app.foreign,
    deleting: app.deletedAt !== null,
    created_at: app.createdAt,
    visible_at: app.visibleAt,
    machines: Object.values(app.machines).map((machine) => machineSummary(moment, machine)),
    volumes: Object.values(app.volumes).map(volumeSummary),
    addresses: app.addresses.map(({ ip, type }) => ({ ip, type })),
    certificates: app.certificates.map(({ hostname, issuedAt }) => ({ hostname, active: issuedAt !== null })),
    secrets: {
      version: app.secrets.face.version,
      names: app.secrets.face.secrets.map(({ name }) => name),
    },
  };
}

/** The whole world, or one app of it. */
export function worldView(moment: Moment, onlyApp: string | undefined): Record<string, unknown> {
  const { state } = moment;
  const apps = Object.values(state.apps).filter(({ name }) => onlyApp === undefined || name === onlyApp);
  return {
    now: moment.now,
    apps: Object.fromEntries(apps.map((app) => [app.name, appSummary(moment, app)])),
    ...(onlyApp === undefined && {
      registry: { tags: state.tags, manifests: Object.keys(state.manifests) },
      regions: state.regions,
      hosts: state.hosts,
    }),
  };
}
