/** How does a subscription end? The answer is decoded as nothing at all, which in JSON is null and nothing else. */
import { requireEra } from './eras.ts';
import { unit } from './serde.ts';
import type { Session } from './session.ts';

export async function cancelSubscription(session: Session, tenantId: string): Promise<void> {
  requireEra(session.http.era, ['E4'], 'cancel a subscription');
  const cancel = { method: 'POST', path: `/api/v1/tenants/${tenantId}/subscription/cancel` } as const;
  await session.onTenant(cancel, (call) => session.http.decode(call, unit));
}
