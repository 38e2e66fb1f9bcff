/**
 * How does the CLI decode JSON? By serde's rules, which are strict in another way than zod's: unknown fields are
 * ignored everywhere, an optional field may be absent or null, a list or a number with a default may be absent but
 * never null, words come from closed lists, and "nothing" is the literal null.
 */
import { z } from 'zod';

/** `Option<T>`: absent and null are the same. */
export function option<T extends z.ZodType>(schema: T) {
  return schema.nullish().transform((value) => value ?? undefined);
}

/** `#[serde(default)]`: may be absent; null is an error. */
export function defaulted<T extends z.ZodType>(schema: T, value: z.output<T>) {
  return schema.optional().transform((given) => given ?? value);
}

export const i32 = z
  .int()
  .min(-(2 ** 31))
  .max(2 ** 31 - 1);
export const u32 = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);
export const u64 = z.int().min(0);

/** The unit type: an object, `{}` or an empty body does not decode. */
export const unit = z.null();

/** `{"data": …}`: the other answers are bare. */
export function data<T extends z.ZodType>(schema: T) {
  return z.object({ data: schema });
}
