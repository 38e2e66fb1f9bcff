/**
 * What can an operator ask of the loop without changing what is desired? Annotations: they leave the generation
 * alone, any door that writes metadata can set them, and taking them away takes the wish back.
 */
import { GROUP } from './names.ts';
import type { Tenant } from './schema.ts';

/** "true": nothing is changed on Fly until it is taken away; looking and telling go on. */
export const PAUSED = `${GROUP}/paused`;

/**
 * A value that differs from the one in `status.lastHandledReconcileAt` asks for a look now, whatever back-off says.
 * A time by custom, but any token will do.
 */
export const RECONCILE_REQUESTED_AT = `${GROUP}/reconcile-requested-at`;

/** As many characters of the token as are echoed. */
const LONGEST_TOKEN = 128;

export function isPaused({ metadata }: Pick<Tenant, 'metadata'>): boolean {
  return metadata.annotations?.[PAUSED] === 'true';
}

/** The token of the request, as status echoes it once the request was served. */
export function reconcileRequest({ metadata }: Pick<Tenant, 'metadata'>): string | undefined {
  return metadata.annotations?.[RECONCILE_REQUESTED_AT]?.slice(0, LONGEST_TOKEN);
}
