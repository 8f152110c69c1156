#!/usr/bin/env bash
# check_vocabulary.sh ROOT: fails when a text of ROOT contains a word or an identifier that is not
# part of the project's vocabulary. Prints file:line for each hit.
set -euo pipefail
cd "$1"

words='seats?|purses?|orphan(s|ed)?|stand-ins?|patience|bury|buried|wish(es)?|complaints?'
words+='|whoever|somebody'
identifiers='Seat|Absence|StandIn|Allowance|BudgetLender|Orphan|IsKnownToKernel|OwnPage|LendPages'
identifiers+='|TakePages|IdleBackings|StepAside|RequestPipe|MayPipe|MovesData|LookAhead|Wishes'
identifiers+='|Reception|Delivery|AskMount|StillThere|SpeakAs|kMostThreads|ShmemStore|ShmemFile'
identifiers+='|ArenaFile|ArenaStore'

status=0
# reject KIND GREP_FLAG...: prints the lines that grep finds, and makes the check fail if there are
# any. This file contains all words itself, so it is excluded.
reject() {
  local kind=$1 hits found=0
  shift
  hits=$(grep -rnwIE --exclude=check_vocabulary.sh "$@" src include tests man README.md) || found=$?
  # The status of grep is 1 without a match, and greater after an error.
  ((found <= 1)) || exit "$found"
  [[ -n $hits ]] || return 0
  echo "$kind:" >&2
  echo "$hits" >&2
  status=1
}

reject "words outside the vocabulary" -i -e "$words"
reject "identifiers outside the vocabulary" -e "$identifiers"
exit "$status"
