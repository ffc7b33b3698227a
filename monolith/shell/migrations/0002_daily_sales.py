"""The view behind ``DailySales``."""

from django.db import migrations

# planted: SQL over two contexts
VIEW = """
CREATE VIEW shell_daily_sales AS
SELECT to_char(o.placed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') || ' ' || o.currency AS id,
       (o.placed_at AT TIME ZONE 'UTC')::date AS day,
       o.currency,
       count(*)::int AS orders,
       sum(o.total) AS ordered,
       coalesce(sum(m.amount), 0) AS captured
FROM orders_order o
LEFT JOIN payments_payment m ON m.order_id = o.id AND m.state = 'captured'
GROUP BY 1, 2, 3
"""


class Migration(migrations.Migration):
    dependencies = [
        ("shell", "0001_notes_and_reports"),
        ("orders", "0001_initial"),
        ("payments", "0001_initial"),
    ]

    operations = [migrations.RunSQL(VIEW, "DROP VIEW shell_daily_sales")]
