/** The defects themselves: that each can be applied. That each is found, `npm run prove -- mutants` shows. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { editsOf, mutate } from './mutation.ts';
import { MUTANTS } from './mutants.ts';

describe('the mutants', () => {
  it.each(MUTANTS)('can be applied to the source as it is: $name', (mutant) => {
    for (const edit of editsOf(mutant)) {
      const source = readFileSync(new URL(`../../src/${edit.file}`, import.meta.url), 'utf8');
      expect(mutate(source, edit, mutant.name)).not.toBe(source);
    }
  });

  it('are about thirty, and no two of them are the same', () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(30);
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  });

  it('are refused when the source has moved on', () => {
    const edit = { file: 'clock.ts', find: 'never was there', replace: '' };
    expect(() => mutate('something else', edit, 'gone')).toThrow(
      'cannot apply mutant "gone": its text stands 0 times in clock.ts',
    );
  });
});
