#!/bin/sh
# A client for the demo: pairs once, then streams, and lets a capture run for a minute at a time.
set -eu

host=${DEMO_HOST:-127.0.0.1:47800}
pin=246810
client=${DEMO_DIRECTORY:-/tmp/client}
seconds=${DEMO_SECONDS:-60}
mkdir -p "$client"

PUNKTFUNK_CONFIG_DIR=$client punktfunk-probe pair "$host" --pin "$pin" &
pairing=$!
request=
while [ -z "$request" ] && kill -0 "$pairing" 2>/dev/null; do
    request=$(punktfunk-host ctl pair --json | sed -n 's/.*"id": *"\(r[0-9]*\)".*/\1/p' | head -n 1)
    [ -n "$request" ] || sleep 1
done
if [ -n "$request" ]; then
    punktfunk-host ctl pair "$request" --pin "$pin" --name demo
fi
wait "$pairing"

while true; do
    PUNKTFUNK_CONFIG_DIR=$client punktfunk-probe connect "$host" >/dev/null &
    stream=$!
    sleep 2
    punktfunk-host ctl start --label demo --max-duration "$seconds" || true
    sleep $((seconds + 5))
    punktfunk-host ctl stop || true
    kill "$stream" 2>/dev/null || true
    wait "$stream" || true
done
