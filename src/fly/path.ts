/**
 * What is the address of a call? Joins and encodes the segments and the query. A segment that is empty or made
 * of dots would name another thing (the app instead of its machine), so there is no address for it.
 */
import type { Call } from './call.ts';

/** Path and query below `baseUrl`; undefined when a segment cannot be one. */
export function requestPath(
  baseUrl: URL,
  { path, query }: Pick<Call<unknown>, 'path' | 'query'>,
): string | undefined {
  if (path.some((segment) => /^\.{0,2}$/.test(segment))) return undefined;
  const prefix = baseUrl.pathname.replace(/\/+$/, '');
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) search.set(name, String(value));
  }
  const address = `${prefix}/${path.map(encodeSegment).join('/')}`;
  return search.size > 0 ? `${address}?${search.toString()}` : address;
}

/** Fly wants the `*` of a wildcard hostname encoded, which encodeURIComponent leaves; `:` may stand in a path. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replaceAll('*', '%2A').replaceAll('%3A', ':');
}
