/**
 * What does one see across all tenants? Which namespaces there are, and what happened lately in them. For people
 * who look around; nothing is decided by it.
 */
import { sql } from 'kysely';
import { attempt } from '../../database/errors.ts';
import type { Survey, SurveyedEvent } from '../store.ts';
import { toEvent } from './events.ts';
import type { EventRow, StoreDatabase } from './tables.ts';

export function createSurvey(db: StoreDatabase): Survey {
  return {
    namespaces: () =>
      attempt('list namespaces', async () => {
        const rows = await db
          .selectFrom('tenants')
          .select('namespace')
          .distinct()
          .orderBy('namespace')
          .execute();
        return rows.map(({ namespace }) => namespace);
      }),

    recentEvents: ({ namespace, limit }) =>
      attempt('list recent events', async () => {
        const within = namespace === undefined ? sql`true` : sql`tenants.namespace = ${storable(namespace)}`;
        const { rows } = await sql<EventRow & { id: number; namespace: string; name: string }>`
          SELECT tenant_events.*, tenants.namespace, tenants.name
          FROM tenant_events JOIN tenants ON tenants.uid = tenant_events.tenant_uid
          WHERE ${within} ORDER BY tenant_events.id DESC LIMIT ${limit}`.execute(db);
        return rows.map((row): SurveyedEvent => ({
          ...toEvent(row),
          tenant: { namespace: row.namespace, name: row.name },
        }));
      }),
  };
}

/** PostgreSQL refuses a NUL in any text; no namespace has one. */
function storable(text: string): string {
  return text.includes('\0') ? '' : text;
}
