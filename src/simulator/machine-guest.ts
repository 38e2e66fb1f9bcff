/**
 * Which sizes can a machine have? Fly's presets and limits: shared CPUs take 256 to 2048 MB each in steps of
 * 256, performance CPUs 2048 to 8192 MB each in steps of 1024.
 */
import { z } from 'zod';

export const guest = z.object({
  cpu_kind: z.enum(['shared', 'performance']).exactOptional(),
  cpus: z.int().exactOptional(),
  memory_mb: z.int().exactOptional(),
  max_memory_mb: z.int().exactOptional(),
  gpu_kind: z.string().exactOptional(),
  gpus: z.int().exactOptional(),
  host_dedication_id: z.string().exactOptional(),
  kernel_args: z.array(z.string()).exactOptional(),
  persist_rootfs: z.enum(['never', 'always', 'restart']).exactOptional(),
});

/** The part of a guest that is always there. */
export interface Size {
  readonly cpu_kind: 'shared' | 'performance';
  readonly cpus: number;
  readonly memory_mb: number;
}

const limits = {
  shared: { cpus: [1, 2, 4, 6, 8], stepMb: 256, minMbPerCpu: 256, maxMbPerCpu: 2048 },
  performance: {
    cpus: [1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128],
    stepMb: 1024,
    minMbPerCpu: 2048,
    maxMbPerCpu: 8192,
  },
};

/** `shared-cpu-1x` to `performance-16x`, with the least memory that each may have. */
export const presets: ReadonlyMap<string, Size> = new Map([
  ...limits.shared.cpus.map((cpus): [string, Size] => [
    `shared-cpu-${cpus}x`,
    { cpu_kind: 'shared', cpus, memory_mb: 256 * cpus },
  ]),
  ...limits.performance.cpus
    .filter((cpus) => cpus <= 16)
    .map((cpus): [string, Size] => [
      `performance-${cpus}x`,
      { cpu_kind: 'performance', cpus, memory_mb: 2048 * cpus },
    ]),
]);

/** Why there is no such size; undefined when there is. */
export function refusedGuest({ cpu_kind: kind, cpus, memory_mb: memoryMb }: Size): string | undefined {
  const limit = limits[kind];
  if (!limit.cpus.includes(cpus)) return `${kind} machines cannot have ${cpus} cpus`;
  if (memoryMb % limit.stepMb !== 0) return `memory must be a multiple of ${limit.stepMb} MB`;
  const [least, most] = [limit.minMbPerCpu * cpus, limit.maxMbPerCpu * cpus];
  if (memoryMb < least || memoryMb > most) {
    return `${cpus} ${kind} cpus need between ${least} and ${most} MB of memory, not ${memoryMb} MB`;
  }
  return undefined;
}
