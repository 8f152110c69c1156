#!/usr/bin/env bash
# check_layers.sh ROOT: fails when an include crosses a layer (the table in the README).
set -euo pipefail
cd "$1"

declare -A uses=(
  [base]="base"
  [protocol]="protocol base"
  [memfs]="memfs base"
  [transport]="transport protocol base"
  [cli]="cli base protocol memfs transport"
)
status=0
complain() {
  echo "$*" >&2
  status=1
}

for folder in src/*/; do
  layer=$(basename "$folder")
  [[ -n ${uses[$layer]:-} ]] || complain "src/$layer is no layer that check_layers.sh knows"
  while IFS=: read -r file line included; do
    target=$(cut -d/ -f2 <<<"$included")
    [[ " ${uses[$layer]:-} " == *" $target "* ]] || complain "$file:$line: $layer may not use $included"
  done < <(grep -rnoP '#include "\Ksrc/[^"]+' "$folder" || true)
done
# The public headers stand on nothing of src; nothing but tests includes tests.
grep -rnE '#include "(src|tests)/' include && complain "a public header includes an internal one"
grep -rn '#include "tests/' src && complain "src includes tests"
# memfs and transport share filesystem.h and what it needs, and nothing else.
grep -rnE '#include "memfuse/session.h"' src/memfs && complain "memfs knows sessions"
grep -rnE '#include "memfuse/memory_filesystem.h"' src/transport src/protocol &&
  complain "transport and protocol may not know which file system they serve"
# The wire format never leaves the protocol layer.
grep -rnE '\bfuse_[a-z0-9_]+_(in|out)\b|src/protocol/wire' src include --include='*.h' --include='*.cc' |
  grep -v '^src/protocol/' && complain "wire structs outside src/protocol"
exit "$status"
