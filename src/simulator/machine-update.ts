/**
 * How does a machine change its config? As a whole: every update makes a new version and replaces the old one,
 * one at a time. Without skip_launch the new version is launched, also where the old one was asleep.
 */
import { z } from 'zod';
import { appOf } from './apps.ts';
import { ok, parseBody, type Answer, type Call } from './call.ts';
import { ulid } from './identifiers.ts';
import { resolveImage } from './images.ts';
import { guardLease, takeLease } from './leases.ts';
import { configBody, normaliseConfig, type MachineConfig } from './machine-config.ts';
import { checkSecretsVersion } from './machine-create.ts';
import { livingMachineOf } from './machine-record.ts';
import { endRun, MOST_REMEMBERED, setOut } from './machine-transitions.ts';
import { machineView } from './machine-view.ts';
import { drawMs, type Moment } from './moment.ts';
import { hasRoom } from './placement.ts';
import { invalid, Refusal } from './refusal.ts';
import { own, type MachineRecord, type MachineStep } from './state.ts';

const updateBody = z.object({
  config: configBody,
  current_version: z.string().optional(),
  skip_launch: z.boolean().optional(),
  skip_service_registration: z.boolean().optional(),
  skip_secrets: z.boolean().optional(),
  lease_ttl: z.int().optional(),
  min_secrets_version: z.int().optional(),
  name: z.string().optional(),
  region: z.string().optional(),
});

/** One update at a time, and none of a machine that is between two states. */
function refuseBusy(machine: MachineRecord, currentVersion: string | undefined): void {
  const { state, instanceId } = machine.face;
  if (state === 'destroying') {
    throw new Refusal(412, `failed_precondition: unable to update machine from current state: '${state}'`);
  }
  if (['replacing', 'stopping', 'suspending', 'restarting'].includes(state)) {
    throw new Refusal(409, `aborted: machine is ${state}: concurrent update in progress`);
  }
  if (currentVersion !== undefined && currentVersion !== '' && currentVersion !== instanceId) {
    throw new Refusal(409, 'aborted: machine update failed due to concurrent update');
  }
}

/** Only the path of a mount can change in place. */
function refuseOtherMount(before: MachineConfig, sent: z.output<typeof configBody>): void {
  const volumes = [before.mounts?.[0]?.volume, sent.mounts?.[0]?.volume];
  if (volumes[0] !== volumes[1]) {
    throw invalid('config.mounts: the volume of an existing machine cannot be added, removed or changed');
  }
}

function refuseWithoutRoom(moment: Moment, machine: MachineRecord, config: MachineConfig): void {
  if (hasRoom(moment, machine.host)) return;
  const before = machine.face.config.guest;
  const lacking =
    config.guest.memory_mb > before.memory_mb
      ? 'memory'
      : config.guest.cpus > before.cpus
        ? 'CPUs'
        : undefined;
  if (lacking === undefined) return;
  throw new Refusal(
    409,
    `aborted: could not reserve resource for machine: insufficient ${lacking} available to fulfill request on the current host`,
  );
}

function replaceSteps(moment: Moment, machine: MachineRecord, skipLaunch: boolean): MachineStep[] {
  const afterMs = drawMs(moment, 'replace');
  if (!skipLaunch) return [{ to: 'started', afterMs: afterMs + drawMs(moment, 'boot'), source: 'flyd' }];
  return [{ to: machine.face.state === 'created' ? 'created' : 'stopped', afterMs, source: 'flyd' }];
}

export function updateMachine(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const machine = livingMachineOf(moment, app, call.params.machine_id ?? '');
  const body = parseBody(updateBody, call);
  guardLease(moment, machine, call);
  refuseBusy(machine, body.current_version);
  refuseOtherMount(machine.face.config, body.config);
  const config = normaliseConfig(body.config, own(app.volumes, body.config.mounts?.[0]?.volume ?? ''));
  const minSecretsVersion = checkSecretsVersion(app, body.min_secrets_version ?? 0);
  // Fly keeps the digest while the reference reads the same, so that a tag pushed again is not picked up.
  const sameImage = config.image === machine.face.config.image;
  const imageRef = sameImage ? machine.face.imageRef : resolveImage(moment, config.image);
  refuseWithoutRoom(moment, machine, config);

  const instanceId = ulid(moment.state, moment.now);
  const steps = replaceSteps(moment, machine, body.skip_launch ?? false);
  endRun(moment, machine);
  machine.minSecretsVersion = minSecretsVersion;
  machine.versions = [...machine.versions, { version: instanceId, config }].slice(-MOST_REMEMBERED);
  setOut(
    moment,
    { app, machine },
    {
      state: 'replacing',
      steps,
      event: { type: 'update', status: 'replacing', source: 'user' },
      patch: {
        instanceId,
        config,
        imageRef,
        checksKnownAt: 0,
        checksPassAt: 0,
        ...(body.skip_service_registration !== undefined && { cordoned: body.skip_service_registration }),
      },
    },
  );
  const nonce =
    body.lease_ttl === undefined
      ? undefined
      : takeLease(moment, { app, machine }, { call, ttlS: body.lease_ttl }).nonce;
  return ok(machineView(moment, machine, nonce === undefined ? {} : { nonce }));
}
