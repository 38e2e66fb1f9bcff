/** Is a signature that was right a moment ago believed without a second look, and never for longer than it may be? */
import { describe, expect, it } from 'vitest';
import { rememberVerified } from '../../src/api/token-cache.ts';
import { createFakeClock } from '../support/fake-clock.ts';

/** Counts verifications; a token is its own lifetime in seconds, and anything else is refused. */
function open() {
  const clock = createFakeClock();
  let verified = 0;
  const verify = rememberVerified(clock, async (token) => {
    verified += 1;
    if (!/^[0-9]+$/.test(token)) throw new Error('not valid');
    return { payload: { exp: clock.now() / 1000 + Number(token) } };
  });
  return { clock, verify, count: () => verified };
}

describe('a token', () => {
  it('is verified once in half a minute', async () => {
    const { clock, verify, count } = open();
    const first = await verify('3600');
    expect(await verify('3600')).toBe(first);
    clock.advanceSync(29_999);
    await verify('3600');
    expect(count()).toBe(1);
    clock.advanceSync(1);
    await verify('3600');
    expect(count()).toBe(2);
  });

  it('is verified anew once it has expired', async () => {
    const { clock, verify, count } = open();
    await verify('10');
    clock.advanceSync(10_000);
    await verify('10');
    expect(count()).toBe(2);
  });

  it('is verified anew when the clock was set back', async () => {
    const { clock, verify, count } = open();
    await verify('7200');
    clock.step(-3_600_000);
    await verify('7200');
    expect(count()).toBe(2);
  });

  it('that is refused is looked at each time', async () => {
    const { verify, count } = open();
    for (const wrong of ['x', 'x']) await expect(verify(wrong)).rejects.toThrow('not valid');
    expect(count()).toBe(2);
  });

  it('says nothing about another one', async () => {
    const { verify, count } = open();
    await verify('100');
    await verify('200');
    expect(count()).toBe(2);
  });
});
