-- Who may act: one row for each replica that lives and one for each shard. Replicas renew their own row; a shard's row
-- is written only when it changes hands.

-- Versions come from a sequence, so that a row which was removed and made anew never has one that it had before.
CREATE SEQUENCE lease_version;

-- The fill factor keeps every new version of a row on its page, where it is cleaned up on the way.
CREATE TABLE leases (
  name text COLLATE "C" PRIMARY KEY,
  -- Empty: nobody has it.
  holder text NOT NULL,
  transitions bigint NOT NULL CHECK (transitions >= 0),
  version bigint NOT NULL DEFAULT nextval('lease_version'),
  -- For people who look at the table; whether a lease is over is never judged by it.
  written_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
