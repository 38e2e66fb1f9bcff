/** What of a client's text can PostgreSQL keep? No NUL and no half of a character; and nobody fills a row with it. */

const DEFAULT_LONGEST = 512;
/** What JSON makes of a NUL and of half a character; rare, so that looking for it is all that most records cost. */
const UNSTORABLE = /\\u(0000|d[89a-f])/;

/** The text as it can be stored, cut to `longest` characters. */
export function storable(text: string, longest = DEFAULT_LONGEST): string {
  const short = text.length > longest ? text.slice(0, longest) : text;
  return Buffer.from(short.replaceAll('\0', '\uFFFD'), 'utf8').toString('utf8');
}

/** JSON in which every text is storable, for a `jsonb` parameter. */
export function storableJson(value: unknown): string {
  const json = JSON.stringify(value);
  if (!UNSTORABLE.test(json)) return json;
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'string') return storable(part, part.length);
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [storable(key), inner]));
  });
}

/** The text without what is beyond `longest` characters. */
export function cut(text: string | undefined, longest = DEFAULT_LONGEST): string | undefined {
  return text === undefined || text.length <= longest ? text : text.slice(0, longest);
}
