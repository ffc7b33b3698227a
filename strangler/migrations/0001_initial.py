"""The tables of both sides, and the two counters that are read outside any transaction's snapshot.

``marker``: markers and positions (P6, P23); no cache, so that a value drawn later is greater.
``feed``: positions in a service's feed (P11); drawn only under the feed's exclusive lock.

Sequences in PostgreSQL, rows in SQLite. SQLite also has ``strangler_origin``, in which a transaction that applies writes whose
changes these are, and from which it deletes that before it commits (P5).
"""

import django.db.models.functions.datetime
from django.db import migrations, models

from strangler.migrations._vendor import ByVendor


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Applied",
            fields=[
                ("collection", models.TextField()),
                ("key", models.TextField()),
                ("epoch", models.BigIntegerField()),
                ("token", models.BigIntegerField()),
                ("round", models.BigIntegerField()),
                ("deleted_at", models.DateTimeField(help_text="when the tombstone was set; NULL: the row is there", null=True)),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "collection", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
            ],
            options={
                "db_table": "strangler_applied",
            },
        ),
        migrations.CreateModel(
            name="Migration",
            fields=[
                ("context", models.TextField(primary_key=True, serialize=False)),
                ("stage", models.TextField(db_default="monolith", default="monolith")),
                ("percent", models.IntegerField(db_default=0, default=0)),
                ("salt", models.TextField()),
                ("since", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "strangler_migration",
            },
        ),
        migrations.CreateModel(
            name="Ownership",
            fields=[
                ("context", models.TextField(primary_key=True, serialize=False)),
                ("side", models.TextField(help_text="which side this database is: monolith or service")),
                ("epoch", models.BigIntegerField(db_default=0, default=0)),
                ("owner", models.TextField(db_default="monolith", default="monolith", help_text="monolith, service or none")),
                ("operation", models.TextField(db_default="", default="")),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("system_identifier", models.TextField(db_default="", default="")),
                ("timeline", models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                "db_table": "strangler_ownership",
            },
        ),
        migrations.CreateModel(
            name="Receipt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("operation", models.UUIDField(unique=True)),
                ("context", models.TextField()),
                ("verb", models.TextField()),
                ("who", models.TextField()),
                ("why", models.TextField(default="")),
                ("from_stage", models.TextField()),
                ("from_percent", models.IntegerField()),
                ("to_stage", models.TextField()),
                ("to_percent", models.IntegerField()),
                ("outcome", models.TextField(help_text="done, undone or refused (by a gate)")),
                ("verdicts", models.JSONField(default=list)),
                ("proxies", models.JSONField(default=dict, help_text="proxy id: table version it acknowledged")),
                ("steps_ms", models.JSONField(default=dict)),
                ("pause_ms", models.FloatField(help_text="how long writes were parked; NULL where none were", null=True)),
                ("error", models.TextField(default="")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "strangler_receipt",
            },
        ),
        migrations.CreateModel(
            name="Stream",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("context", models.TextField()),
                (
                    "kind",
                    models.TextField(
                        choices=[("mirror", "Mirror"), ("copies", "Copies"), ("reverse", "Reverse"), ("feed", "Feed")]
                    ),
                ),
                (
                    "state",
                    models.TextField(
                        choices=[("off", "Off"), ("live", "Live"), ("paused", "Paused"), ("broken", "Broken")],
                        db_default="off",
                        default="off",
                    ),
                ),
                ("reason", models.TextField(db_default="", default="", help_text="why it waits, in plain words")),
                ("lease_holder", models.TextField(db_default="", default="")),
                ("lease_token", models.BigIntegerField(db_default=0, default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                (
                    "marker",
                    models.BigIntegerField(db_default=0, default=0, help_text="highest marker published for the destination"),
                ),
                (
                    "cursor",
                    models.BigIntegerField(db_default=0, default=0, help_text="reverse: the position up to which it has applied"),
                ),
                ("relayed", models.BigIntegerField(db_default=0, default=0, help_text="changes acknowledged since it was made")),
                ("lag_ms", models.FloatField(help_text="noted to acknowledged, oldest pointer of the last round", null=True)),
                ("last_error", models.TextField(db_default="", default="")),
                (
                    "failures",
                    models.IntegerField(db_default=0, default=0, help_text="rounds that failed since the last good one"),
                ),
                ("retry_at", models.DateTimeField(help_text="after a failure nobody takes the lease before this", null=True)),
                ("last_round_at", models.DateTimeField(null=True)),
                ("verified_at", models.DateTimeField(help_text="last drift check that found nothing", null=True)),
                ("verified_drift", models.BigIntegerField(help_text="rows that differed at the last check", null=True)),
                (
                    "verified_marker",
                    models.BigIntegerField(db_default=0, default=0, help_text="marker at the last clean full check"),
                ),
            ],
            options={
                "db_table": "strangler_stream",
            },
        ),
        migrations.CreateModel(
            name="Backfill",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stream", models.TextField()),
                ("collection", models.TextField()),
                ("last_key", models.TextField(null=True)),
                ("noted", models.BigIntegerField(db_default=0, default=0)),
                ("estimate", models.BigIntegerField(db_default=0, default=0)),
                ("state", models.TextField(db_default="waiting", default="waiting", help_text="waiting, running, noted, done")),
                (
                    "waits_for",
                    models.JSONField(default=list, help_text="virtual ids of transactions older than the subscription"),
                ),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "strangler_backfill",
                "constraints": [models.UniqueConstraint(fields=("stream", "collection"), name="strangler_backfill_unique")],
            },
        ),
        migrations.CreateModel(
            name="LooseKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("context", models.TextField()),
                ("table", models.TextField()),
                ("name", models.TextField()),
                ("definition", models.TextField()),
                ("dropped_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "strangler_loose_key",
                "constraints": [models.UniqueConstraint(fields=("table", "name"), name="strangler_loose_key_unique")],
            },
        ),
        migrations.CreateModel(
            name="Operation",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("context", models.TextField()),
                ("verb", models.TextField(help_text="advance, rollback or hold")),
                ("from_stage", models.TextField()),
                ("from_percent", models.IntegerField(default=0)),
                ("to_stage", models.TextField()),
                ("to_percent", models.IntegerField(default=0)),
                ("step", models.TextField()),
                ("token", models.BigIntegerField(default=0)),
                ("undoing", models.BooleanField(default=False)),
                ("holder", models.TextField(default="")),
                ("holder_until", models.DateTimeField(null=True)),
                ("who", models.TextField()),
                ("why", models.TextField(default="")),
                ("data", models.JSONField(default=dict, help_text="epoch, markers, next ids, verdicts, milliseconds per step")),
                ("error", models.TextField(default="")),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(null=True)),
                ("outcome", models.TextField(default="", help_text="done, undone or refused (by a gate); empty while it runs")),
            ],
            options={
                "db_table": "strangler_operation",
                "constraints": [
                    models.UniqueConstraint(
                        models.Value(1), condition=models.Q(("finished_at__isnull", True)), name="strangler_operation_one_open"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Outbox",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("stream", models.TextField()),
                ("collection", models.TextField()),
                ("key", models.TextField(help_text="NULL: the whole collection was reset (TRUNCATE)", null=True)),
                ("origin", models.TextField(db_default="", default="")),
                ("noted_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("pos", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "strangler_outbox",
                "indexes": [
                    models.Index(fields=["stream", "id"], name="strangler_outbox_stream"),
                    models.Index(
                        condition=models.Q(("pos__isnull", False)), fields=["stream", "pos"], name="strangler_outbox_pos"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Quarantine",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stream", models.TextField()),
                ("collection", models.TextField()),
                ("key", models.TextField()),
                ("error", models.TextField()),
                ("attempts", models.IntegerField(db_default=0, default=0)),
                ("since", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "strangler_quarantine",
                "constraints": [
                    models.UniqueConstraint(fields=("stream", "collection", "key"), name="strangler_quarantine_unique")
                ],
            },
        ),
        migrations.CreateModel(
            name="Round",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stream", models.TextField()),
                ("round", models.BigIntegerField(help_text="the marker that it drew")),
                ("changes", models.IntegerField()),
                ("lag_ms", models.FloatField(help_text="noted to acknowledged, oldest pointer of the round")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "strangler_round",
                "indexes": [models.Index(fields=["stream", "at"], name="strangler_round_at")],
            },
        ),
        migrations.CreateModel(
            name="RouteTableVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("generation", models.BigIntegerField()),
                ("version", models.BigIntegerField()),
                ("snapshot", models.JSONField()),
                ("published_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "strangler_route_table",
                "constraints": [models.UniqueConstraint(fields=("generation", "version"), name="strangler_route_table_unique")],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stream", models.TextField()),
                ("collection", models.TextField()),
            ],
            options={
                "db_table": "strangler_subscription",
                "constraints": [models.UniqueConstraint(fields=("collection", "stream"), name="strangler_subscription_unique")],
            },
        ),
        ByVendor(
            postgresql=[
                "CREATE SEQUENCE strangler_marker_seq AS bigint CACHE 1",
                "CREATE SEQUENCE strangler_feed_seq AS bigint CACHE 1",
                # The outbox lives from churn: clean it by the row, not by a share of a table that is empty most of the time.
                "ALTER TABLE strangler_outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)",
                "ALTER TABLE strangler_stream SET (fillfactor = 50)",
            ],
            sqlite=[
                "CREATE TABLE strangler_counter (name text NOT NULL PRIMARY KEY, value integer NOT NULL)",
                "INSERT INTO strangler_counter (name, value) VALUES ('marker', 0), ('feed', 0)",
                "CREATE TABLE strangler_origin (origin text NOT NULL)",
            ],
            undo={
                "postgresql": ["DROP SEQUENCE strangler_feed_seq", "DROP SEQUENCE strangler_marker_seq"],
                "sqlite": ["DROP TABLE strangler_origin", "DROP TABLE strangler_counter"],
            },
        ),
    ]
