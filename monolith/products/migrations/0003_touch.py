"""``updated_at`` of a product, whoever writes the row."""

from django.db import migrations

TOUCH = """
CREATE FUNCTION products_touch() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.updated_at := statement_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER products_touch BEFORE UPDATE ON products_product FOR EACH ROW EXECUTE FUNCTION products_touch();
"""


class Migration(migrations.Migration):
    dependencies = [("products", "0002_categories_prices_images_reservations")]

    operations = [
        migrations.RunSQL(TOUCH, "DROP TRIGGER products_touch ON products_product; DROP FUNCTION products_touch()"),
    ]
