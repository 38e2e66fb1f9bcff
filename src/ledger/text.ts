/** What of a client's text can PostgreSQL keep? No NUL and no half of a character; and nobody fills a row with it. */

const DEFAULT_LONGEST = 512;

/** The text as it can be stored, cut to `longest` characters. */
export function storable(text: string, longest = DEFAULT_LONGEST): string {
  return Buffer.from(text.slice(0, longest).replaceAll('\0', '\uFFFD'), 'utf8').toString('utf8');
}

/** JSON in which every text is storable, for a `jsonb` parameter. */
export function storableJson(value: unknown, longest?: number): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'string') return storable(part, longest);
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [storable(key, longest), inner]));
  });
}
