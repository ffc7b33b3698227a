#!/bin/sh
# Writes .env: a secret for everything in docker-compose.yml. Once; an .env that is there stays as it is.
set -eu
umask 077
if [ -e .env ]; then
  echo "secrets.sh: there is an .env already, and the databases know its passwords; remove it only together with the volumes" >&2
  exit 1
fi
{
  for name in POSTGRES_PASSWORD SHOP_DB_PASSWORD PAYMENTS_DB_PASSWORD VALKEY_PASSWORD RABBITMQ_PASSWORD \
    SECRET_KEY STRANGLER_SERVICE_TOKEN; do
    printf '%s=%s\n' "$name" "$(openssl rand -hex 32)"
  done
  key=$(openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null)
  printf "JWT_PRIVATE_KEY='%s'\n" "$(printf '%s\n' "$key" | awk '{ printf "%s\\n", $0 }')"
} > .env.new
mv .env.new .env
