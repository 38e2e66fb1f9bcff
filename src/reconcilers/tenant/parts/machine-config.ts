/**
 * Which configuration should the machine have, and in what does it differ from the one it has? Fly echoes what
 * it was sent with changes of its own (booleans for autostop, durations as text, empty objects), so both sides
 * are brought to one form first; otherwise the machine would be restarted for ever.
 */
import { isDeepStrictEqual } from 'node:util';
import type { WireMachine, WireMachineConfig, WireService } from '../../../fly/wire.ts';
import { MACHINE_PORT, machineEnvironment } from '../../../tenant/environment.ts';
import { parseImage, pinnedImage } from '../../../tenant/image.ts';
import { VOLUME_PATH } from '../../../tenant/names.ts';
import type { TenantSpec } from '../../../tenant/schema.ts';
import { hostnameOf, type PlanInput } from '../input.ts';
import { METADATA } from './machine-identity.ts';
import { EXTEND_INTENT } from './volume.ts';

/** Fly's default is the same policy; written out so that the config says what will happen. */
const RESTART = { policy: 'on-failure', max_retries: 10 };
/** The image's own health endpoint. Checks steer routing only; they never restart a machine. */
const HEALTH_CHECK = {
  type: 'http',
  port: MACHINE_PORT,
  method: 'get',
  path: '/api/v1/health',
  interval: '15s',
  timeout: '10s',
  grace_period: '10s',
};

/**
 * The whole config, since Fly replaces it on every update. `volumeId` is a placeholder while the volume is still
 * to be made; the plan is made again before the machine is.
 */
export function desiredConfig(
  input: PlanInput,
  options: { readonly digest: string; readonly volumeId: string; readonly machine?: WireMachine | undefined },
): WireMachineConfig {
  const { tenant, settings } = input;
  const { spec } = tenant;
  const reference = parseImage(spec.image ?? '');
  return {
    image: reference === undefined ? '' : pinnedImage(reference, options.digest),
    env: machineEnvironment(tenant, hostnameOf(tenant, settings)),
    guest: { cpu_kind: 'shared', cpus: 1, memory_mb: spec.memoryMb },
    mounts: [{ volume: options.volumeId, path: VOLUME_PATH }],
    services: services(spec.state),
    restart: RESTART,
    metadata: desiredMetadata(input, options.machine),
  };
}

/** A suspended tenant's services lose autostart, so that no traffic wakes it. */
function services(state: TenantSpec['state']): WireService[] {
  const proxied = state === 'Running';
  return [
    {
      protocol: 'tcp',
      internal_port: MACHINE_PORT,
      autostart: proxied,
      autostop: proxied ? 'suspend' : 'off',
      min_machines_running: 0,
      ports: [
        { port: 80, handlers: ['http'], force_https: true },
        { port: 443, handlers: ['tls', 'http'] },
      ],
      checks: [HEALTH_CHECK],
    },
  ];
}

/** Our keys as they should be, and everybody else's as they are. */
function desiredMetadata(input: PlanInput, machine: WireMachine | undefined): Record<string, string> {
  const { tenant, observed } = input;
  const ours: readonly string[] = Object.values(METADATA);
  const current = machine?.config?.metadata ?? {};
  const foreign = Object.fromEntries(Object.entries(current).filter(([key]) => !ours.includes(key)));
  const restartedAt = newest(tenant.spec.restartedAt, current[METADATA.restartedAt]);
  const extendedAt = tenant.status?.requested?.[EXTEND_INTENT] ?? current[METADATA.volume];
  return {
    ...foreign,
    [METADATA.tenant]: tenant.metadata.uid,
    [METADATA.state]: tenant.spec.state,
    ...(restartedAt !== undefined && { [METADATA.restartedAt]: restartedAt }),
    ...(observed.vault !== undefined && { [METADATA.secrets]: String(observed.vault.revision) }),
    ...(extendedAt !== undefined && { [METADATA.volume]: extendedAt }),
  };
}

/** Only a newer request is a request: one that was taken out of the spec, or set back, asks for nothing. */
function newest(wanted: string | undefined, served: string | undefined): string | undefined {
  if (wanted === undefined || served === undefined) return wanted ?? served;
  return Date.parse(wanted) > Date.parse(served) ? wanted : served;
}

/** Paths at which the machine's config differs from the desired one, sorted; empty: it is as it should be. */
export function differences(desired: WireMachineConfig, actual: WireMachineConfig): string[] {
  const wanted = normalise(desired);
  const found = normalise(actual);
  const keys = new Set([...Object.keys(wanted), ...Object.keys(found)]);
  return [...keys]
    .filter((key) => key !== 'metadata' && !isDeepStrictEqual(wanted[key], found[key]))
    .concat(metadataDifferences(desired.metadata ?? {}, actual.metadata ?? {}))
    .sort();
}

function metadataDifferences(wanted: Record<string, string>, found: Record<string, string>): string[] {
  return Object.values(METADATA)
    .filter((key) => key !== METADATA.wake && wanted[key] !== found[key])
    .map((key) => `metadata.${key}`);
}

/** What Fly adds to every answer without being asked. */
const ECHOES = new Set(['dns', 'init', 'size']);

function normalise(config: WireMachineConfig): Record<string, unknown> {
  const { services: serviceList, mounts, guest, restart, ...rest } = config;
  const plain = Object.fromEntries(Object.entries(rest).filter(([key]) => !ECHOES.has(key)));
  return {
    ...prune(plain),
    guest: prune({ cpu_kind: guest?.cpu_kind, cpus: guest?.cpus, memory_mb: guest?.memory_mb }),
    restart: prune({ policy: restart?.policy, max_retries: restart?.max_retries }),
    mounts: (mounts ?? []).map(({ volume, path }) => ({ volume, path })),
    services: (serviceList ?? []).map(normaliseService),
  };
}

function normaliseService(service: WireService): Record<string, unknown> {
  const { autostop, autostart, min_machines_running: minRunning, checks, ...rest } = service;
  return {
    ...prune(rest),
    // Fly answers false for off and true for stop.
    autostop: autostop === 'off' || autostop === undefined ? false : autostop === 'stop' ? true : autostop,
    autostart: autostart ?? false,
    min_machines_running: minRunning ?? 0,
    checks: (checks ?? []).map((check) =>
      prune({
        ...check,
        interval: durationMs(check.interval),
        timeout: durationMs(check.timeout),
        grace_period: durationMs(check.grace_period),
      }),
    ),
  };
}

/** Drops what says nothing: undefined, null, false, and empty text, lists and objects, at every depth. */
function prune(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, pruneItem(item)] as const)
      .filter(([, item]) => !isEmpty(item)),
  );
}

function pruneItem(item: unknown): unknown {
  if (Array.isArray(item)) return item.map(pruneItem);
  return typeof item === 'object' && item !== null ? prune({ ...item }) : item;
}

function isEmpty(item: unknown): boolean {
  if (item === undefined || item === null || item === false || item === '') return true;
  return typeof item === 'object' && Object.keys(item).length === 0;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Go's duration text (`1m0s`) or integer nanoseconds, in milliseconds. */
export function durationMs(duration: string | number | undefined): number | undefined {
  if (duration === undefined) return undefined;
  if (typeof duration === 'number') return duration / 1_000_000;
  const parts = [...duration.matchAll(/([0-9.]+)(ms|s|m|h)/g)];
  return parts.reduce((sum, [, amount = '0', unit = 'ms']) => sum + Number(amount) * (UNIT_MS[unit] ?? 0), 0);
}
