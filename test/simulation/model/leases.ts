/** What is the place where replicas meet, without a database? Records in memory, each changed by compare-and-swap. */
import type { LeaseRecord, LeaseWrite } from '../../../src/controller/leases/backend.ts';

export interface ModelLeases {
  list(): readonly LeaseRecord[];
  put(write: LeaseWrite): LeaseRecord | undefined;
  remove(record: Pick<LeaseRecord, 'name' | 'version'>): boolean;
}

export function createModelLeases(): ModelLeases {
  const records = new Map<string, LeaseRecord>();
  let versions = 0;
  return {
    list: () => [...records.values()],
    put({ name, holder, transitions, expected }) {
      if (records.get(name)?.version !== expected) return undefined;
      versions += 1;
      const record = { name, holder, transitions, version: String(versions) };
      records.set(name, record);
      return record;
    },
    remove: ({ name, version }) => records.get(name)?.version === version && records.delete(name),
  };
}
