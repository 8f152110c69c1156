#!/usr/bin/env bash
# uring_switch.sh on|off DIRECTORY: enables FUSE over io_uring, which is off unless root enables it, or
# restores the setting that 'on' has saved in DIRECTORY.
set -euo pipefail

readonly switch=/sys/module/fuse/parameters/enable_uring saved=$2/uring_switch_before
case $1 in
  on)
    cat "$switch" >"$saved"
    echo Y >"$switch"
    ;;
  off)
    cat "$saved" >"$switch"
    ;;
esac
