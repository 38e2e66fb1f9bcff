-- Answers to requests that carried an Idempotency-Key, so that repeating one repeats its answer and not its effect.

CREATE TABLE idempotency_keys (
  -- Hash of who asked and of the key: the key itself is nobody else's business.
  id text COLLATE "C" PRIMARY KEY,
  -- Who is at work on it now; an answer is only taken from them.
  claim uuid NOT NULL,
  -- Of the request, keyed with the client's key: the same key with another request is refused.
  fingerprint text NOT NULL,
  -- A process that died must not hold the key for ever.
  claimed_until timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  -- NULL while the first request is under way.
  status integer,
  -- Headers and body, sealed: an answer may show a secret once.
  answer text
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
