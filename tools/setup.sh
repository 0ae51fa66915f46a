#!/bin/sh
# Makes .venv and installs the locked packages into it. Called by `make setup`; safe to call again.
set -eu
PYTHON=${PYTHON:-python3}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "homeward needs Python 3.11 or newer; $PYTHON is $("$PYTHON" --version 2>&1). Try: make PYTHON=/path/to/python3.11 $*" >&2
  exit 1
}

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  rm -rf .venv
  if ! "$PYTHON" -m venv .venv 2>/dev/null; then
    # Debian ships venv apart from Python: ask apt for it where apt can run.
    rm -rf .venv
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
      echo "setup: python3-venv is missing, asking apt for it"
      apt-get install -y -qq python3-venv >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; }
    else
      echo "setup: this Python has no venv module. Run: sudo apt-get install python3-venv" >&2
      exit 1
    fi
    "$PYTHON" -m venv .venv
  fi
fi

.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-setup.txt
.venv/bin/python -m uv pip install -q --compile-bytecode --require-hashes -r requirements.txt -r requirements-dev.txt
.venv/bin/python -m uv pip install -q --no-deps --no-build-isolation -e .
echo "setup: ready in .venv"
