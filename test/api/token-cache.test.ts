/** Is a token that was verified a moment ago let in without a second look, and never for longer than it may be? */
import { describe, expect, it } from 'vitest';
import { createAuthenticator, signToken, type Authenticator } from '../../src/api/auth.ts';
import { rememberTokens } from '../../src/api/token-cache.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

const secret = 'a-secret-of-at-least-thirty-two-bytes';

async function open(lifetimeSeconds: number): Promise<{
  readonly clock: FakeClock;
  readonly auth: Authenticator;
  readonly header: string;
  readonly verified: () => number;
}> {
  const clock = createFakeClock();
  const real = createAuthenticator({ key: { kind: 'secret', secret }, issuer: 'landlord', clock });
  let count = 0;
  const counted: Authenticator = {
    authenticate(authorization) {
      count += 1;
      return real.authenticate(authorization);
    },
  };
  const identity = { role: 'customer', subject: 'carl', customer: 'ctm_1' } as const;
  const token = await signToken({ secret, issuer: 'landlord', identity, lifetimeSeconds, clock });
  return { clock, auth: rememberTokens(counted, clock), header: `Bearer ${token}`, verified: () => count };
}

describe('a token', () => {
  it('is verified once in half a minute', async () => {
    const { clock, auth, header, verified } = await open(3_600);
    const identity = await auth.authenticate(header);
    expect(await auth.authenticate(header)).toEqual(identity);
    expect(verified()).toBe(1);
    clock.advanceSync(30_000);
    await auth.authenticate(header);
    expect(verified()).toBe(2);
  });

  it('is not let in once it has expired', async () => {
    const { clock, auth, header } = await open(10);
    await auth.authenticate(header);
    clock.advanceSync(16_000);
    await expect(auth.authenticate(header)).rejects.toThrow('expired');
  });

  it('is verified anew when the clock was set back', async () => {
    const { clock, auth, header, verified } = await open(7_200);
    await auth.authenticate(header);
    clock.step(-3_600_000);
    await auth.authenticate(header);
    expect(verified()).toBe(2);
  });

  it('that is refused is looked at each time, and so is none', async () => {
    const { auth, header, verified } = await open(3_600);
    for (const wrong of [`${header}x`, `${header}x`, undefined])
      await expect(auth.authenticate(wrong)).rejects.toThrow('cannot authenticate');
    expect(verified()).toBe(3);
  });
});
