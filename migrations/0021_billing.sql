-- What may be bought, what was ordered, what Paddle told, and what follows from it.

-- As the operator's file wrote them. A plan or price that left the file is no longer offered, but stays: there may be
-- subscriptions to it.
CREATE TABLE plans (
  id text COLLATE "C" PRIMARY KEY,
  document jsonb NOT NULL,
  position integer NOT NULL,
  offered boolean NOT NULL
);
CREATE TABLE plan_prices (
  id text COLLATE "C" PRIMARY KEY,
  plan_id text COLLATE "C" NOT NULL REFERENCES plans
);

CREATE TABLE checkouts (
  id uuid PRIMARY KEY,
  customer_id text COLLATE "C" NOT NULL,
  price_id text COLLATE "C" NOT NULL REFERENCES plan_prices,
  region text NOT NULL,
  redirect_uri text,
  -- What the tenant will be called.
  tenant_name text NOT NULL,
  -- Set when it pays for a tenant that exists already.
  for_tenant uuid,
  -- Absent until Paddle has made the transaction; only then does the customer learn where to pay.
  transaction_id text COLLATE "C",
  created_at timestamptz NOT NULL,
  CONSTRAINT checkouts_transaction UNIQUE (transaction_id)
);
CREATE INDEX checkouts_customer ON checkouts (customer_id);

-- The inbox of webhooks. A row is written before the delivery is answered; a subscription is always computed from all
-- of its rows, so neither their order nor their number matters.
CREATE TABLE paddle_events (
  id text COLLATE "C" PRIMARY KEY,
  type text COLLATE "C" NOT NULL,
  occurred_at timestamptz NOT NULL,
  -- Absent: nothing follows from it.
  subscription_id text COLLATE "C",
  payload jsonb NOT NULL,
  received_at timestamptz NOT NULL,
  processed_at timestamptz,
  -- Why nothing could be made of it.
  problem text
);
CREATE INDEX paddle_events_subscription ON paddle_events (subscription_id, occurred_at, id);
CREATE INDEX paddle_events_pending ON paddle_events (subscription_id) WHERE processed_at IS NULL;
CREATE INDEX paddle_events_received ON paddle_events (received_at, id);

CREATE TABLE subscriptions (
  id text COLLATE "C" PRIMARY KEY,
  customer_id text COLLATE "C" NOT NULL,
  -- Absent when the price belongs to no plan.
  plan_id text COLLATE "C" REFERENCES plans,
  price_id text COLLATE "C" NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'trialing', 'past_due', 'paused', 'canceled')),
  paid boolean NOT NULL,
  -- Since when it has not been good; grace periods count from here.
  lapsed_at timestamptz,
  period_start timestamptz,
  period_end timestamptz,
  -- When a cancellation that was asked for takes effect.
  cancels_at timestamptz,
  -- Time of the newest event that the row was computed from.
  as_of timestamptz NOT NULL,
  checkout_id uuid REFERENCES checkouts,
  tenant_uid uuid,
  -- Why there is no tenant, for the customer to read.
  problem text
);
CREATE INDEX subscriptions_tenant ON subscriptions (tenant_uid);
CREATE INDEX subscriptions_checkout ON subscriptions (checkout_id);
CREATE INDEX subscriptions_customer ON subscriptions (customer_id);
