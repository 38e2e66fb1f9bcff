/**
 * How does a machine come into being? There is no idempotency key on Fly: the name, unique among the app's
 * living machines, is the only guard, so it is looked at before anything else.
 */
import { z } from 'zod';
import { appOf } from './apps.ts';
import { ok, parseBody, type Answer, type Call } from './call.ts';
import { machineId, opaqueId, privateIp, ulid } from './identifiers.ts';
import { resolveImage } from './images.ts';
import { newLagged } from './lag.ts';
import { takeLease } from './leases.ts';
import { configBody, normaliseConfig, type MachineConfig } from './machine-config.ts';
import { livingMachines, withEvent } from './machine-record.ts';
import { setOut } from './machine-transitions.ts';
import { machineView } from './machine-view.ts';
import { changed, drawMs, type Moment } from './moment.ts';
import { placeMachine } from './placement.ts';
import { Refusal } from './refusal.ts';
import {
  own,
  type AppRecord,
  type MachineFace,
  type MachineRecord,
  type MachineStep,
  type VolumeRecord,
} from './state.ts';
import { changeVolume, isDeleted } from './volume-record.ts';

const createBody = z.object({
  name: z.string().max(63).optional(),
  region: z.string().optional(),
  config: configBody,
  skip_launch: z.boolean().optional(),
  skip_service_registration: z.boolean().optional(),
  skip_secrets: z.boolean().optional(),
  lease_ttl: z.int().optional(),
  min_secrets_version: z.int().optional(),
});

/** What a launch goes through. */
export function launchSteps(moment: Moment, source: string): MachineStep[] {
  return [
    { to: 'starting', afterMs: drawMs(moment, 'prepare'), source },
    { to: 'started', afterMs: drawMs(moment, 'boot'), source },
  ];
}

function refuseTakenName(app: AppRecord, name: string): void {
  const twin = livingMachines(app).find((machine) => machine.name === name);
  if (twin === undefined) return;
  throw new Refusal(
    409,
    `already_exists: unique machine name violation, machine ID ${twin.id} already exists with name "${name}"`,
  );
}

function mountedVolume(app: AppRecord, volumeId: string | undefined): VolumeRecord | undefined {
  if (volumeId === undefined) return undefined;
  const volume = own(app.volumes, volumeId);
  if (volume === undefined || isDeleted(volume)) throw new Refusal(400, 'volume not found');
  const bound = volume.face.attachedMachineId;
  if (bound !== null) {
    throw new Refusal(412, `failed_precondition: volume is currently bound to machine: ${bound}`);
  }
  return volume;
}

/** Refuses to promise secrets that do not exist yet; Fly does not document its own answer. */
export function checkSecretsVersion(app: AppRecord, wanted: number): number {
  if (wanted <= app.secrets.face.version) return wanted;
  throw new Refusal(412, `failed_precondition: secrets version ${wanted} does not exist`);
}

function makeMachine(
  moment: Moment,
  app: AppRecord,
  made: {
    name: string;
    region: string;
    host: string;
    config: MachineConfig;
    cordoned: boolean;
    imageRef: MachineFace['imageRef'];
  },
): MachineRecord {
  const { state, now } = moment;
  const instanceId = ulid(state, now);
  const face: MachineFace = {
    state: 'created',
    instanceId,
    privateIp: privateIp(state),
    updatedAt: now,
    config: made.config,
    imageRef: made.imageRef,
    events: withEvent(moment, [], { type: 'launch', status: 'created', source: 'user' }),
    cordoned: made.cordoned,
    checksKnownAt: 0,
    checksPassAt: 0,
  };
  const getLagMs = drawMs(moment, 'getAfterCreate');
  const lagged = newLagged(face, { now, lagMs: Math.max(getLagMs, drawMs(moment, 'list')) });
  const machine: MachineRecord = {
    ...lagged,
    id: machineId(state),
    name: made.name,
    region: made.region,
    createdAt: now,
    visibleAt: now + getLagMs,
    host: made.host,
    path: [],
    lease: null,
    startableAt: 0,
    versions: [{ version: instanceId, config: made.config }],
    runs: [],
    secretsVersion: 0,
    minSecretsVersion: 0,
    lastRequestAt: 0,
    restarts: [],
    drawn: [],
  };
  app.machines[machine.id] = machine;
  return machine;
}

export function createMachine(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const body = parseBody(createBody, call);
  const name = body.name ?? `machine-${opaqueId(moment.state)}`;
  refuseTakenName(app, name);
  const volume = mountedVolume(app, body.config.mounts?.[0]?.volume);
  const config = normaliseConfig(body.config, volume);
  const minSecretsVersion = checkSecretsVersion(app, body.min_secrets_version ?? 0);
  const imageRef = resolveImage(moment, config.image);
  const { region, host } = placeMachine(moment, app, { region: body.region, volume });
  const cordoned = body.skip_service_registration ?? false;
  const machine = makeMachine(moment, app, { name, region, host, config, cordoned, imageRef });
  machine.minSecretsVersion = minSecretsVersion;
  if (volume !== undefined) changeVolume(moment, { app, volume }, { attachedMachineId: machine.id });
  const nonce =
    body.lease_ttl === undefined
      ? undefined
      : takeLease(moment, { app, machine }, { call, ttlS: body.lease_ttl }).nonce;
  if (body.skip_launch === true) {
    machine.startableAt = moment.now + drawMs(moment, 'prepareUnlaunched');
    changed(moment, app);
  } else {
    setOut(moment, { app, machine }, { state: 'created', steps: launchSteps(moment, 'flyd') });
  }
  return ok(machineView(moment, machine, nonce === undefined ? {} : { nonce }));
}
