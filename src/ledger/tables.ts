/** How does the ledger look as rows? The types of migrations 0040 to 0042, and nothing else. */
import type { Generated, Kysely } from 'kysely';

export type LedgerTables = {
  readonly idempotency_keys: IdempotencyRow;
  readonly audit_log: AuditRow;
  readonly request_metrics: RequestRow;
};

export type LedgerDatabase = Kysely<LedgerTables>;

export type IdempotencyRow = {
  readonly id: string;
  readonly claim: string;
  readonly fingerprint: string;
  readonly claimed_until: Date;
  readonly expires_at: Date;
  readonly status: number | null;
  readonly answer: string | null;
};

/** JSON columns are unknown until they are decoded. */
export type AuditRow = {
  readonly id: Generated<number>;
  readonly at: Date;
  readonly request_id: string;
  readonly subject: string;
  readonly role: string;
  readonly customer: string | null;
  readonly address: string;
  readonly user_agent: string | null;
  readonly method: string;
  readonly route: string;
  readonly params: unknown;
  readonly status: number;
  readonly error_code: string | null;
  readonly tenant_uid: string | null;
  readonly before: unknown;
  readonly after: unknown;
};

export type RequestRow = {
  readonly at: Date;
  readonly request_id: string;
  readonly method: string;
  readonly route: string;
  readonly path: string | null;
  readonly query: unknown;
  readonly status: number;
  readonly error_code: string | null;
  readonly error_message: string | null;
  readonly latency_ms: number;
  readonly address: string;
  readonly country: string | null;
  readonly user_agent: string | null;
  readonly referer: string | null;
  readonly subject: string | null;
  readonly customer: string | null;
  readonly tenant: string | null;
};
