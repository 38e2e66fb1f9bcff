/**
 * What do the query parameters of the declarative API mean? As the API server reads them; those that make no
 * difference here (`fieldManager`, `pretty`, …) are ignored, those that would make one are refused.
 */
import { z } from 'zod';
import { ApiError } from '../errors.ts';
import { parse } from '../edge.ts';
import type { FieldValidation } from './field-validation.ts';
import {
  parseFieldSelector,
  parseLabelSelector,
  type FieldSelector,
  type LabelSelector,
} from './selectors.ts';

/** The API server counts any value but these as true, also an empty one. */
const flag = z
  .string()
  .optional()
  .transform((text) => text !== undefined && !['false', '0'].includes(text.toLowerCase()));

const count = z
  .string()
  .regex(/^[0-9]{1,9}$/, 'must be a whole number')
  .transform(Number)
  .optional();

const listSchema = z.object({
  watch: flag,
  allowWatchBookmarks: flag,
  sendInitialEvents: flag,
  timeoutSeconds: count,
  limit: count,
  continue: z.string().max(4096).optional(),
  resourceVersion: z.string().max(256).optional(),
  resourceVersionMatch: z.enum(['NotOlderThan', 'Exact']).optional(),
  labelSelector: z.string().max(4096).optional(),
  fieldSelector: z.string().max(1024).optional(),
});

export interface ListQuery {
  readonly watch: boolean;
  readonly allowWatchBookmarks: boolean;
  readonly sendInitialEvents: boolean;
  readonly timeoutSeconds?: number;
  readonly limit?: number;
  readonly continue?: string;
  /** Absent: start from the present state. */
  readonly resourceVersion?: string;
  readonly fields: FieldSelector;
  readonly labels: LabelSelector;
}

/** Reads the query of a list or a watch. Throws ApiError `invalid_request`. */
export function parseListQuery(query: unknown): ListQuery {
  const raw = parse(listSchema, query, 'the query');
  // Old versions are not kept, and an answer from another version than the one asked for would be a lie.
  if (raw.resourceVersionMatch === 'Exact')
    throw new ApiError('invalid_request', 'cannot list at an exact resourceVersion: only the newest is kept');
  const { resourceVersion } = raw;
  return {
    watch: raw.watch,
    allowWatchBookmarks: raw.allowWatchBookmarks,
    sendInitialEvents: raw.sendInitialEvents,
    ...(raw.timeoutSeconds !== undefined && raw.timeoutSeconds > 0 && { timeoutSeconds: raw.timeoutSeconds }),
    ...(raw.limit !== undefined && raw.limit > 0 && { limit: raw.limit }),
    ...(raw.continue !== undefined && raw.continue !== '' && { continue: raw.continue }),
    ...(resourceVersion !== undefined && !['', '0'].includes(resourceVersion) && { resourceVersion }),
    fields: parseFieldSelector(raw.fieldSelector ?? ''),
    labels: parseLabelSelector(raw.labelSelector ?? ''),
  };
}

const writeSchema = z.object({
  dryRun: z.union([z.string(), z.array(z.string()).max(8)]).default(''),
  fieldValidation: z.string().default(''),
});
const FIELD_VALIDATIONS = ['Ignore', 'Strict', 'Warn'] as const;

export interface WriteQuery {
  /** True when the write must not be stored. */
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
}

/** Reads the query of a write; warns of unknown fields unless told otherwise. Throws ApiError `invalid`. */
export function parseWriteQuery(query: unknown): WriteQuery {
  const raw = parse(writeSchema, query, 'the query');
  const directives = [raw.dryRun].flat().filter((directive) => directive !== '');
  for (const directive of directives) requireOption('dryRun', directive, ['All']);
  requireOption('fieldValidation', raw.fieldValidation, ['', ...FIELD_VALIDATIONS]);
  const fieldValidation = FIELD_VALIDATIONS.find((known) => known === raw.fieldValidation) ?? 'Warn';
  return { dryRun: directives.length > 0, fieldValidation };
}

/** Throws ApiError `invalid` for a value that is not one of the option's. */
export function requireOption(name: string, value: string, supported: readonly string[]): void {
  if (supported.includes(value)) return;
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported.map((one) => JSON.stringify(one)).join(', ')}`;
  throw new ApiError('invalid', `cannot use the option ${name}: ${message}`, {
    issues: [{ path: name, message }],
  });
}
