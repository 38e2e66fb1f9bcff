/** Which secrets does a tenant get? Set many at once and ignore the answer; list their names; take one away. */
import { z } from 'zod';
import { requireEra } from './eras.ts';
import type { Session } from './session.ts';

const listSchema = z.object({ keys: z.array(z.string()) });

/** As `secrets.json` of a profile names them; every other name goes up in capitals, as it is. */
const NAMES: Readonly<Record<string, string>> = {
  gemini: 'GEMINI_API_KEY',
  anthropic: 'ANTHROPIC_API_KEY',
  openai: 'OPENAI_API_KEY',
};
const OWN_NAMES = [...Object.keys(NAMES), 'jwt_secret', 'database_url'];

/** What the CLI makes of `secrets.json`: values that are empty or null stay at home. */
export function mapped(file: Readonly<Record<string, string | null>>): Record<string, string> {
  const entries = Object.entries(file).flatMap(([name, value]) =>
    value === null || value === '' ? [] : [[NAMES[name] ?? name.toUpperCase(), value] as const],
  );
  const custom = Object.keys(file).filter((name) => !OWN_NAMES.includes(name));
  return {
    ...Object.fromEntries(entries),
    ...(custom.length > 0 && {
      SYSTEMPROMPT_CUSTOM_SECRETS: custom.map((name) => name.toUpperCase()).join(','),
    }),
  };
}

export async function setSecrets(
  session: Session,
  tenantId: string,
  secrets: Readonly<Record<string, string>>,
): Promise<void> {
  const call = { method: 'PUT', path: `/api/v1/tenants/${tenantId}/secrets`, json: { secrets } } as const;
  await session.onTenant(call, (authorized) => session.http.noContent(authorized));
}

export async function listSecrets(session: Session, tenantId: string): Promise<string[]> {
  requireEra(session.http.era, ['E4'], 'list secrets');
  return session.onTenant(
    { method: 'GET', path: `/api/v1/tenants/${tenantId}/secrets` },
    async (call) => (await session.http.decode(call, listSchema)).keys,
  );
}

export async function unsetSecret(session: Session, tenantId: string, key: string): Promise<void> {
  const call = { method: 'DELETE', path: `/api/v1/tenants/${tenantId}/secrets/${key}` } as const;
  await session.onTenant(call, (authorized) => session.http.noContent(authorized));
}
