#!/usr/bin/env bash
# check_layers.sh ROOT: fails when an include crosses a layer (the table in the README).
set -euo pipefail
cd "$1"

declare -A uses=(
  [base]="base"
  [protocol]="protocol base"
  [memfs]="memfs base"
  [mount]="mount base"
  [transport]="transport protocol mount base"
  [cli]="cli base mount protocol memfs transport"
)
status=0
report() {
  echo "$*" >&2
  status=1
}

for folder in src/*/; do
  layer=$(basename "$folder")
  [[ -n ${uses[$layer]:-} ]] || report "src/$layer is no layer that check_layers.sh knows"
  while IFS=: read -r file line included; do
    target=$(cut -d/ -f2 <<<"$included")
    [[ " ${uses[$layer]:-} " == *" $target "* ]] || report "$file:$line: $layer may not use $included"
  done < <(grep -rnoP '#include "\Ksrc/[^"]+' "$folder" || true)
done
# The public headers include nothing of src. Only tests include tests.
grep -rnE '#include "(src|tests)/' include && report "a public header includes an internal one"
grep -rn '#include "tests/' src && report "src includes tests"
# memfs and transport share only filesystem.h and the headers that it needs.
grep -rnE '#include "memfuse/session.h"' src/memfs && report "memfs knows sessions"
grep -rnE '#include "memfuse/memory_filesystem.h"' src/transport src/protocol &&
  report "transport and protocol may not know which file system they serve"
# Only the protocol layer uses the wire format.
grep -rnE '\bfuse_[a-z0-9_]+_(in|out)\b|src/protocol/wire' src include --include='*.h' --include='*.cc' |
  grep -v '^src/protocol/' && report "wire structs outside src/protocol"
exit "$status"
