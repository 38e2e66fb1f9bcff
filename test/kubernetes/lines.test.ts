import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { linesOf } from '../../src/kubernetes/lines.ts';

/** The bytes of a text in pieces that end at the given places, also in the middle of a character. */
async function* pieces(text: string, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text, 'utf8');
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    yield bytes.subarray(from, to);
    from = to;
  }
}

describe('lines of a stream', () => {
  it('are the same wherever the stream is divided', async () => {
    const line = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ''));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.array(fc.nat()), async (lines, cuts) => {
        const text = lines.map((each) => `${each}\n`).join('');
        const seen: string[] = [];
        for await (const each of linesOf(pieces(text, cuts))) seen.push(each);
        expect(seen).toEqual(lines);
      }),
    );
  });

  it('end with an error when the last one is not complete', async () => {
    const lines = linesOf(pieces('one\ntwo', [2, 5]));
    expect((await lines.next()).value).toBe('one');
    await expect(lines.next()).rejects.toThrow(KubernetesError);
  });

  it('are bounded', async () => {
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield Buffer.alloc(1024 * 1024, 'x');
    }
    await expect(linesOf(endless()).next()).rejects.toThrow(/longer than/);
  });
});
