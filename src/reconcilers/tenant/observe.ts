/**
 * What is the world of this tenant like? Reads only, all at the same time, and only what the plan needs. A
 * failing read fails the whole look: a plan made from half a picture could create what exists.
 */
import { TransientError, WaitingError } from '../../controller/outcome.ts';
import type { TenantDatabases } from '../../database/tenant-databases.ts';
import { FlyError } from '../../fly/errors.ts';
import type { Fly } from '../../fly/fly.ts';
import type { WireApp, WireMachine, WireVolume } from '../../fly/wire.ts';
import { parseImage } from '../../tenant/image.ts';
import { imageTag } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import type { Vault } from '../../vault/vault.ts';
import { appOf, LOOK_INTERVAL_MS } from './input.ts';
import { NOTHING_OBSERVED, upsert, type Observed, type ObservedImage, type ObservedTag } from './observed.ts';
import { findMachine } from './parts/machine-identity.ts';
import { mountedVolumeId } from './parts/volume.ts';
import type { TenantSettings } from './settings.ts';

export interface ObserveDependencies {
  readonly fly: Fly;
  readonly vault: Vault;
  readonly databases: TenantDatabases;
  readonly settings: TenantSettings;
  /** Whether a tenant other than `uid` wants or runs the digest. */
  readonly digestUsedElsewhere: (digest: string, uid: string) => boolean;
}

/** Looks at everything that belongs to the tenant. Rejects with FlyError or a database error. */
export async function observe(
  dependencies: ObserveDependencies,
  tenant: Tenant,
  signal: AbortSignal,
): Promise<Observed> {
  const deleted = tenant.metadata.deletionTimestamp !== undefined;
  if (deleted && tenant.spec.deletionPolicy === 'Orphan') return NOTHING_OBSERVED;
  const uid = tenant.metadata.uid;
  const [platform, vault, database, image, tag] = await Promise.all([
    observePlatform(dependencies, tenant, signal),
    dependencies.vault.describe(uid),
    dependencies.databases.describe(uid, { afterOthers: deleted }),
    deleted ? NOTHING_OBSERVED.image : observeImage(dependencies, tenant, signal),
    deleted ? observeTag(dependencies, uid, signal) : undefined,
  ]);
  return { ...platform, vault, database, image, tag };
}

/** The app and what is in it. */
async function observePlatform(
  { fly, settings }: ObserveDependencies,
  tenant: Tenant,
  signal: AbortSignal,
): Promise<Observed> {
  const name = appOf(tenant);
  // What is in an app that was never seen can only be asked for once the app is there.
  const expected = tenant.status?.app !== undefined;
  const early = expected ? observeContents(fly, tenant, signal) : undefined;
  // Awaited below; until then its failure is nobody's.
  early?.catch(() => undefined);
  const app = await findApp(fly, name, signal);
  // A name that was ours is nobody else's: believed, a token without rights would end a deletion with the app alive.
  if (app === 'taken' && expected) throw refused(name, settings);
  if (app === 'taken') return { ...NOTHING_OBSERVED, appTaken: true };
  if (app === undefined && isThere(await early)) throw contradiction(name);
  if (app === undefined) return NOTHING_OBSERVED;
  if (app.organization?.slug !== undefined && app.organization.slug !== settings.orgSlug)
    return { ...NOTHING_OBSERVED, app };
  const { contents, complete } = await (early ?? observeContents(fly, tenant, signal));
  if (!complete) throw contradiction(name);
  return { ...NOTHING_OBSERVED, app, ...contents };
}

function isThere(looked: Looked | undefined): boolean {
  return looked !== undefined && looked.contents.machines.length + looked.contents.volumes.length > 0;
}

/**
 * Fly shows an app and does not know whose volumes or addresses it should list, or the other way round. Believed, the one
 * would have a second of them made, and the other would let go of a tenant whose app is alive.
 */
function contradiction(app: string): WaitingError {
  return new WaitingError('AppNotVisibleYet', `Fly shows app "${app}" in one place and not in another`, {
    retryAfterMs: LOOK_INTERVAL_MS,
  });
}

async function findApp(fly: Fly, name: string, signal: AbortSignal): Promise<WireApp | 'taken' | undefined> {
  try {
    return await fly.apps.get(name, signal);
  } catch (error) {
    if (error instanceof FlyError && error.reason === 'NameTaken') return 'taken';
    throw error;
  }
}

function refused(app: string, { orgSlug }: TenantSettings): TransientError {
  return new TransientError(
    'Forbidden',
    `cannot read app "${app}": Fly refuses what was ours; check that the token has rights in organisation "${orgSlug}"`,
  );
}

type Contents = Pick<Observed, 'addresses' | 'certificates' | 'volumes' | 'secrets' | 'machines'>;

interface Looked {
  /** Empty where Fly knew no such app. */
  readonly contents: Contents;
  /** Whether Fly knew the app wherever it was asked. */
  readonly complete: boolean;
}

async function observeContents(fly: Fly, tenant: Tenant, signal: AbortSignal): Promise<Looked> {
  const app = appOf(tenant);
  const [addresses, certificates, listed, secrets, { machines, complete }] = await Promise.all([
    fly.network.listAddresses(app, signal),
    fly.certificates.list(app, signal),
    fly.volumes.list(app, signal),
    fly.secrets.list(app, undefined, signal),
    observeMachines(fly, tenant, signal),
  ]);
  const known = [tenant.status?.volume?.id, mountedVolumeId(findMachine(tenant, machines))];
  const volumes = listed === undefined ? [] : await withUnlisted(fly, { app, listed, known }, signal);
  const contents = {
    addresses: addresses ?? [],
    certificates: certificates ?? [],
    volumes,
    secrets: secrets ?? [],
    machines,
  };
  const lists = [addresses, certificates, listed, secrets];
  return { contents, complete: complete && lists.every((list) => list !== undefined) };
}

/** The list lags behind: a known volume that it lacks is asked for by its id before it counts as lost. */
async function withUnlisted(
  fly: Fly,
  volumes: { app: string; listed: readonly WireVolume[]; known: readonly (string | undefined)[] },
  signal: AbortSignal,
): Promise<readonly WireVolume[]> {
  const { app, listed, known } = volumes;
  const unlisted = [...new Set(known)]
    .filter((id) => id !== undefined)
    .filter((id) => !listed.some((volume) => volume.id === id));
  const found = await Promise.all(unlisted.map((id) => fly.volumes.get(app, id, signal)));
  return [...listed, ...found.filter((volume) => volume !== undefined)];
}

/**
 * The recorded machine by its id, which is fresher than the list and under a wider rate limit; the list when
 * there is none. A tenant that is being deleted always gets the list: nothing may be left behind. A list lags behind,
 * so each machine that it shows is read as well: one that was just destroyed is not taken for alive.
 */
async function observeMachines(
  fly: Fly,
  tenant: Tenant,
  signal: AbortSignal,
): Promise<{
  readonly machines: readonly WireMachine[];
  /** Whether Fly knew the app where it was asked for a list. */
  readonly complete: boolean;
}> {
  const app = appOf(tenant);
  const machineId = tenant.status?.machine?.id;
  const deleted = tenant.metadata.deletionTimestamp !== undefined;
  const recorded = machineId === undefined ? undefined : await fly.machines.get({ app, machineId }, signal);
  const alive = recorded !== undefined && recorded.state !== 'destroyed' && recorded.state !== 'destroying';
  if (alive && !deleted) return { machines: [recorded], complete: true };
  const listed = await fly.machines.list(app, signal);
  const others = await Promise.all(
    (listed ?? [])
      .filter(({ id }) => recorded === undefined || id !== machineId)
      // One that is "not found" by its id may as well be there.
      .map(async (machine) => (await fly.machines.get({ app, machineId: machine.id }, signal)) ?? machine),
  );
  const present = others.filter(({ state }) => state !== 'destroyed');
  return { machines: alive ? upsert(present, recorded) : present, complete: listed !== undefined };
}

/** Resolves the image unless this generation's is pinned already. */
async function observeImage(
  { fly, settings }: ObserveDependencies,
  tenant: Tenant,
  signal: AbortSignal,
): Promise<ObservedImage> {
  const reference = tenant.spec.image;
  const image = reference === undefined ? undefined : parseImage(reference);
  if (reference === undefined || image === undefined) return { state: 'none' };
  const pinned = tenant.status?.image;
  const current = pinned?.reference === reference && pinned.generation === tenant.metadata.generation;
  if (current) return { state: 'resolved', reference, digest: pinned.digest };
  const foreign = image.registry !== settings.registryHost;
  // A digest cannot have changed since it was found: only whether a tag moved is worth a look.
  if (image.digest !== undefined && (foreign || pinned?.reference === reference))
    return { state: 'resolved', reference, digest: image.digest };
  if (foreign) return { state: 'foreign', reference };
  const digest = await fly.registry.resolve(
    {
      registry: image.registry,
      repository: image.repository,
      reference: image.digest ?? image.tag ?? 'latest',
    },
    signal,
  );
  return digest === undefined ? { state: 'missing', reference } : { state: 'resolved', reference, digest };
}

async function observeTag(
  { fly, settings, digestUsedElsewhere }: ObserveDependencies,
  uid: string,
  signal: AbortSignal,
): Promise<ObservedTag | undefined> {
  const repository = settings.sharedRegistryApp;
  const tag = imageTag(uid);
  try {
    const digest = await fly.registry.resolve(
      { registry: settings.registryHost, repository, reference: tag },
      signal,
    );
    if (digest === undefined) return undefined;
    return { repository, tag, digest, usedElsewhere: digestUsedElsewhere(digest, uid) };
  } catch (error) {
    // A tenant must not live on for ever because a registry leaves a header out.
    if (!(error instanceof FlyError) || error.reason !== 'FlyUnintelligible') throw error;
    return { repository, tag, digest: undefined, usedElsewhere: false };
  }
}
