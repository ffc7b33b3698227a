#!/bin/sh
# A role and a database for each unit; the image of PostgreSQL runs this once, when it makes its data directory.
# The right to set the replication role is what the mirror's apply needs (docs/adr/0006).
(
  set -eu
  make_database() {
    psql --set ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname postgres --set unit="$1" --set password="$2" <<'SQL'
CREATE ROLE :"unit" LOGIN CREATEDB PASSWORD :'password';
GRANT SET ON PARAMETER session_replication_role TO :"unit";
CREATE DATABASE :"unit" OWNER :"unit";
SQL
  }
  make_database shop "$SHOP_DB_PASSWORD"
  make_database payments "$PAYMENTS_DB_PASSWORD"
)
