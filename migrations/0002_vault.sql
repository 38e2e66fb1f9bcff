-- Secrets at rest. Every ciphertext is a compact JWE whose protected header names the key, the tenant and the
-- secret; key_id repeats the first of them, so that a rotation of keys finds what is left to do.

CREATE TABLE vault_tenants (
  uid uuid PRIMARY KEY,
  revision bigint NOT NULL,
  password_revision bigint NOT NULL,
  -- As the spec wrote it: the loop compares it with the spec.
  rotated_at text,
  applied jsonb
);

CREATE TABLE vault_secrets (
  uid uuid NOT NULL REFERENCES vault_tenants ON DELETE CASCADE,
  -- '' is the database password, which is no secret of the owner and has no name on Fly.
  name text COLLATE "C" NOT NULL,
  key_id text NOT NULL,
  ciphertext text NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (uid, name)
);
CREATE INDEX vault_secrets_key ON vault_secrets (key_id);
