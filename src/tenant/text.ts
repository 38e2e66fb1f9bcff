/**
 * How long is a text? Kubernetes counts characters (Unicode code points), JavaScript counts UTF-16's units, two for an
 * emoji. What may hold more than ASCII is measured here, so that both doors draw the line at the same place.
 */
import { z } from 'zod';

/** Text of at most `most` characters, and of at least `least`. */
export function text(most: number, { least = 0 }: { readonly least?: number } = {}) {
  const bounded = least > 0 ? z.string().min(least) : z.string();
  return bounded
    .refine((value) => isWithin(value, most), `must not be longer than ${most} characters`)
    .meta({ maxLength: most });
}

/** Counts only where the units do not decide it: there are at most as many characters, and at least half as many. */
function isWithin(value: string, most: number): boolean {
  if (value.length <= most) return true;
  return value.length <= 2 * most && Array.from(value).length <= most;
}
