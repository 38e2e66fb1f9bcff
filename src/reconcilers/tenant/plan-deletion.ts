/**
 * What is left to take down? Machine, volume, certificates and addresses, then the app, then the tag in the
 * shared registry, the database and the credentials. The finalizer goes only when a look has shown that nothing
 * is left. Whatever in the app does not carry our mark stops the deletion: deleting the app would destroy it.
 */
import { databaseName, VOLUME_NAME } from '../../tenant/names.ts';
import { compose, mapParts } from './compose.ts';
import { appOf, LOOK_INTERVAL_MS, type PlanInput } from './input.ts';
import { appGraceLeftMs } from './parts/app.ts';
import { isOurs } from './parts/machine-identity.ts';
import { LAST_GRACE_MS } from './settings.ts';
import {
  blocked,
  settled,
  waiting,
  working,
  type DraftStep,
  type Part,
  type PartPlan,
  type Plan,
} from './steps.ts';

const NEEDS: Readonly<Record<Part, readonly Part[]>> = {
  machine: [],
  volume: ['machine'],
  certificate: ['machine'],
  network: ['machine'],
  app: ['machine', 'volume', 'certificate', 'network'],
  image: ['app'],
  database: ['machine'],
  secrets: [],
  credentials: ['database', 'app', 'image'],
};

const ORDER = [
  'machine',
  'volume',
  'certificate',
  'network',
  'app',
  'image',
  'database',
  'secrets',
  'credentials',
] as const;

const WHY = 'the tenant is deleted';

/** Sets the part conditions to False/Deleting and then to True/Gone as each part is taken down. */
export function planDeletion(input: PlanInput): Plan {
  if (input.tenant.spec.deletionPolicy === 'Orphan')
    return compose(
      mapParts(() => settled('Orphaned', 'left as it is: spec.deletionPolicy is Orphan')),
      NEEDS,
    );
  const parts = mapParts((part) => endPart(part, input));
  return compose(parts, NEEDS, ORDER);
}

function endPart(part: Part, input: PlanInput): PartPlan {
  const { tenant, observed } = input;
  const app = appOf(tenant);
  const uid = tenant.metadata.uid;
  switch (part) {
    case 'machine':
      return endMachines(input);
    case 'volume':
      return endVolumes(input);
    case 'certificate':
      return ending(
        observed.certificates.map(({ hostname }) => ({
          kind: 'deleteCertificate',
          app,
          hostname,
          target: hostname,
          why: WHY,
        })),
      );
    case 'network':
      return ending(
        observed.addresses.map(({ ip }) => ({ kind: 'releaseAddress', app, ip, target: ip, why: WHY })),
      );
    case 'app':
      return endApp(input);
    case 'image':
      if (observed.tag === undefined) return settled('Gone', 'nothing is left');
      if (observed.tag.digest === undefined)
        return settled(
          'TagLeft',
          `the registry does not tell the digest of ${observed.tag.tag}: it is left there`,
        );
      if (observed.tag.usedElsewhere)
        return settled('Kept', 'another tenant runs the same image, its manifest is kept');
      return ending([
        {
          kind: 'deleteImageTag',
          repository: observed.tag.repository,
          tag: observed.tag.tag,
          digest: observed.tag.digest,
          target: `${observed.tag.repository}:${observed.tag.tag}`,
          why: WHY,
        },
      ]);
    case 'database':
      if (!observed.database.databaseExists && !observed.database.roleExists)
        return settled('Gone', 'nothing is left');
      return ending([{ kind: 'dropDatabase', target: databaseName(uid), why: WHY }]);
    case 'credentials':
      if (observed.vault === undefined) return settled('Gone', 'nothing is left');
      return ending([{ kind: 'forgetCredentials', target: uid, why: WHY }]);
    case 'secrets':
      return settled('Gone', 'secrets go with the app');
    default:
      return part satisfies never;
  }
}

function ending(steps: readonly DraftStep[]): PartPlan {
  if (steps.length === 0) return settled('Gone', 'nothing is left');
  return working('Deleting', 'is being deleted', steps);
}

function endMachines({ tenant, observed }: PlanInput): PartPlan {
  const live = observed.machines.filter((machine) => machine.state !== 'destroyed');
  const adopted = tenant.status?.machine?.id;
  const foreign = live.filter((machine) => !isOurs(tenant, machine) && machine.id !== adopted);
  if (foreign.length > 0)
    return blocked({
      reason: 'ForeignMachine',
      message: `cannot delete app "${appOf(tenant)}": machine "${foreign[0]?.id ?? ''}" in it is not Landlord's; destroy it or set spec.deletionPolicy to Orphan`,
    });
  return ending(
    live.map(({ id }) => ({
      kind: 'destroyMachine',
      app: appOf(tenant),
      machineId: id,
      target: id,
      why: WHY,
    })),
  );
}

function endVolumes({ tenant, observed }: PlanInput): PartPlan {
  const ours = (volume: { id: string; name: string }): boolean =>
    volume.name === VOLUME_NAME || volume.id === tenant.status?.volume?.id;
  const foreign = observed.volumes.find((volume) => !ours(volume));
  if (foreign !== undefined)
    return blocked({
      reason: 'ForeignVolume',
      message: `cannot delete app "${appOf(tenant)}": volume "${foreign.id}" in it is not Landlord's; destroy it or set spec.deletionPolicy to Orphan`,
    });
  return ending(
    observed.volumes.map(({ id }) => ({
      kind: 'destroyVolume',
      app: appOf(tenant),
      volumeId: id,
      target: id,
      why: WHY,
    })),
  );
}

function endApp(input: PlanInput): PartPlan {
  const { observed, settings } = input;
  const app = appOf(input.tenant);
  const owner = observed.app?.organization?.slug ?? settings.orgSlug;
  if (observed.appTaken || owner !== settings.orgSlug)
    return settled('Gone', 'another organisation owns that name');
  if (observed.app !== undefined) return ending([{ kind: 'deleteApp', app, target: app, why: WHY }]);
  // A create whose answer was lost may still take effect: without this wait the app would be left behind for ever.
  if (appGraceLeftMs(input, LAST_GRACE_MS) > 0)
    return waiting({
      reason: 'AppNotVisibleYet',
      message: `app "${app}" was asked for and may still appear`,
      retryAfterMs: LOOK_INTERVAL_MS,
    });
  return settled('Gone', 'nothing is left');
}
