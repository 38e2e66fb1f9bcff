-- People, what they are billed as, how they prove who they are, and what their tokens are signed with.

CREATE TABLE users (
  id uuid PRIMARY KEY,
  -- In lowercase; a login provider has verified that it is theirs.
  email text COLLATE "C" NOT NULL,
  name text,
  created_at timestamptz NOT NULL,
  CONSTRAINT users_email UNIQUE (email)
);

-- Who somebody is at a login provider. Two providers may lead to one user, by the verified address.
CREATE TABLE user_identities (
  provider text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (provider, subject)
);
CREATE INDEX user_identities_user ON user_identities (user_id);

-- The id is Paddle's own (ctm_…), and the one that stands in spec.owner of a tenant. A user becomes a customer with
-- the first checkout.
CREATE TABLE customers (
  id text COLLATE "C" PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  CONSTRAINT customers_user UNIQUE (user_id)
);

-- One row a login. Tokens name it, so that a logout ends them before they expire.
CREATE TABLE login_sessions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX login_sessions_user ON login_sessions (user_id);
CREATE INDEX login_sessions_expiry ON login_sessions (expires_at);

-- The private half is a compact JWE, sealed with the operator's encryption keys. The public half stands open, so
-- that tokens verify also after the key that sealed the private one was dropped.
CREATE TABLE signing_keys (
  kid text COLLATE "C" PRIMARY KEY,
  public_jwk jsonb NOT NULL,
  private_jwe text NOT NULL,
  created_at timestamptz NOT NULL,
  -- Published before it signs, so that whoever caches the key set knows it in time.
  signs_from timestamptz NOT NULL
);
