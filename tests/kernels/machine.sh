# shellcheck shell=bash
# Sourced by run.sh: a virtual machine of two processors and 2 GiB, and what it says.
# shellcheck disable=SC2154  # run.sh sets what is not set here

# The machine prints a line every 10 s. If no line arrives for this long, the machine hangs.
# Emulation on a busy host takes a minute to start.
declare -rA silence=([kvm]=60 [tcg]=400)

# run_kernel KERNEL: runs the fastest available machine; returns 0 if all parts passed.
run_kernel() {
  local kernel=$1 kinds=("$accel") kind status
  if [[ $accel == auto ]]; then
    kinds=(tcg)
    if [[ -w /dev/kvm ]]; then kinds=(kvm tcg); fi
  fi
  for kind in "${kinds[@]}"; do
    status=0
    # The files that a hung machine wrote must not be in the next machine's root.
    cp --sparse=always "$work/$kernel/image" "$work/$kernel/image.$kind"
    run_machine "$kernel" "$kind" || status=$?
    take_logs "$kernel" "$kind"
    if ((status < 2)); then
      check_console "$kernel" || status=1
      return "$status"
    fi
    say "$kernel with $kind: did not come to its end"
  done
  tail -n 20 "$work/$kernel/console" >&2
  return 1
}

# run_machine KERNEL KIND: returns 0 if all parts passed, 1 if some failed, 2 if the machine stopped
# before the end.
run_machine() {
  local kernel=$1 kind=$2 machine line status=2 begin=$SECONDS
  local options="console=ttyS0 panic=-1 oops=panic parts=$parts filter=$filter accel=$kind"
  local processor=(-accel kvm -cpu "host,arch-capabilities=off")
  if [[ $kind == tcg ]]; then
    # Emulated timers are too late for the kernel's check of its interrupt.
    options+=" no_timer_check"
    processor=(-accel "tcg,thread=multi" -cpu max)
  fi
  say "$kernel with $kind"
  exec {results}< <(exec nice -n 5 timeout --kill-after=5 "$seconds" qemu-system-x86_64 -nodefaults \
    -no-user-config -machine pc "${processor[@]}" -smp 2 -m 2048 -display none -no-reboot \
    -kernel "$work/$kernel/package/boot/"vmlinuz-* -initrd "$work/$kernel/initramfs" \
    -append "$options" \
    -drive "if=none,id=root,format=raw,cache=unsafe,file=$work/$kernel/image.$kind" \
    -device virtio-blk-pci,drive=root -serial "file:$work/$kernel/console" \
    -chardev stdio,id=results,signal=off -serial chardev:results \
    </dev/null 2>"$work/$kernel/qemu.log")
  machine=$!
  # shellcheck disable=SC2064  # this machine, and now
  trap "kill $machine 2>/dev/null" EXIT
  : >"$work/$kernel/results"
  while read -r -t "${silence[$kind]}" -u "$results" line; do
    line=${line%$'\r'}
    case $line in
      alive*) ;;
      'end passed') status=0 ;;
      'end failed') status=1 ;;
      *)
        echo "$line" >>"$work/$kernel/results"
        printf '%s: %4d s  %s\n' "$kernel" $((SECONDS - begin)) "$line"
        ;;
    esac
  done
  kill "$machine" 2>/dev/null || true
  wait "$machine" || true
  trap - EXIT
  exec {results}<&-
  cat "$work/$kernel/qemu.log" >&2
  return "$status"
}

# take_logs KERNEL KIND: copies the logs out of the image, without mounting it.
take_logs() {
  local logs=$work/$1/logs
  rm -rf "${logs:?}"
  debugfs -R "rdump /tests/logs $work/$1" "$work/$1/image.$2" >/dev/null 2>"$work/$1/debugfs.log" || true
  rm "$work/$1/image.$2"
}

# check_console KERNEL: checks that the kernel logged no error.
check_console() {
  local errors='BUG:|WARNING:|Oops|general protection|blocked for more than|Kernel panic'
  if grep -nE -A 20 "$errors" "$work/$1/console" >"$work/$1/errors"; then
    say "$1: the kernel reports errors:"
    head -n 60 "$work/$1/errors" >&2
    return 1
  fi
}
