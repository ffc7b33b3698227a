"""What the destination's own triggers notice: a version that falls, a counter that falls. Their memory outlives every delete."""

from __future__ import annotations

from strangler.sync.database import rows
from tests.integration.sync.estate import DESTINATION

INSTALL = """
CREATE TABLE audit_version (collection text, key text, version bigint[], PRIMARY KEY (collection, key));
CREATE TABLE audit_counter (handle text PRIMARY KEY, balance numeric);
CREATE TABLE audit_finding (what text);

CREATE FUNCTION audit_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_version AS a VALUES (NEW.collection, NEW.key, ARRAY[NEW.epoch, NEW.token, NEW.round])
  ON CONFLICT (collection, key) DO UPDATE SET version = EXCLUDED.version WHERE a.version <= EXCLUDED.version;
  IF NOT FOUND THEN
    INSERT INTO audit_finding SELECT format('%s/%s: %s after %s', NEW.collection, NEW.key,
      ARRAY[NEW.epoch, NEW.token, NEW.round], version) FROM audit_version WHERE (collection, key) = (NEW.collection, NEW.key);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER audit_version AFTER INSERT OR UPDATE ON strangler_applied FOR EACH ROW EXECUTE FUNCTION audit_version();
ALTER TABLE strangler_applied ENABLE ALWAYS TRIGGER audit_version;

CREATE FUNCTION audit_counter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_counter AS a VALUES (NEW.handle, NEW.balance)
  ON CONFLICT (handle) DO UPDATE SET balance = EXCLUDED.balance WHERE a.balance <= EXCLUDED.balance;
  IF NOT FOUND THEN
    INSERT INTO audit_finding SELECT format('%s: %s after %s', NEW.handle, NEW.balance, balance)
    FROM audit_counter WHERE handle = NEW.handle;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER audit_counter AFTER INSERT OR UPDATE ON bank_account FOR EACH ROW WHEN (starts_with(NEW.handle, 'counter'))
  EXECUTE FUNCTION audit_counter();
ALTER TABLE bank_account ENABLE ALWAYS TRIGGER audit_counter;
"""


def install() -> None:
    rows(INSTALL, using=DESTINATION)


def findings() -> list[str]:
    return [what for (what,) in rows("SELECT what FROM audit_finding", using=DESTINATION)]
