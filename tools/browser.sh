#!/bin/sh
# Finds or installs a Chromium and axe-core for the page tests. Never fails: without them those tests skip and say so.
browser() {
  for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then return; fi
  done
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "browser: asking apt for chromium"
    (apt-get install -y -qq chromium >/dev/null 2>&1 ||
      { apt-get update -qq >/dev/null 2>&1 && apt-get install -y -qq chromium >/dev/null 2>&1; }) && return
  fi
  echo "browser: SKIPPED, no Chromium here and apt cannot install one; the browser tests will skip"
}

axe() {
  if [ -f build/node_modules/axe-core/axe.min.js ]; then return; fi
  mkdir -p build
  if command -v npm >/dev/null 2>&1 &&
    npm install --no-audit --no-fund --silent --prefix build axe-core@4 >/dev/null 2>&1; then return; fi
  echo "browser: SKIPPED axe-core, npm is not here or cannot fetch it; the accessibility tests will skip"
}

browser
axe
exit 0
