/** How does a tenant answer under a name of its owner's? Set it, read what DNS needs, take it away. */
import { z } from 'zod';
import { requireEra } from './eras.ts';
import { data, option, u32 } from './serde.ts';
import type { Session } from './session.ts';

const text = z.string();
const domainSchema = data(
  z.object({
    domain: text,
    status: text,
    verified: z.boolean(),
    dns_target: text,
    dns_instructions: z.object({ record_type: text, host: text, value: text, ttl: u32 }),
    created_at: option(text),
    verified_at: option(text),
  }),
);

export type Domain = z.infer<typeof domainSchema>['data'];

const pathOf = (tenantId: string): string => `/api/v1/tenants/${tenantId}/custom-domain`;

export async function setDomain(session: Session, tenantId: string, domain: string): Promise<Domain> {
  requireEra(session.http.era, ['E4'], 'set a domain');
  return session.onTenant(
    { method: 'POST', path: pathOf(tenantId), json: { domain } },
    async (call) => (await session.http.decode(call, domainSchema)).data,
  );
}

export async function domainOf(session: Session, tenantId: string): Promise<Domain> {
  requireEra(session.http.era, ['E4'], 'read a domain');
  return session.onTenant(
    { method: 'GET', path: pathOf(tenantId) },
    async (call) => (await session.http.decode(call, domainSchema)).data,
  );
}

export async function removeDomain(session: Session, tenantId: string): Promise<void> {
  requireEra(session.http.era, ['E4'], 'remove a domain');
  await session.onTenant({ method: 'DELETE', path: pathOf(tenantId) }, (call) =>
    session.http.noContent(call),
  );
}
