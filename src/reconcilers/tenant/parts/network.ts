/**
 * A shared IPv4 and an IPv6 address of its own. Fly would gladly hand out a second IPv6 address, so asking is
 * journaled, and one that a lost answer left over is released again.
 */
import type { WireIpAssignment } from '../../../fly/wire.ts';
import { appOf, graceLeftMs, LOOK_INTERVAL_MS, type PlanInput } from '../input.ts';
import { UNNAMED_GRACE_MS } from '../settings.ts';
import { settled, type DraftStep, type PartPlan } from '../steps.ts';

/** Fly's list carries no type: shared is shared IPv4, `fdaa:` is private, another colon is public IPv6. */
export function addressType(address: WireIpAssignment): 'shared_v4' | 'v6' | 'other' {
  if (address.egress === true) return 'other';
  if (address.shared === true) return 'shared_v4';
  return address.ip.includes(':') && !address.ip.startsWith('fdaa:') ? 'v6' : 'other';
}

const WANTED = ['shared_v4', 'v6'] as const;

/** Sets NetworkReady. */
export function planNetwork(input: PlanInput): PartPlan {
  const app = appOf(input.tenant);
  const missing = WANTED.filter(
    (type) => !input.observed.addresses.some((address) => addressType(address) === type),
  );
  const pending = missing.filter((type) => graceLeftMs(input, type, UNNAMED_GRACE_MS) > 0);
  const steps: DraftStep[] = [
    ...missing
      .filter((type) => !pending.includes(type))
      .map((type) => ({
        kind: 'allocateAddress' as const,
        app,
        type,
        target: `${app} ${type}`,
        why: type === 'v6' ? 'the app has no IPv6 address' : 'the app has no shared IPv4 address',
        intent: type,
      })),
    ...surplus(input).map((address) => ({
      kind: 'releaseAddress' as const,
      app,
      ip: address.ip,
      target: address.ip,
      why: 'the app has a second IPv6 address, left over from a lost answer',
    })),
  ];
  if (missing.length === 0 && steps.length === 0) return settled('Allocated', 'all addresses are allocated');
  const reason = pending.length > 0 && steps.length === 0 ? 'AddressNotVisibleYet' : 'AllocatingAddresses';
  const message = `addresses of app "${app}" are being allocated`;
  return {
    steps,
    ...(pending.length > 0 && { wait: { reason, message, retryAfterMs: LOOK_INTERVAL_MS } }),
    finding: { status: 'False', reason, message },
  };
}

/** Later IPv6 addresses of an app that is ours alone; an adopted app keeps what it came with. */
function surplus({ tenant, observed }: PlanInput): WireIpAssignment[] {
  if (tenant.spec.adopt !== undefined) return [];
  return observed.addresses
    .filter((address) => addressType(address) === 'v6')
    .sort((a, b) => ((a.created_at ?? '') + a.ip < (b.created_at ?? '') + b.ip ? -1 : 1))
    .slice(1);
}
