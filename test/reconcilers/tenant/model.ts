/**
 * The smallest world in which a plan can be carried out: each step changes what is observed as its success on
 * Fly would. For plan tests only; the loop itself is tested against the simulator.
 */
import type { WireMachine } from '../../../src/fly/wire.ts';
import { report } from '../../../src/reconcilers/tenant/report.ts';
import { NOTHING_OBSERVED, upsert, type Observed } from '../../../src/reconcilers/tenant/observed.ts';
import { planTenant } from '../../../src/reconcilers/tenant/plan.ts';
import type { TenantSettings } from '../../../src/reconcilers/tenant/settings.ts';
import type { Plan, Step } from '../../../src/reconcilers/tenant/steps.ts';
import { API_VERSION, FINALIZER, KIND } from '../../../src/tenant/names.ts';
import { specSchema, type Tenant, type TenantStatus } from '../../../src/tenant/schema.ts';

export const UID = '3f2c1b0a-9d8e-4f7a-8b6c-5d4e3f2a1b0c';
export const DIGEST = `sha256:${'a'.repeat(64)}`;
export const IMAGE = 'registry.fly.io/systemprompt-images:hello';
export const NOW = Date.parse('2026-06-01T12:00:00.000Z');
export const settings: TenantSettings = {
  orgSlug: 'systemprompt',
  registryHost: 'registry.fly.io',
  sharedRegistryApp: 'systemprompt-images',
  subdomainSuffix: 'tenants.test',
};

export interface State {
  readonly tenant: Tenant;
  readonly observed: Observed;
}

export function makeTenant(
  spec: Record<string, unknown> = {},
  options: { generation?: number; status?: TenantStatus; deleted?: boolean } = {},
): Tenant {
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: {
      name: 'hello',
      namespace: 'default',
      uid: UID,
      resourceVersion: '7',
      generation: options.generation ?? 1,
      creationTimestamp: '2026-06-01T11:00:00Z',
      finalizers: [FINALIZER],
      ...(options.deleted === true && { deletionTimestamp: '2026-06-01T11:59:00Z' }),
    },
    spec: specSchema.parse({ owner: 'ctm_1', region: 'iad', image: IMAGE, ...spec }),
    status: options.status,
  };
}

/** What is observed before anything was made, with the image in the registry. */
export function empty(tenant: Tenant): Observed {
  const { image } = tenant.spec;
  return image === undefined
    ? NOTHING_OBSERVED
    : { ...NOTHING_OBSERVED, image: { state: 'resolved', reference: image, digest: DIGEST } };
}

export function plan(state: State, now = NOW): Plan {
  return planTenant({ ...state, settings, now, observedAt: now });
}

/** Writes status as the loop would, and then observes what the step made. */
export function apply(state: State, step: Step, now = NOW): State {
  const observed = effect(state.observed, step);
  const tenant = { ...state.tenant, status: statusOf({ tenant: state.tenant, observed }, now) };
  return { tenant, observed };
}

export function statusOf(state: State, now = NOW): TenantStatus {
  return report({
    ...state,
    settings,
    now,
    observedAt: now,
    plan: plan(state, now),
    failures: [],
    attempt: { number: 1, retryDelayMs: 500 },
  }).status;
}

/** Carries out plans until nothing is left; every machine that was launched is started by then. */
export function converge(from: State, now = NOW): State & { readonly done: readonly Step[] } {
  let state = from;
  const done: Step[] = [];
  for (let round = 0; round < 50; round += 1) {
    const ready = plan(state, now).steps.filter((step) => step.needs.length === 0);
    for (const step of ready) state = apply(state, step, now);
    done.push(...ready);
    state = { ...state, observed: { ...state.observed, machines: state.observed.machines.map(settle) } };
    state = { ...state, tenant: { ...state.tenant, status: statusOf(state, now) } };
    if (ready.length === 0) return { ...state, done };
  }
  throw new Error('the plan has no end');
}

function settle(machine: WireMachine): WireMachine {
  if (machine.state === 'stopping') return { ...machine, state: 'stopped' };
  if (machine.state !== 'starting') return machine;
  return {
    ...machine,
    state: 'started',
    events: [{ type: 'start', status: 'started' }, ...(machine.events ?? [])],
  };
}

let nextVersion = 1;
const version = (): string => `01VERSION${String((nextVersion += 1)).padStart(17, '0')}`;

function effect(observed: Observed, step: Step): Observed {
  switch (step.kind) {
    case 'generateCredentials':
      return { ...observed, vault: { revision: 1, names: ['JWT_SECRET'], passwordRevision: 1 } };
    case 'rotateCredentials': {
      const before = observed.vault ?? { revision: 0, names: [], passwordRevision: 0 };
      const { revision, passwordRevision } = before;
      const bumped = { revision: revision + 1, passwordRevision: passwordRevision + 1 };
      return { ...observed, vault: { ...before, ...bumped, rotatedAt: step.requestedAt } };
    }
    case 'forgetCredentials':
      return { ...observed, vault: undefined };
    case 'createDatabase':
    case 'setDatabasePassword': {
      const passwordRevision = observed.vault?.passwordRevision ?? 0;
      return { ...observed, database: { roleExists: true, databaseExists: true, passwordRevision } };
    }
    case 'setDatabaseAccess':
      return { ...observed, database: { ...observed.database, externalAccess: step.external } };
    case 'dropDatabase':
      return { ...observed, database: { roleExists: false, databaseExists: false } };
    case 'createApp':
      return { ...observed, app: { id: 'app1', name: step.app, organization: { slug: 'systemprompt' } } };
    case 'deleteApp':
      return { ...observed, app: undefined };
    case 'allocateAddress': {
      const ip = step.type === 'v6' ? '2a09:8280:1::1' : '66.241.124.1';
      return { ...observed, addresses: [...observed.addresses, { ip, shared: step.type === 'shared_v4' }] };
    }
    case 'releaseAddress':
      return { ...observed, addresses: observed.addresses.filter(({ ip }) => ip !== step.ip) };
    case 'requestCertificate': {
      const certificate = { hostname: step.hostname, status: 'active' };
      return { ...observed, certificates: [...observed.certificates, certificate] };
    }
    case 'deleteCertificate':
      return {
        ...observed,
        certificates: observed.certificates.filter(({ hostname }) => hostname !== step.hostname),
      };
    case 'createVolume': {
      const { name, region, sizeGb } = step;
      const volume = { id: 'vol_1', name, region, size_gb: sizeGb, state: 'created' };
      return { ...observed, volumes: upsert(observed.volumes, volume) };
    }
    case 'extendVolume':
      return {
        ...observed,
        volumes: observed.volumes.map((item) =>
          item.id === step.volumeId ? { ...item, size_gb: step.sizeGb } : item,
        ),
      };
    case 'destroyVolume':
      return { ...observed, volumes: observed.volumes.filter(({ id }) => id !== step.volumeId) };
    case 'setSecrets': {
      const names = [...(observed.vault?.names ?? []), 'DATABASE_URL'];
      const digests = Object.fromEntries(names.map((name) => [name, `digest-of-${name}`]));
      const applied = { revision: observed.vault?.revision ?? 0, version: 1, digests };
      const secrets = names.map((name) => ({ name, digest: `digest-of-${name}` }));
      return { ...observed, secrets, vault: observed.vault && { ...observed.vault, applied } };
    }
    case 'createMachine': {
      const { name, region, config } = step;
      const events = [{ type: 'launch', status: 'created' }];
      const machine = { id: 'm1', name, region, config, state: 'starting', instance_id: version(), events };
      return { ...observed, machines: [machine] };
    }
    case 'updateMachine': {
      const change = (machine: WireMachine): WireMachine => ({
        ...machine,
        config: step.config,
        instance_id: version(),
        state: step.launch ? 'starting' : 'stopped',
        events: [{ type: 'update', status: 'replacing' }, ...(machine.events ?? [])],
      });
      return { ...observed, machines: observed.machines.map(change) };
    }
    case 'startMachine':
      return {
        ...observed,
        machines: observed.machines.map((machine) => ({ ...machine, state: 'starting' })),
      };
    case 'stopMachine':
      return {
        ...observed,
        machines: observed.machines.map((machine) => ({ ...machine, state: 'stopping' })),
      };
    case 'destroyMachine':
      return { ...observed, machines: observed.machines.filter(({ id }) => id !== step.machineId) };
    case 'deleteImageTag':
      return { ...observed, tag: undefined };
    default:
      return step satisfies never;
  }
}
