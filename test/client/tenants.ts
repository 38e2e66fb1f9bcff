/** What can be asked of a tenant, and done to it? The list, its status, its log, a restart, and the end of it. */
import { z } from 'zod';
import { requireEra } from './eras.ts';
import { data, defaulted, option } from './serde.ts';
import type { Session } from './session.ts';

const text = z.string();
const listed = z.object({
  id: text,
  name: text,
  fly_app_name: option(text),
  fly_hostname: option(text),
  /** Read by late CLIs alone. */
  hostname: option(text),
});
const statusSchema = z.object({
  status: text,
  message: option(text),
  app_url: option(text),
  secrets_url: option(text),
});
const logsSchema = z.object({
  logs: z.array(z.object({ timestamp: text, message: text, level: option(text) })),
});
const acceptedSchema = z.object({ status: text });

export type Status = z.infer<typeof statusSchema>;

const pathOf = (tenantId: string, rest = ''): string => `/api/v1/tenants/${tenantId}${rest}`;

export async function tenants({ http, asOperator }: Session): Promise<z.infer<typeof listed>[]> {
  const call = asOperator({ method: 'GET', path: '/api/v1/tenants' });
  return (await http.decode(call, data(defaulted(z.array(listed), [])))).data;
}

export async function status(session: Session, tenantId: string): Promise<Status> {
  return session.onTenant(
    { method: 'GET', path: pathOf(tenantId, '/status') },
    async (call) => (await session.http.decode(call, data(statusSchema))).data,
  );
}

/** The lines as the user reads them. Gone from the CLI in January 2026. */
export async function logs(session: Session, tenantId: string, lines = 100): Promise<string[]> {
  requireEra(session.http.era, ['E1', 'E1b'], 'read logs');
  const call = session.asOperator({ method: 'GET', path: pathOf(tenantId, `/logs?lines=${lines}`) });
  const answer = await session.http.decode(call, logsSchema);
  return answer.logs.map(({ timestamp, level, message }) => `${timestamp} [${level ?? 'info'}] ${message}`);
}

/** The word that the user reads. */
export async function restart(session: Session, tenantId: string): Promise<string> {
  return session.onTenant(
    { method: 'POST', path: pathOf(tenantId, '/restart') },
    async (call) => (await session.http.decode(call, acceptedSchema)).status,
  );
}

/** The CLI can, in every era, but none of its commands does. */
export async function retryProvision(session: Session, tenantId: string): Promise<string> {
  return session.onTenant(
    { method: 'POST', path: pathOf(tenantId, '/retry-provision') },
    async (call) => (await session.http.decode(call, acceptedSchema)).status,
  );
}

export async function remove(session: Session, tenantId: string): Promise<void> {
  await session.onTenant({ method: 'DELETE', path: pathOf(tenantId) }, (call) =>
    session.http.noContent(call),
  );
}

/** What no CLI ever called and a dashboard does; so its answer is not held against any schema. */
export async function dashboard(
  session: Session,
  tenantId: string,
  verb: 'suspend' | 'activate',
): Promise<void> {
  await session.onTenant({ method: 'POST', path: pathOf(tenantId, `/${verb}`) }, (call) =>
    session.http.noContent(call),
  );
}
