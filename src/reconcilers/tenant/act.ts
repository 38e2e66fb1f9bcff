/**
 * How is one step carried out? One step, one effect: the only place of this controller that changes anything on
 * Fly, in a tenant's database or in the vault. What the answer tells is handed back as a change of what is known.
 */
import { sleep, type Clock } from '../../clock.ts';
import type { TenantDatabases } from '../../database/tenant-databases.ts';
import { FlyError } from '../../fly/errors.ts';
import type { Fly } from '../../fly/fly.ts';
import type { TenantEvent } from '../../store/store.ts';
import type { RevealedSecrets, Vault } from '../../vault/vault.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { actOnMachine } from './act-machine.ts';
import { upsert, type Amendment } from './observed.ts';
import { DATABASE_URL } from './parts/secrets.ts';
import type { Step } from './steps.ts';

export interface ActDependencies {
  readonly fly: Fly;
  readonly vault: Vault;
  readonly databases: TenantDatabases;
}

export interface Acted {
  /** What is known now. */
  readonly amend: Amendment;
  readonly event: TenantEvent;
  /** The intent that was written for this step need not be remembered. */
  readonly forgetIntent?: boolean;
}

export interface ActContext {
  readonly tenant: Tenant;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Carries out one step. Rejects with FlyError, a database error, or one of the three kinds. */
export async function act(dependencies: ActDependencies, step: Step, context: ActContext): Promise<Acted> {
  switch (step.kind) {
    case 'generateCredentials':
    case 'rotateCredentials':
    case 'forgetCredentials':
      return actOnCredentials(dependencies, step, context);
    case 'createDatabase':
    case 'setDatabasePassword':
    case 'dropDatabase':
      return actOnDatabase(dependencies, step, context);
    case 'createApp':
    case 'deleteApp':
      return actOnApp(dependencies, step, context);
    case 'allocateAddress':
    case 'releaseAddress':
      return actOnAddress(dependencies, step, context);
    case 'requestCertificate':
    case 'deleteCertificate':
      return actOnCertificate(dependencies, step, context);
    case 'createVolume':
    case 'extendVolume':
    case 'destroyVolume':
      return actOnVolume(dependencies, step, context);
    case 'setSecrets':
      return setSecrets(dependencies, step, context);
    case 'createMachine':
    case 'updateMachine':
    case 'startMachine':
    case 'stopMachine':
    case 'destroyMachine':
      return actOnMachine(dependencies, step, context);
    case 'deleteImageTag':
      await dependencies.fly.registry.deleteManifest(step, context.signal);
      return done(
        (observed) => ({ ...observed, tag: undefined }),
        'ImageDeleted',
        `image ${step.target} is deleted`,
      );
    default:
      return step satisfies never;
  }
}

/** What a step that succeeded tells. */
export function done(amend: Amendment, reason: string, message: string): Acted {
  return { amend, event: { type: 'Normal', reason, message } };
}

type StepOf<K extends Step['kind']> = Extract<Step, { kind: K }>;

async function actOnCredentials(
  { vault }: ActDependencies,
  step: StepOf<'generateCredentials' | 'rotateCredentials' | 'forgetCredentials'>,
  { tenant }: ActContext,
): Promise<Acted> {
  const uid = tenant.metadata.uid;
  if (step.kind === 'forgetCredentials') {
    await vault.forget(uid);
    return done(
      (observed) => ({ ...observed, vault: undefined }),
      'CredentialsForgotten',
      'credentials are deleted',
    );
  }
  if (step.kind === 'generateCredentials') {
    const state = await vault.generate(uid);
    return done(
      (observed) => ({ ...observed, vault: state }),
      'CredentialsGenerated',
      'credentials are generated and stored encrypted',
    );
  }
  const state = await vault.rotate(uid, step.requestedAt);
  return done(
    (observed) => ({ ...observed, vault: state }),
    'CredentialsRotated',
    'a new database password is made',
  );
}

async function reveal({ vault }: ActDependencies, uid: string): Promise<RevealedSecrets> {
  const secrets = await vault.reveal(uid);
  if (secrets === undefined)
    throw new Error(`cannot open the credentials of tenant "${uid}": there are none`);
  return secrets;
}

async function actOnDatabase(
  dependencies: ActDependencies,
  step: StepOf<'createDatabase' | 'setDatabasePassword' | 'dropDatabase'>,
  { tenant }: ActContext,
): Promise<Acted> {
  const uid = tenant.metadata.uid;
  const { databases } = dependencies;
  if (step.kind === 'dropDatabase') {
    await databases.drop(uid);
    return done(
      (observed) => ({ ...observed, database: { roleExists: false, databaseExists: false } }),
      'DatabaseDropped',
      `database "${step.target}" is dropped`,
    );
  }
  const { databasePassword: password, passwordRevision } = await reveal(dependencies, uid);
  if (step.kind === 'createDatabase') await databases.create(uid, { password, passwordRevision });
  else await databases.setPassword(uid, { password, passwordRevision });
  return done(
    (observed) => ({ ...observed, database: { roleExists: true, databaseExists: true, passwordRevision } }),
    step.kind === 'createDatabase' ? 'DatabaseCreated' : 'DatabasePasswordSet',
    step.kind === 'createDatabase'
      ? `database "${step.target}" is created`
      : `the password of role "${step.target}" is set`,
  );
}

async function actOnApp(
  { fly }: ActDependencies,
  step: StepOf<'createApp' | 'deleteApp'>,
  context: ActContext,
): Promise<Acted> {
  const { signal } = context;
  const name = step.app;
  if (step.kind === 'deleteApp') {
    await fly.apps.delete(name, signal);
    return done((observed) => ({ ...observed, app: undefined }), 'AppDeleted', `app "${name}" is deleted`);
  }
  try {
    const { id } = await fly.apps.create({ name }, signal);
    await untilVisible(fly, name, context);
    return done((observed) => ({ ...observed, app: { id, name } }), 'AppCreated', `app "${name}" is created`);
  } catch (error) {
    if (!(error instanceof FlyError) || error.reason !== 'NameTaken') throw error;
    // The name is derived from the tenant's id: if we can see the app, an earlier call of ours made it.
    const app = await fly.apps.get(name, signal);
    if (app === undefined) throw error;
    return done((observed) => ({ ...observed, app }), 'AppFound', `app "${name}" exists already`);
  }
}

/** So many looks fit into Fly's burst; whatever is not visible after them meets its 404 and is waited for. */
const VISIBILITY_LOOKS = 3;
const VISIBILITY_INTERVAL_MS = 150;

/** For a moment after its creation an app answers 404 to whatever is asked of it: nothing in it can be made before. */
async function untilVisible(fly: Fly, name: string, { clock, signal }: ActContext): Promise<void> {
  for (let look = 1; look <= VISIBILITY_LOOKS && !signal.aborted; look += 1) {
    if ((await fly.apps.get(name, signal).catch(() => undefined)) !== undefined) return;
    await sleep(clock, look * VISIBILITY_INTERVAL_MS, signal);
  }
}

async function actOnAddress(
  { fly }: ActDependencies,
  step: StepOf<'allocateAddress' | 'releaseAddress'>,
  { signal }: ActContext,
): Promise<Acted> {
  if (step.kind === 'releaseAddress') {
    const { ip } = step;
    await fly.network.releaseAddress(step.app, ip, signal);
    return done(
      (observed) => ({ ...observed, addresses: observed.addresses.filter((address) => address.ip !== ip) }),
      'AddressReleased',
      `address ${ip} is released`,
    );
  }
  const address = await fly.network.allocateAddress(step.app, step.type, signal);
  return done(
    (observed) => ({ ...observed, addresses: [...observed.addresses, address] }),
    'AddressAllocated',
    `address ${address.ip} is allocated`,
  );
}

async function actOnCertificate(
  { fly }: ActDependencies,
  step: StepOf<'requestCertificate' | 'deleteCertificate'>,
  { signal }: ActContext,
): Promise<Acted> {
  const { app, hostname } = step;
  const others: Amendment = (observed) => ({
    ...observed,
    certificates: observed.certificates.filter((certificate) => certificate.hostname !== hostname),
  });
  if (step.kind === 'deleteCertificate') {
    await fly.certificates.delete(app, hostname, signal);
    return done(others, 'CertificateDeleted', `the certificate of ${hostname} is deleted`);
  }
  const certificate = await fly.certificates.create(app, hostname, signal);
  return done(
    (observed) => ({ ...observed, certificates: [...others(observed).certificates, certificate] }),
    'CertificateRequested',
    `a certificate for ${hostname} is requested`,
  );
}

async function actOnVolume(
  { fly }: ActDependencies,
  step: StepOf<'createVolume' | 'extendVolume' | 'destroyVolume'>,
  { signal }: ActContext,
): Promise<Acted> {
  if (step.kind === 'destroyVolume') {
    const { volumeId } = step;
    await fly.volumes.delete(step.app, volumeId, signal);
    return done(
      (observed) => ({ ...observed, volumes: observed.volumes.filter((volume) => volume.id !== volumeId) }),
      'VolumeDestroyed',
      `volume "${volumeId}" is destroyed`,
    );
  }
  if (step.kind === 'extendVolume') {
    const { volume, needsRestart } = await fly.volumes.extend(step.app, step.volumeId, step.sizeGb, signal);
    return {
      ...done(
        (observed) => ({ ...observed, volumes: upsert(observed.volumes, volume) }),
        'VolumeExtended',
        `volume "${volume.id}" has ${volume.size_gb} GB`,
      ),
      forgetIntent: !needsRestart,
    };
  }
  const volume = await fly.volumes.create(
    step.app,
    {
      name: step.name,
      region: step.region,
      size_gb: step.sizeGb,
      encrypted: true,
      compute: { cpu_kind: 'shared', cpus: 1, memory_mb: step.memoryMb },
    },
    signal,
  );
  return done(
    (observed) => ({ ...observed, volumes: upsert(observed.volumes, volume) }),
    'VolumeCreated',
    `volume "${volume.id}" of ${volume.size_gb} GB is created`,
  );
}

async function setSecrets(
  dependencies: ActDependencies,
  step: StepOf<'setSecrets'>,
  { tenant, signal }: ActContext,
): Promise<Acted> {
  const uid = tenant.metadata.uid;
  const { databasePassword, revision, values } = await reveal(dependencies, uid);
  const answer = await dependencies.fly.secrets.set(
    step.app,
    {
      ...Object.fromEntries(step.unset.map((name) => [name, null])),
      ...values,
      [DATABASE_URL]: dependencies.databases.url(uid, databasePassword),
    },
    signal,
  );
  const names = new Set([...Object.keys(values), DATABASE_URL]);
  const digests = Object.fromEntries(
    answer.secrets.filter(({ name }) => names.has(name)).map(({ name, digest = '' }) => [name, digest]),
  );
  const applied = { revision, version: answer.version, digests };
  await dependencies.vault.recordApplied(uid, applied);
  return done(
    (observed) => ({
      ...observed,
      secrets: answer.secrets,
      vault: observed.vault && { ...observed.vault, applied },
    }),
    'SecretsSet',
    `${names.size} secrets are set on app "${step.app}"`,
  );
}
