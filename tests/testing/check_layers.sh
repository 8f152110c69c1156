#!/usr/bin/env bash
# check_layers.sh ROOT: fails when an include crosses a layer, or a folder of memfs (the table in
# src/README.md).
set -euo pipefail
cd "$1"

declare -A uses=(
  [base]="base"
  [protocol]="protocol base"
  [memfs]="memfs base"
  [memfs/space]="space"
  [memfs/records]="records space"
  [memfs/tree]="tree records space"
  [memfs/data]="data tree records space"
  [memfs/reclaim]="reclaim tree records space"
  [memfs/ops]="ops reclaim data tree records space"
  [mount]="mount protocol base"
  [transport]="transport protocol mount base"
  [control]="control base"
  [keeper]="keeper base"
  [cli]="cli base mount protocol memfs transport control keeper"
)
status=0
report() {
  echo "$*" >&2
  status=1
}

# check_includes PARENT: each folder of PARENT includes only those of PARENT that `uses` names.
check_includes() {
  local parent=$1 folder name file line included target
  for folder in "$parent"/*/; do
    name=${folder#src/}
    name=${name%/}
    [[ -n ${uses[$name]:-} ]] || report "$folder is no folder that check_layers.sh knows"
    while IFS=: read -r file line included; do
      target=${included#"$parent"/}
      target=${target%%/*}
      [[ " ${uses[$name]:-} " == *" $target "* ]] || report "$file:$line: $name may not use $included"
    done < <(grep -rnoP "#include \"\K$parent/[^\"]+" "$folder" || true)
  done
}
check_includes src
check_includes src/memfs
# The public headers include nothing of src. Only tests include tests.
grep -rnE '#include "(src|tests)/' include && report "a public header includes an internal one"
grep -rn '#include "tests/' src && report "src includes tests"
# memfs and transport share only filesystem.h and the headers that it needs. The protocol does not
# know who exchanges its messages.
grep -rnE '#include "memfuse/session.h"' src/memfs src/protocol &&
  report "memfs and protocol may not know sessions"
grep -rnE '#include "memfuse/(filesystem|host|session)' include/memfuse/{types,errno,requests}.h &&
  report "the headers of plain data may not know the interfaces"
grep -rnE '#include "memfuse/memory_filesystem.h"' src/transport src/protocol &&
  report "transport and protocol may not know which file system they serve"
# Only the protocol layer uses the wire format.
grep -rnE '\bfuse_[a-z0-9_]+_(in|out)\b|src/protocol/wire' src include --include='*.h' --include='*.cc' |
  grep -v '^src/protocol/' && report "wire structs outside src/protocol"
# So are the ioctl(2) numbers of /dev/fuse (type 229).
grep -rnE '\b_IO[RW]*\((229|0xe5)' src include --include='*.h' --include='*.cc' |
  grep -v '^src/protocol/' && report "an ioctl number of /dev/fuse outside src/protocol"

# check_links FOLDER: the library of the folder is linked with exactly the libraries of the project
# whose headers it includes. memfuse_base, which also implements public headers, is not checked.
check_links() {
  local folder=$1 included linked
  included=$(grep -rhoP '#include "src/\K(memfs/)?[a-z]+(?=/)' "src/$folder" | tr / _ |
    sed 's/^/memfuse_/' | sort -u)
  linked=$(sed -n '/DEPS/,/)/p' "src/$folder/CMakeLists.txt" | grep -oE 'memfuse_[a-z_]+' | sort -u)
  included=$(filter_libraries "$folder" "$included")
  linked=$(filter_libraries "$folder" "$linked")
  [[ $included == "$linked" ]] ||
    report "src/$folder is linked with '$linked' and includes headers of '$included'"
}
# filter_libraries FOLDER NAMES: the names without the folder's own library and memfuse_base.
filter_libraries() {
  grep -vxE "memfuse_(base|${1//\//_})" <<<"$2" | paste -sd ' ' || true
}
for folder in protocol mount transport control memfs/{space,tree,data,reclaim}; do check_links "$folder"; done
# The operations are the library memfuse_memfs.
check_links memfs/ops
exit "$status"
