#!/usr/bin/env bash
# run_fuzzer.sh FUZZER CORPUS WORK SECONDS [ARGUMENT...]: runs a fuzzer for a limited time. It
# begins with the files of CORPUS. All that it writes is in WORK, which is emptied first. An input
# that makes the fuzzer fail stays in WORK/failures. The arguments go to libFuzzer.
set -euo pipefail
readonly fuzzer=$1 corpus=$2 work=$3 seconds=$4
shift 4

rm -rf -- "$work"
mkdir -p -- "$work/corpus" "$work/failures"
cp -- "$corpus"/* "$work/corpus"

status=0
"$fuzzer" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
  -artifact_prefix="$work/failures/" "$@" "$work/corpus" || status=$?
if ((status != 0)); then
  echo "$(basename "$fuzzer") failed with status $status. The input is in $work/failures:" >&2
  ls -l -- "$work/failures" >&2
  echo "To repeat: $fuzzer -runs=1000 $work/failures/NAME" >&2
fi
exit "$status"
