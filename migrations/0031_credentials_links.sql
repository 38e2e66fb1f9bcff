-- The link by which an owner fetches the credentials once. The token itself is nowhere: its hash proves it, and
-- whoever holds the encryption key can make it again from the nonce, to show it until it is used. Using deletes it.
CREATE TABLE vault_links (
  uid uuid PRIMARY KEY REFERENCES vault_tenants ON DELETE CASCADE,
  token_hash bytea NOT NULL,
  key_id text NOT NULL,
  nonce text NOT NULL,
  issued_at timestamptz NOT NULL
);

-- When a secret was first set; of those that are there already, nobody remembers.
ALTER TABLE vault_secrets ADD COLUMN created_at timestamptz;
UPDATE vault_secrets SET created_at = changed_at;
ALTER TABLE vault_secrets ALTER COLUMN created_at SET NOT NULL;
