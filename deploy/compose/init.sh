#!/bin/sh
# Makes the secrets that nobody should choose, once, and says where they are. What is there stays.
#
# The host reads its token as its own file; Prometheus and Grafana read theirs by group 10001.
set -eu

config=${CONFIG:-/var/lib/punktfunk}
secrets=${SECRETS:-/secrets}
owner=${OWNER:-10001:10001}

secret() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
chmod 0750 "$secrets"
chown "0:${owner#*:}" "$secrets" 2>/dev/null || chown ":${owner#*:}" "$secrets"
if [ ! -s "$config/read-token" ]; then
    secret >"$config/read-token.new"
    mv "$config/read-token.new" "$config/read-token"
fi
chmod 0700 "$config"
chown "$owner" "$config" "$config/read-token"
cat "$config/read-token" >"$secrets/read-token"
[ -s "$secrets/grafana-password" ] || secret >"$secrets/grafana-password"
chown "$owner" "$secrets/read-token" "$secrets/grafana-password"
chmod 0440 "$secrets/read-token" "$secrets/grafana-password"

echo "Grafana: http://127.0.0.1:3000, user admin, password: docker compose run --rm --no-deps init cat /secrets/grafana-password"
echo "Read token of the host: /secrets/read-token; the operator's: mgmt-token in the volume host-data"
