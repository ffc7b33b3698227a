"""Receipts are append-only, and chained by hash; those that are there are chained as they stand.

Append-only is a rule of the database: triggers that fire for everybody, the table's owner included. The owner can still take
them away, or drop the table, as ``migrate strangler zero`` does; that a receipt was touched then is what the chain shows. An
empty table may be truncated: a project's test suite does that all the time. A transaction with an old snapshot may not see what
it empties, so there the table's size decides. A later migration that alters the table in SQLite makes it anew, and its triggers.
"""

from typing import Any

from django.db import migrations, models

from strangler.control import chain as chaining
from strangler.domain import chain
from strangler.migrations._vendor import ByVendor

REFUSE = """CREATE FUNCTION strangler_append_only() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $strangler$
DECLARE
  holds_rows boolean;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    IF current_setting('transaction_isolation') = 'read committed' THEN
      EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', TG_RELID::regclass) INTO holds_rows;
    ELSE
      holds_rows := pg_relation_size(TG_RELID) > 0;
    END IF;
    IF NOT holds_rows THEN
      RETURN NULL;
    END IF;
  END IF;
  RAISE EXCEPTION 'strangler: % is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'SF003';
END
$strangler$"""
TRIGGER = "CREATE TRIGGER {name} BEFORE {event} ON strangler_receipt FOR EACH {each} EXECUTE FUNCTION strangler_append_only()"
ALWAYS = "ALTER TABLE strangler_receipt ENABLE ALWAYS TRIGGER {name}"
POSTGRESQL = [
    ("strangler_append_only", "UPDATE OR DELETE", "ROW"),
    ("strangler_append_only_truncate", "TRUNCATE", "STATEMENT"),
]
# INSERT OR REPLACE takes rows out without firing a DELETE trigger.
REPLACES = (
    "WHEN EXISTS (SELECT 1 FROM strangler_receipt WHERE id = NEW.id OR operation = NEW.operation "
    "OR previous = NEW.previous OR hash = NEW.hash) "
)
SQLITE = {"UPDATE": "", "DELETE": "", "INSERT": REPLACES}
ABORT = (
    "CREATE TRIGGER strangler_append_only_{event} BEFORE {event} ON strangler_receipt {when}"
    "BEGIN SELECT RAISE(ABORT, 'strangler: strangler_receipt is append-only: {event} is refused'); END"
)


def chain_what_is_there(apps: Any, schema_editor: Any) -> None:
    rows = apps.get_model("strangler", "Receipt").objects.using(schema_editor.connection.alias)
    previous = chain.GENESIS
    for receipt in rows.order_by("id").iterator(chunk_size=500):
        receipt.previous, receipt.hash = previous, chain.seal(previous, chaining.content(receipt))
        receipt.save(update_fields=["previous", "hash"])
        previous = receipt.hash


class Migration(migrations.Migration):
    dependencies = [("strangler", "0008_stranded")]
    operations = [
        migrations.AddField("receipt", "previous", models.TextField(null=True)),
        migrations.AddField("receipt", "hash", models.TextField(null=True)),
        migrations.RunPython(chain_what_is_there, migrations.RunPython.noop),
        migrations.AlterField(
            "receipt", "previous", models.TextField(unique=True, help_text="the hash of the receipt before it")
        ),
        migrations.AlterField(
            "receipt", "hash", models.TextField(unique=True, help_text="SHA-256 of ``previous`` and of the canonical content")
        ),
        migrations.AddConstraint(
            "receipt",
            models.CheckConstraint(condition=~models.Q(previous="") & ~models.Q(hash=""), name="strangler_receipt_is_sealed"),
        ),
        ByVendor(
            postgresql=[
                REFUSE,
                *(TRIGGER.format(name=name, event=event, each=each) for name, event, each in POSTGRESQL),
                *(ALWAYS.format(name=name) for name, _, _ in POSTGRESQL),
            ],
            sqlite=[ABORT.format(event=event, when=when) for event, when in SQLITE.items()],
            undo={
                "postgresql": [
                    *(f"DROP TRIGGER IF EXISTS {name} ON strangler_receipt" for name, _, _ in POSTGRESQL),
                    "DROP FUNCTION IF EXISTS strangler_append_only()",
                ],
                "sqlite": [f"DROP TRIGGER IF EXISTS strangler_append_only_{event}" for event in SQLITE],
            },
        ),
    ]
