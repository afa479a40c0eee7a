#!/bin/sh
# The official openai client of Python against a server with the demo model, in a virtual environment that this makes.
#   tests/clients/openai_client.sh path/to/quire [--must-run]
# Without PyPI the script says so and exits with 77, which CTest counts as skipped; with --must-run it fails.
set -eu
quire=$1
must_run=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  rm -r "$work"
}
trap cleanup EXIT

give_up() {
  echo "openai_client: $1" >&2
  [ "$must_run" = --must-run ] && exit 1
  exit 77
}
python3 -m venv "$work/venv" >"$work/log" 2>&1 || give_up "skipped: python3 cannot make a virtual environment (python3-venv)"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 20 openai==3.57.0 >"$work/log" 2>&1 ||
  give_up "skipped: the openai package cannot be installed: $(tail -n 1 "$work/log")"

"$quire" serve --port 0 --max-num-seqs 4 --max-num-queued-reqs 4 --served-model-name demo --api-key client-key 2>"$work/server" &
server=$!
port=
for _ in $(seq 600); do
  port=$(sed -n 's/.*listening on http:[^ ]*:\([0-9]*\) .*/\1/p' "$work/server")
  grep -q '^ready\|ready: ' "$work/server" && break
  kill -0 "$server" 2>/dev/null || { cat "$work/server" >&2; exit 1; }
  sleep 0.1
done
"$work/venv/bin/python" -B "$here/openai_client.py" "http://127.0.0.1:$port/v1" client-key
kill -TERM "$server"
wait "$server"
server=
