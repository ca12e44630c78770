#!/usr/bin/env bash
# Prints again what is printed from the code: documents and alert rules.
set -euo pipefail
cd "$(dirname "$0")/.."
UPDATE_PRINTED=1 ${CARGO:-cargo} test --quiet --test catalogues --test config -- printed_
