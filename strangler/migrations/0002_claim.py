"""``strangler_claim``: what ``seams.claims`` asks at the beginning of a unit of work, in one call (P15, P17)."""

from django.db import migrations

from strangler.migrations._vendor import ByVendor

# Two statements, so that the owner is read with a snapshot of its own, from after the lock. Where nobody owns, the error ends the
# block, and the block's end gives the lock back; so does a missing table.
CLAIM = """CREATE OR REPLACE FUNCTION strangler_claim(
  asked text, lock bigint, OUT locked boolean, OUT epoch bigint, OUT owner text
) LANGUAGE plpgsql VOLATILE AS $strangler$
BEGIN
  locked := pg_try_advisory_xact_lock_shared(lock);
  IF NOT locked THEN
    RETURN;
  END IF;
  IF current_setting('transaction_isolation') = 'read committed' THEN
    SELECT o.epoch, o.owner INTO epoch, owner FROM strangler_ownership o WHERE o.context = asked;
  ELSE
    SELECT o.epoch, o.owner INTO epoch, owner FROM strangler_ownership o WHERE o.context = asked FOR SHARE;
  END IF;
  IF coalesce(owner, 'none') = 'none' THEN
    RAISE EXCEPTION USING ERRCODE = 'SF002';
  END IF;
EXCEPTION
  WHEN SQLSTATE 'SF002' OR undefined_table THEN
    RETURN;
END
$strangler$"""


class Migration(migrations.Migration):
    dependencies = [("strangler", "0001_initial")]
    operations = [
        ByVendor(
            postgresql=[CLAIM],
            undo={"postgresql": ["DROP FUNCTION IF EXISTS strangler_claim(text, bigint)"]},
        )
    ]
