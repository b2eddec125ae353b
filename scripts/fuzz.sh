#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every fuzz target of the module for a time each, two at once, and names
# those that found something. What was found is written to the package's
# testdata/fuzz, where `go test` runs it from then on. FuzzSteerAgrees needs root.
#
# usage: fuzz.sh DURATION [PATTERN]    PATTERN chooses targets: 'Steer|Parse'
set -euo pipefail
cd "$(dirname "$0")/.."

duration=${1:?usage: fuzz.sh DURATION [PATTERN]}
pattern=${2:-.}

# found lists "package target", one a line.
found() {
	grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . |
		sed -E 's|^(.*)/[^/]+:func (.*)$|\1 \2|' | sort
}

# one runs a target; the last lines of its output tell what happened. Making
# inputs smaller, a minute each if not bounded, would take all of a short time.
one() {
	local log
	log=$(mktemp)
	if go test -run '^$' -fuzz "^$2\$" -fuzztime "$duration" -fuzzminimizetime 200x -parallel 1 "$1" >"$log" 2>&1; then
		echo "fuzz: $1 $2: $(grep -E '^fuzz: elapsed' "$log" | tail -n 1 | sed 's/^fuzz: //')"
		rm -f "$log"
	else
		echo "fuzz: $1 $2: FAILED"
		sed 's/^/    /' "$log"
		rm -f "$log"
		return 1
	fi
}
export -f one
export duration

targets=$(found | grep -E "$pattern") || {
	echo "fuzz: no target matches $pattern" >&2
	exit 64
}
echo "fuzz: $(wc -l <<<"$targets") targets, $duration each, two at once"
# shellcheck disable=SC2016 # the inner bash expands them
# xargs goes on after a failure, and then ends with 123.
xargs -P 2 -L 1 bash -c 'one "$0" "$1"' <<<"$targets"
