/**
 * What does a change mean to somebody who watches a selection? A tenant whose labels change can enter it or leave
 * it: entering is ADDED, leaving is DELETED, and what happens outside is nobody's business.
 */
import type { Tenant } from '../../tenant/schema.ts';
import type { ListQuery } from './query.ts';

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface Selection {
  /** These tenants are inside now. */
  remember(tenants: readonly Tenant[]): void;
  /** From here on, what was neither remembered nor seen is outside. */
  caughtUp(): void;
  /** The change as the watcher must see it; undefined when it is nobody's business. */
  translate(type: ChangeType, tenant: Tenant): ChangeType | undefined;
}

/**
 * Until it has caught up, the watcher may know a tenant from the list that it made before: one that does not match
 * may just have left. A leave too many is harmless, a leave too few would be a tenant that is seen for ever.
 */
export function createSelection({ fields, labels }: Pick<ListQuery, 'fields' | 'labels'>): Selection {
  const inside = new Map<string, boolean>();
  let unseen: boolean | undefined;
  return {
    remember(tenants) {
      if (labels.text !== '') for (const { metadata } of tenants) inside.set(metadata.uid, true);
    },
    caughtUp() {
      unseen = false;
    },
    translate(type, tenant) {
      if (!fields.matches(tenant)) return undefined;
      if (labels.text === '') return type;
      const { uid } = tenant.metadata;
      const before = type === 'ADDED' ? false : (inside.get(uid) ?? unseen);
      const now = type !== 'DELETED' && labels.matches(tenant);
      if (type === 'DELETED') inside.delete(uid);
      else inside.set(uid, now);
      if (now) return before === false ? 'ADDED' : 'MODIFIED';
      return before === false ? undefined : 'DELETED';
    },
  };
}
