/**
 * Who is it, and what does it own? `GET /auth/me`, which one unknown word breaks as a whole, so that nobody could log
 * in any more; and what late CLIs tell of logins.
 */
import { z } from 'zod';
import { CliError } from './http.ts';
import { defaulted, i32, option } from './serde.ts';
import type { Session } from './session.ts';

const SUBSCRIPTION_STATUSES = ['active', 'trialing', 'past_due', 'paused', 'canceled'] as const;
const TENANT_STATUSES = ['pending', 'active', 'suspended', 'deleted'] as const;

const text = z.string();
const user = z.object({ id: text, email: text, name: option(text) });
const customer = option(z.object({ id: text, status: option(text) }));

const firstTenant = z.object({
  id: text,
  name: text,
  subscription_id: option(text),
  subscription_status: option(z.enum(SUBSCRIPTION_STATUSES)),
  app_id: option(text),
  hostname: option(text),
  region: option(text),
});
const laterTenant = firstTenant.extend({
  status: option(z.enum(TENANT_STATUSES)),
  plan: option(z.object({ id: option(text), name: text, memory_mb: i32, volume_gb: i32 })),
  external_db_access: defaulted(z.boolean(), false),
  database_url: text,
});
const enterprise = option(z.object({ id: text, name: text, domain: text, plan: option(text) }));

const firstMe = z.object({ user, customer, tenants: defaulted(z.array(firstTenant), []) });
const laterMe = z.object({ user, customer, tenants: defaulted(z.array(laterTenant), []), enterprise });

export interface Me {
  readonly user: { readonly id: string; readonly email: string; readonly name?: string | undefined };
  readonly customer?: { readonly id: string } | undefined;
  readonly tenants: readonly (z.infer<typeof firstTenant> & Partial<z.infer<typeof laterTenant>>)[];
}

/** What the CLI keeps on its disk after a login. */
export async function me({ http, asOperator }: Session): Promise<Me> {
  const call = asOperator({ method: 'GET', path: '/api/v1/auth/me' });
  if (http.era === 'E1') return http.decode(call, firstMe);
  const answer = await http.decode(call, laterMe);
  // Late CLIs make a validated address of it, and end themselves when it is none.
  if (http.era === 'E4' && !/^[^@\s]+@[^@\s]+\.[^@\s.]{2,}$/.test(answer.user.email))
    throw new CliError(`not an e-mail address: ${answer.user.email}`);
  return answer;
}

/** Late CLIs tell of logins and logouts; that it fails is only logged there, and an error here. */
export async function tellActivity(
  session: Session,
  event: 'cloud_login' | 'cloud_logout',
  userId: string,
): Promise<void> {
  const json = { event, timestamp: new Date().toISOString(), data: { user_id: userId } };
  await session.http.noContent(session.asOperator({ method: 'POST', path: '/api/v1/activity', json }));
}
