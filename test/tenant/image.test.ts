import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseImage, pinnedImage, tenantImage } from '../../src/tenant/image.ts';
import { specSchema } from '../../src/tenant/schema.ts';
import { DIGEST, MINIMAL_SPEC, UID } from './documents.ts';

const longestTag = 'a'.repeat(128);

describe('an image reference', () => {
  it.each([
    { text: 'registry.fly.io/app:v1', want: { registry: 'registry.fly.io', repository: 'app', tag: 'v1' } },
    {
      text: 'docker.io/library/nginx:1.27',
      want: { registry: 'docker.io', repository: 'library/nginx', tag: '1.27' },
    },
    { text: 'localhost:5000/app:v1', want: { registry: 'localhost:5000', repository: 'app', tag: 'v1' } },
    { text: `r/a@${DIGEST}`, want: { registry: 'r', repository: 'a', digest: DIGEST } },
    { text: `r:5000/a@${DIGEST}`, want: { registry: 'r:5000', repository: 'a', digest: DIGEST } },
    { text: `r/a:v1@${DIGEST}`, want: { registry: 'r', repository: 'a', tag: 'v1', digest: DIGEST } },
    { text: 'r/a.b_c__d-e/f:_x.Y-9', want: { registry: 'r', repository: 'a.b_c__d-e/f', tag: '_x.Y-9' } },
    { text: `r/a:${longestTag}`, want: { registry: 'r', repository: 'a', tag: longestTag } },
  ])('is taken apart: $text', ({ text, want }) => {
    expect(parseImage(text)).toEqual(want);
  });

  it.each([
    { name: 'nothing', text: '' },
    { name: 'no registry', text: 'nginx:1' },
    { name: 'no repository', text: 'registry.fly.io/:v1' },
    { name: 'neither tag nor digest', text: 'registry.fly.io/app' },
    { name: 'a port but no tag', text: 'localhost:5000/app' },
    { name: 'an empty tag', text: 'registry.fly.io/app:' },
    { name: 'a tag of more than 128 characters', text: `r/a:${longestTag}a` },
    { name: 'a tag that begins with a dash', text: 'r/a:-v1' },
    { name: 'a digest that is too short', text: `r/a@${DIGEST.slice(0, -1)}` },
    { name: 'a digest in capitals', text: `r/a@sha256:${'A'.repeat(64)}` },
    { name: 'another kind of digest', text: `r/a@md5:${'a'.repeat(32)}` },
    { name: 'capitals in the repository', text: 'r/App:v1' },
    { name: 'an empty part of the path', text: 'r/a//b:v1' },
    { name: 'a part that begins with a separator', text: 'r/-a:v1' },
    { name: 'a scheme', text: 'https://registry.fly.io/app:v1' },
    { name: 'a port that is none', text: 'r:port/a:v1' },
    { name: 'white space', text: 'r/a:v1 ' },
    { name: 'a second line', text: 'r/a:v1\n' },
  ])('is refused: $name', ({ text }) => {
    expect(parseImage(text)).toBeUndefined();
    expect(specSchema.safeParse({ ...MINIMAL_SPEC, image: text }).success).toBe(false);
  });

  const alnum = fc.string({ unit: fc.constantFrom('a', 'b', 'z', '0', '9'), minLength: 1, maxLength: 8 });
  const part = fc
    .tuple(alnum, fc.array(fc.tuple(fc.constantFrom('.', '_', '__', '-', '--'), alnum), { maxLength: 2 }))
    .map(([first, rest]) => first + rest.map(([separator, word]) => separator + word).join(''));
  const reference = fc
    .record({
      registry: fc
        .tuple(alnum, fc.constantFrom('', '.fly.io', '-x.io', ':5000'))
        .map((pieces) => pieces.join('')),
      repository: fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
      tag: fc.option(
        fc
          .string({ unit: fc.constantFrom('a', 'Z', '0', '_', '.', '-'), maxLength: 12 })
          .map((rest) => `v${rest}`),
        { nil: undefined },
      ),
      digest: fc.option(fc.constant(DIGEST), { nil: undefined }),
    })
    .filter(({ tag, digest }) => tag !== undefined || digest !== undefined);

  it('survives being put together and taken apart, whatever its parts', () => {
    fc.assert(
      fc.property(reference, ({ registry, repository, tag, digest }) => {
        const text = `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
        expect(parseImage(text)).toEqual({
          registry,
          repository,
          ...(tag !== undefined && { tag }),
          ...(digest !== undefined && { digest }),
        });
      }),
    );
  });

  it('is accepted by the schema of a spec exactly when it can be taken apart', () => {
    const anything = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', 'B', '0', '/', ':', '@', '.', '-', '_'), maxLength: 20 }),
      fc
        .tuple(
          fc.constantFrom('r', 'r:1', 'R'),
          fc.constantFrom('/a', '/A', '', '/a/'),
          fc.constantFrom('', ':t', ':'),
          fc.constantFrom('', `@${DIGEST}`, '@x'),
        )
        .map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(anything, (image) => {
        expect(specSchema.safeParse({ ...MINIMAL_SPEC, image }).success).toBe(
          parseImage(image) !== undefined,
        );
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('what a machine runs', () => {
  it('is the digest and never the tag', () => {
    const image = parseImage('registry.fly.io/app:v1')!;
    expect(pinnedImage(image, DIGEST)).toBe(`registry.fly.io/app@${DIGEST}`);
    expect(parseImage(pinnedImage(image, DIGEST))).toEqual({
      registry: 'registry.fly.io',
      repository: 'app',
      digest: DIGEST,
    });
  });

  it('may come from the tenant’s own tag', () => {
    const image = tenantImage('registry.fly.io', 'systemprompt-images', UID);
    expect(image).toBe(`registry.fly.io/systemprompt-images:tenant-${UID}`);
    expect(parseImage(image)).toMatchObject({ tag: `tenant-${UID}` });
  });
});
