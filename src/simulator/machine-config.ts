/**
 * What may a machine's config say, and how does Fly say it back? Unknown fields are dropped, autostop becomes
 * a boolean where the old API had one, durations become Go's text, `dns` appears, a mount tells its volume.
 * A client that compares what it sent with what it reads must expect all of that.
 */
import { z } from 'zod';
import { formatGoDuration, parseGoDuration } from './go-duration.ts';
import { guest, presets, refusedGuest, type Size } from './machine-guest.ts';
import { invalid } from './refusal.ts';
import type { VolumeRecord } from './state.ts';

const duration = z.union([z.string(), z.number()]).transform((value, context) => {
  const nanoseconds = parseGoDuration(value);
  if (nanoseconds !== undefined && nanoseconds >= 0) return formatGoDuration(nanoseconds);
  context.addIssue({ code: 'custom', message: `invalid duration "${value}"` });
  return z.NEVER;
});

const autostop = z.union([z.boolean(), z.enum(['off', 'stop', 'suspend'])]).transform((value) => {
  if (value === 'off') return false;
  return value === 'stop' ? true : value;
});

const texts = z.array(z.string());
const integer = z.int();
const port = z.int().min(1).max(65_535);

const check = z.object({
  type: z.enum(['tcp', 'http']).exactOptional(),
  port: port.exactOptional(),
  interval: duration.exactOptional(),
  timeout: duration.exactOptional(),
  grace_period: duration.exactOptional(),
  method: z.string().exactOptional(),
  path: z.string().exactOptional(),
  protocol: z.string().exactOptional(),
  headers: z.array(z.object({ name: z.string(), values: texts })).exactOptional(),
  tls_skip_verify: z.boolean().exactOptional(),
  tls_server_name: z.string().exactOptional(),
  kind: z.enum(['informational', 'readiness']).exactOptional(),
});

const service = z.object({
  protocol: z.enum(['tcp', 'udp']).exactOptional(),
  internal_port: port.exactOptional(),
  ports: z
    .array(
      z.object({
        port: port.exactOptional(),
        start_port: port.exactOptional(),
        end_port: port.exactOptional(),
        handlers: z.array(z.enum(['http', 'tls', 'pg_tls', 'proxy_proto'])).exactOptional(),
        force_https: z.boolean().exactOptional(),
        http_options: z.record(z.string(), z.unknown()).exactOptional(),
        tls_options: z.record(z.string(), z.unknown()).exactOptional(),
        proxy_proto_options: z.object({ version: z.string() }).exactOptional(),
      }),
    )
    .exactOptional(),
  concurrency: z
    .object({
      type: z.enum(['connections', 'requests']).exactOptional(),
      soft_limit: integer.exactOptional(),
      hard_limit: integer.exactOptional(),
    })
    .exactOptional(),
  autostart: z.boolean().exactOptional(),
  autostop: autostop.exactOptional(),
  min_machines_running: integer.exactOptional(),
  checks: z.array(check.omit({ kind: true })).exactOptional(),
});

const mount = z.object({
  volume: z.string(),
  path: z.string().regex(/^\/./, 'must be an absolute path other than /'),
  name: z.string().exactOptional(),
  size_gb: integer.exactOptional(),
  encrypted: z.boolean().exactOptional(),
  extend_threshold_percent: integer.exactOptional(),
  add_size_gb: integer.exactOptional(),
  size_gb_limit: integer.exactOptional(),
});

/** What a client may send. Parts that the simulator does not act on are taken as they are. */
export const configBody = z.object({
  image: z.string().min(1, 'is required'),
  env: z.record(z.string(), z.string()).exactOptional(),
  init: z
    .object({
      exec: texts.exactOptional(),
      entrypoint: texts.exactOptional(),
      cmd: texts.exactOptional(),
      tty: z.boolean().exactOptional(),
      swap_size_mb: integer.exactOptional(),
      kernel_args: texts.exactOptional(),
    })
    .exactOptional(),
  guest: guest.exactOptional(),
  size: z.string().exactOptional(),
  metadata: z.record(z.string(), z.string()).exactOptional(),
  mounts: z.array(mount).max(1, 'a machine mounts at most one volume').exactOptional(),
  services: z.array(service).exactOptional(),
  checks: z.record(z.string(), check).exactOptional(),
  restart: z
    .object({
      policy: z.enum(['no', 'on-failure', 'always', 'spot-price']).exactOptional(),
      max_retries: integer.exactOptional(),
    })
    .exactOptional(),
  auto_destroy: z.boolean().exactOptional(),
  stop_config: z
    .object({
      signal: z
        .enum(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGKILL', 'SIGUSR1', 'SIGUSR2', 'SIGTERM'])
        .exactOptional(),
      timeout: duration.exactOptional(),
    })
    .exactOptional(),
  schedule: z.enum(['hourly', 'daily', 'weekly', 'monthly']).exactOptional(),
  files: z.array(z.record(z.string(), z.unknown())).exactOptional(),
  statics: z.array(z.record(z.string(), z.unknown())).exactOptional(),
  processes: z.array(z.record(z.string(), z.unknown())).exactOptional(),
  standbys: texts.exactOptional(),
  metrics: z
    .object({
      port: port.exactOptional(),
      path: z.string().exactOptional(),
      https: z.boolean().exactOptional(),
    })
    .exactOptional(),
  dns: z.record(z.string(), z.unknown()).exactOptional(),
  rootfs: z
    .object({
      persist: z.enum(['never', 'always', 'restart']).exactOptional(),
      size_gb: integer.exactOptional(),
    })
    .exactOptional(),
});

type SentConfig = z.output<typeof configBody>;

/** A config as Fly keeps and answers it. Never changed in place. */
export type MachineConfig = Omit<SentConfig, 'guest' | 'dns'> & {
  readonly guest: z.output<typeof guest> & Size;
  readonly dns: Record<string, unknown>;
};

/** Fills in and checks what a schema cannot. `volume` is the one that the config mounts. */
export function normaliseConfig(sent: SentConfig, volume: VolumeRecord | undefined): MachineConfig {
  const { size, mounts, ...rest } = sent;
  if (size !== undefined && rest.guest !== undefined)
    throw invalid('config.size and config.guest exclude each other');
  const preset = size === undefined ? undefined : presets.get(size);
  if (size !== undefined && preset === undefined) throw invalid(`config.size: unknown size "${size}"`);
  const filled = { cpu_kind: 'shared' as const, cpus: 1, memory_mb: 256, ...preset, ...rest.guest };
  const refused = refusedGuest(filled);
  if (refused !== undefined) throw invalid(`config.guest: ${refused}`);
  if (rest.standbys !== undefined && rest.standbys.length > 0 && (rest.services ?? []).length > 0) {
    throw invalid('config.standbys: a standby machine has no services');
  }
  return {
    ...rest,
    guest: filled,
    dns: rest.dns ?? {},
    ...(mounts !== undefined && {
      mounts: mounts.map((entry) => ({
        ...entry,
        ...(volume !== undefined && {
          name: volume.name,
          size_gb: volume.face.sizeGb,
          encrypted: volume.encrypted,
        }),
      })),
    }),
  };
}

/** Why the machine cannot be suspended (section 5.10 of our fact sheet); undefined when it can. */
export function notSuspendable(config: MachineConfig): string | undefined {
  if (config.guest.memory_mb > 2048) return 'more than 2048 MB of memory';
  if ((config.init?.swap_size_mb ?? 0) > 0) return 'swap is enabled';
  return config.schedule === undefined ? undefined : 'the machine has a schedule';
}
