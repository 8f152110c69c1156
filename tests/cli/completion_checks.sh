# shellcheck shell=bash
# Checks that the tests of completions share. To be sourced; they set `status` to 1 if they fail.

# expect LINE ANSWERS: LINE has these candidates. The function `answers` of the test prints them.
expect() {
  local got
  got=$(answers "$1")
  if [[ $got != "$2" ]]; then
    echo "'$1' is completed to '$got', not '$2'" >&2
    status=1
  fi
}

# expect_shown TEXT EXPECTED...: a shell on a terminal has shown TEXT, with each EXPECTED in it.
expect_shown() {
  local shown=$1 expected
  shift
  for expected in "$@"; do
    if [[ $shown != *"$expected"* ]]; then
      echo "expected $expected; shown: $shown" >&2
      # The test that sources this file exits with it.
      # shellcheck disable=SC2034
      status=1
    fi
  done
}
