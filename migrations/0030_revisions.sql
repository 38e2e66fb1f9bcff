-- What was deployed to each tenant, newest number last: where a rollback goes back to.
CREATE TABLE tenant_revisions (
  uid uuid NOT NULL,
  number bigint NOT NULL,
  -- By digest: a tag that somebody moves later changes nothing here.
  image text NOT NULL,
  -- Subject of who asked for it.
  deployed_by text NOT NULL,
  deployed_at timestamptz NOT NULL,
  PRIMARY KEY (uid, number)
);

-- A tenant's credentials are the last that goes of it, whatever store keeps Tenants. Its history goes with them.
CREATE FUNCTION forget_revisions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM tenant_revisions WHERE uid = OLD.uid;
  RETURN NULL;
END
$$;
CREATE TRIGGER vault_tenants_forget_revisions AFTER DELETE ON vault_tenants
  FOR EACH ROW EXECUTE FUNCTION forget_revisions();
