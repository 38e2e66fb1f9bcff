/**
 * Is this answer what the wire's types say? The edge where JSON becomes typed: fields that decisions rest on
 * are checked, everything else passes through as it came. Fly is written in Go, which prints an empty
 * list or an absent value as null; here a null field is an absent one, unless its schema admits null.
 */
import { z } from 'zod';
import type {
  WireApp,
  WireCertificateDetail,
  WireIpAssignment,
  WireLease,
  WireMachine,
  WireMachineCheck,
  WireMachineConfig,
  WireMachineEvent,
  WireOrgMachine,
  WireOrgVolume,
  WireRegion,
  WireSecret,
  WireVolume,
} from './wire.ts';

/** Keys of T that an answer must have. */
type NeededKeys<T> = { [K in keyof T]-?: object extends Pick<T, K> ? never : K }[keyof T];

/** A schema for each needed field, and for those optional ones that decisions rest on. */
type FieldsOf<T> = { [K in NeededKeys<T>]: z.ZodType<T[K]> } & {
  [K in Exclude<keyof T, NeededKeys<T>>]?: z.ZodType<T[K] | undefined>;
};

/** Schema of an object of the wire: checks `fields`, keeps the others unchecked. */
export function wire<T extends object>(fields: FieldsOf<T>): z.ZodType<T> {
  const shape: Record<string, z.ZodType> = { ...(fields as Record<string, z.ZodType>) };
  const nullable = new Set(Object.keys(shape).filter((key) => shape[key]?.safeParse(null).success));
  const withoutNulls = (value: unknown): unknown =>
    typeof value !== 'object' || value === null || Array.isArray(value)
      ? value
      : Object.fromEntries(
          Object.entries(value).filter(([key, field]) => field !== null || nullable.has(key)),
        );
  // The fields that are not checked are what this cast vouches for.
  return z.preprocess(withoutNulls, z.looseObject(shape)) as unknown as z.ZodType<T>;
}

/** A list that must be there, where Go's null is the empty one. */
export function listOf<T>(item: z.ZodType<T>): z.ZodType<T[]> {
  return z
    .array(item)
    .nullable()
    .transform((items) => items ?? []);
}

const text = z.string();
const optionalText = z.string().optional();

export const appSchema = wire<WireApp>({ id: text, name: text, network: optionalText });

export const volumeSchema = wire<WireVolume>({
  id: text,
  name: text,
  state: text,
  size_gb: z.number(),
  region: text,
  attached_machine_id: z.string().nullable().optional(),
  attached_alloc_id: z.string().nullable().optional(),
});

const configSchema = wire<WireMachineConfig>({
  image: optionalText,
  env: z.record(z.string(), z.string()).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
});

export const eventSchema = wire<WireMachineEvent>({ id: optionalText, timestamp: z.number().optional() });

export const machineSchema = wire<WireMachine>({
  id: text,
  name: text,
  state: text,
  region: text,
  instance_id: text,
  // Absent when the machine's host is not `ok`; a machine that cannot be read in full is still there.
  config: configSchema.optional(),
  incomplete_config: configSchema.optional(),
  events: z.array(eventSchema).optional(),
  checks: z.array(wire<WireMachineCheck>({})).optional(),
  image_ref: wire<NonNullable<WireMachine['image_ref']>>({ digest: optionalText }).optional(),
  host_status: optionalText,
  nonce: optionalText,
});

export const leaseSchema = wire<WireLease>({ nonce: text, expires_at: z.number(), version: optionalText });

export const addressSchema = wire<WireIpAssignment>({ ip: text, shared: z.boolean().optional() });

export const certificateSchema = wire<WireCertificateDetail>({
  hostname: text,
  configured: z.boolean().optional(),
  status: optionalText,
  rate_limited_until: z.string().nullable().optional(),
});

export const secretSchema = wire<WireSecret>({ name: text, digest: optionalText });

export const regionSchema = wire<WireRegion>({ code: text, name: text, deprecated: z.boolean().optional() });

export const orgMachineSchema = wire<WireOrgMachine>({
  id: text,
  app_name: text,
  state: text,
  updated_at: optionalText,
});

export const orgVolumeSchema = wire<WireOrgVolume>({
  id: text,
  app_name: text,
  name: text,
  state: text,
  size_gb: z.number(),
  region: text,
  updated_at: optionalText,
  attached_machine_id: z.string().nullable().optional(),
  attached_alloc_id: z.string().nullable().optional(),
});

/** A machine's metadata. */
export const textMapSchema: z.ZodType<Record<string, string>> = z.record(z.string(), z.string());
