/**
 * Which secrets may an owner set? Any variable that neither Landlord nor Fly sets itself. The CLI uploads everything
 * in its secrets file, also copies of what it was given (DATABASE_URL, JWT_SECRET): in bulk those are left out, so
 * that a copy from before a rotation never overrules what is true; set one by one they are refused.
 */
import { z } from 'zod';
import { RESERVED_ENV } from '../../tenant/schema.ts';
import { ENV_NAME_PATTERN } from '../../tenant/validation.ts';
import { ApiError } from '../errors.ts';

/** Room for keys in PEM and small JSON files; all of a tenant's together must fit into one request to Fly. */
const LONGEST_VALUE = 65_536;
const MOST_AT_ONCE = 200;

const nameSchema = z
  .string()
  .max(128)
  .regex(new RegExp(ENV_NAME_PATTERN), 'must be an uppercase name such as OPENAI_API_KEY');

const valueSchema = z
  .string()
  .min(1, 'must not be empty: delete the secret instead')
  .max(LONGEST_VALUE)
  .refine((value) => !value.includes('\0'), 'must not contain a NUL character');

/** `POST /secrets` */
export const setSecretSchema = z.strictObject({ key: nameSchema, value: valueSchema });
/** `PATCH /secrets/{key}` */
export const updateSecretSchema = z.strictObject({ value: valueSchema });
/** `PUT /secrets`: merges, never replaces all. */
export const setSecretsSchema = z.strictObject({
  secrets: z
    .record(nameSchema, valueSchema)
    .refine(
      (secrets) => Object.keys(secrets).length <= MOST_AT_ONCE,
      `must not have more than ${MOST_AT_ONCE}`,
    ),
});

export function isReserved(name: string): boolean {
  return name.startsWith('FLY_') || RESERVED_ENV.some((reserved) => reserved === name);
}

/** Throws ApiError `reserved_secret`. */
export function refuseReserved(name: string): void {
  if (isReserved(name))
    throw new ApiError('reserved_secret', `cannot set secret "${name}": Landlord or Fly sets it itself`);
}
