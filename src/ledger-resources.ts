/** Where does the daemon keep what it knows of requests? In its database and, where one is configured, in OpenSearch. */
import type { EncryptionKey } from './config.ts';
import type { Database } from './database/connection.ts';
import { createLedger, type Ledger } from './ledger/ledger.ts';
import { createOpenSearchSink } from './ledger/opensearch.ts';
import type { ResourceOptions } from './resources.ts';

/** Opens the ledger; it is closed with the daemon. */
export function openLedger(
  { config, clock, log, metrics, cleanup }: ResourceOptions,
  { database, keys }: { readonly database: Database; readonly keys: readonly EncryptionKey[] },
): Ledger {
  const { openSearch, keepAuditDays, keepRequestsDays } = config.manners;
  const sink = openSearch && createOpenSearchSink(openSearch);
  if (sink !== undefined) cleanup.add('the connection to OpenSearch', () => sink.close());
  const options = { database, clock, log, metrics, keys, keepAuditDays, keepRequestsDays };
  const ledger = createLedger({ ...options, ...(sink && { sink }) });
  cleanup.add('the ledger of requests', () => ledger.close());
  return ledger;
}
