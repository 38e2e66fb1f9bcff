/**
 * What is true of a tenant, said so that machines and people can both read it? Kubernetes' conditions: a list
 * keyed by type; `lastTransitionTime` moves only when the status flips, never on a new reason or message.
 */
import { z } from 'zod';
import { text } from './text.ts';

/** One condition for each part of a tenant, in the order in which they are shown. */
export const PART_CONDITIONS = [
  'DatabaseReady',
  'AppReady',
  'NetworkReady',
  'VolumeReady',
  'SecretsSynced',
  'CertificateReady',
  'ImageResolved',
  'MachineReady',
] as const;

/**
 * - `Ready`: Fly is as the spec wants it, at this generation (also when suspended, or without an image).
 * - `Available`: it answers requests, or would after the proxy wakes it.
 * - `Reconciling`: there is work under way. `Stalled`: a person must act first.
 */
export const CONDITION_TYPES = ['Ready', 'Available', 'Reconciling', 'Stalled', ...PART_CONDITIONS] as const;

export const conditionSchema = z.object({
  type: z.enum(CONDITION_TYPES),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z
    .string()
    .regex(/^[A-Z][A-Za-z0-9]*$/)
    .max(64),
  message: text(1024),
  lastTransitionTime: z.iso.datetime({ offset: true }).max(40),
  observedGeneration: z.int().min(0),
});

export type ConditionType = (typeof CONDITION_TYPES)[number];
export type Condition = Readonly<z.infer<typeof conditionSchema>>;

/** A condition before it is stamped with a time and a generation. */
export interface Finding {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  /** One CamelCase word that never changes its meaning. */
  readonly reason: string;
  /** A sentence for people; the same for the same cause every time, without times or secrets. */
  readonly message: string;
}

/** The condition of one type, or undefined when it has never been reported (which means Unknown). */
export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: ConditionType,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** Stamps findings, keeping the transition time of every condition whose status did not flip. */
export function mergeConditions(options: {
  readonly previous: readonly Condition[] | undefined;
  readonly findings: readonly Finding[];
  readonly generation: number;
  readonly now: number;
}): Condition[] {
  return options.findings.map((finding) => {
    const before = findCondition(options.previous, finding.type);
    const flipped = before?.status !== finding.status;
    return {
      ...finding,
      lastTransitionTime:
        before && !flipped ? before.lastTransitionTime : new Date(options.now).toISOString(),
      observedGeneration: options.generation,
    };
  });
}
