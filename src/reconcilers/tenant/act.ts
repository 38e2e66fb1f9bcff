/**
 * How is one step carried out? One step, one effect: the only place of this controller that changes anything on
 * Fly, in a tenant's database or in the vault. What the answer tells is handed back as a change of what is known.
 */
import type { RevealedSecrets } from '../../vault/vault.ts';
import { done, type Acted, type ActContext, type ActDependencies } from './acted.ts';
import { actOnApp } from './act-app.ts';
import { actOnMachine } from './act-machine.ts';
import { upsert, type Amendment } from './observed.ts';
import { DATABASE_URL } from './parts/secrets.ts';
import type { Step } from './steps.ts';

/** Carries out one step. Rejects with FlyError, a database error, or one of the three kinds. */
export async function act(dependencies: ActDependencies, step: Step, context: ActContext): Promise<Acted> {
  switch (step.kind) {
    case 'generateCredentials':
    case 'rotateCredentials':
    case 'forgetCredentials':
      return actOnCredentials(dependencies, step, context);
    case 'createDatabase':
    case 'setDatabasePassword':
    case 'setDatabaseAccess':
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
  step: StepOf<'createDatabase' | 'setDatabasePassword' | 'setDatabaseAccess' | 'dropDatabase'>,
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
  if (step.kind === 'setDatabaseAccess') {
    const { external } = step;
    await databases.setExternalAccess(uid, external);
    return done(
      (observed) => ({ ...observed, database: { ...observed.database, externalAccess: external } }),
      'DatabaseAccessChanged',
      `database "${step.target}" can ${external ? '' : 'no longer '}be reached from outside`,
    );
  }
  const { databasePassword: password, passwordRevision } = await reveal(dependencies, uid);
  if (step.kind === 'createDatabase') await databases.create(uid, { password, passwordRevision });
  else await databases.setPassword(uid, { password, passwordRevision });
  return done(
    (observed) => ({
      ...observed,
      database: { ...observed.database, roleExists: true, databaseExists: true, passwordRevision },
    }),
    step.kind === 'createDatabase' ? 'DatabaseCreated' : 'DatabasePasswordSet',
    step.kind === 'createDatabase'
      ? `database "${step.target}" is created`
      : `the password of role "${step.target}" is set`,
  );
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
