-- One row for each request that was answered. A partition a day, made by the writer: dropping a day costs nothing,
-- where deleting its rows would cost as much as writing them did.

CREATE TABLE request_metrics (
  at timestamptz NOT NULL,
  request_id text NOT NULL,
  method text NOT NULL,
  -- The route's pattern; 'unmatched' where there is none.
  route text COLLATE "C" NOT NULL,
  -- NULL where it could hold a secret, or is no address of ours.
  path text COLLATE "C",
  query jsonb NOT NULL,
  status integer NOT NULL,
  error_code text,
  error_message text,
  latency_ms double precision NOT NULL,
  address text NOT NULL,
  country text,
  user_agent text,
  referer text,
  subject text,
  customer text,
  tenant text
) PARTITION BY RANGE (at);
CREATE INDEX request_metrics_time ON request_metrics (at DESC, request_id DESC);
