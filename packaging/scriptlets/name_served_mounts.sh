# shellcheck shell=sh
# Prints the existing memfuse mounts. They stay usable without the program file that started them.
name_served_mounts() {
  [ -r /proc/self/mountinfo ] || return 0
  served=
  while read -r _ _ _ _ mount_point rest; do
    case $rest in
    *" - fuse.memfuse "*) served="$served  $mount_point\\n" ;;
    esac
  done </proc/self/mountinfo
  [ -n "$served" ] || return 0
  echo "memfuse: still mounted, and served until unmounted; their files are in memory only:"
  # The kernel writes blanks and backslashes as \ooo; printf reads \0ooo.
  printf '%b' "$(printf '%s' "$served" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')"
}
