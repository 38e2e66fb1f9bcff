/** How does the owner come by the tenant's own credentials? Once by a link, and by new ones in place of the old. */
import { z } from 'zod';
import { requireEra } from './eras.ts';
import { CliError } from './http.ts';
import { data, option } from './serde.ts';
import type { Session } from './session.ts';

const text = z.string();
const firstCredentials = z.object({
  jwt_secret: text,
  database_url: text,
  app_url: text,
  sync_token: option(text),
  anthropic_api_key: option(text),
  openai_api_key: option(text),
  gemini_api_key: option(text),
});
const laterCredentials = firstCredentials.extend({ internal_database_url: text });

const firstRotation = z.object({ status: text, message: text, database_url: text });
const laterRotation = z.object({
  status: text,
  message: text,
  internal_database_url: text,
  external_database_url: text,
});
const accessSchema = data(z.object({ tenant_id: text, external_db_access: z.boolean(), database_url: text }));

export type Credentials = z.infer<typeof firstCredentials> & Partial<z.infer<typeof laterCredentials>>;

/**
 * Reads the link of a status, which works once. The CLI takes its own API's URL off the front if it is there, and puts
 * it back; whatever else stands there is appended as it is.
 */
export async function readCredentials(session: Session, secretsUrl: string): Promise<Credentials> {
  const { http } = session;
  const path = secretsUrl.startsWith(http.apiUrl) ? secretsUrl.slice(http.apiUrl.length) : secretsUrl;
  if (!path.startsWith('/')) throw new CliError(`cannot fetch ${http.apiUrl}${path}`);
  return session.onTenant({ method: 'GET', path }, (call): Promise<Credentials> =>
    http.era === 'E4' ? http.decode(call, laterCredentials) : http.decode(call, firstCredentials),
  );
}

export interface Rotated {
  readonly message: string;
  /** As the owner's machine reaches the database. */
  readonly databaseUrl: string;
}

export async function rotateCredentials(session: Session, tenantId: string): Promise<Rotated> {
  const { http } = session;
  requireEra(http.era, ['E1b', 'E4'], 'rotate credentials');
  const rotate = { method: 'POST', path: `/api/v1/tenants/${tenantId}/rotate-credentials` } as const;
  return session.onTenant(rotate, async (call): Promise<Rotated> => {
    if (http.era === 'E1b') {
      const { message, database_url: databaseUrl } = await http.decode(call, firstRotation);
      return { message, databaseUrl };
    }
    const { message, external_database_url: databaseUrl } = await http.decode(call, laterRotation);
    return { message, databaseUrl };
  });
}

export async function setExternalAccess(
  session: Session,
  tenantId: string,
  enabled: boolean,
): Promise<z.infer<typeof accessSchema>['data']> {
  requireEra(session.http.era, ['E1b', 'E4'], 'open a database to the outside');
  return session.onTenant(
    { method: 'PUT', path: `/api/v1/tenants/${tenantId}/external-db-access`, json: { enabled } },
    async (call) => (await session.http.decode(call, accessSchema)).data,
  );
}
