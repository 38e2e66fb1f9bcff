-- Who changed what, when, and from where. Secrets are cut out before anything is written here.

CREATE TABLE audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  request_id text NOT NULL,
  subject text NOT NULL,
  role text NOT NULL,
  -- NULL for operators.
  customer text,
  address text NOT NULL,
  user_agent text,
  method text NOT NULL,
  -- The route's pattern; what stood in the places of its names is in `params`.
  route text NOT NULL,
  params jsonb NOT NULL,
  status integer NOT NULL,
  error_code text,
  -- NULL where it is about no tenant that the caller may see.
  tenant_uid uuid,
  -- What the change replaced, and what it put there: only the fields that differ; of secrets their names.
  before jsonb,
  after jsonb
);
CREATE INDEX audit_log_tenant ON audit_log (tenant_uid, id) WHERE tenant_uid IS NOT NULL;
CREATE INDEX audit_log_subject ON audit_log (subject, id);
CREATE INDEX audit_log_age ON audit_log (at);
