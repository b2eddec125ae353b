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

# compile builds a package's fuzzing binary, which is the same for all of its targets.
compile() {
	go test -c -fuzz . -o "$binaries/${1//\//_}" "$1"
}

# one runs a target; the last lines of its output tell what happened. Making
# inputs smaller, a minute each if not bounded, would take all of a short time.
one() {
	local log
	log=$(mktemp)
	# A run whose time ends may fail by that alone, without an input: go.dev/issue/75804, mended in Go 1.27.
	if (cd "$1" && "$binaries/${1//\//_}" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$duration" -test.fuzzminimizetime 200x \
		-test.parallel 1 -test.fuzzcachedir "$corpora/$1") >"$log" 2>&1 ||
		{ grep -qx ' *context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; }; then
		echo "fuzz: $1 $2: $(grep -E '^fuzz: elapsed' "$log" | tail -n 1 | sed 's/^fuzz: //')"
		rm -f "$log"
	else
		echo "fuzz: $1 $2: FAILED"
		sed 's/^/    /' "$log"
		rm -f "$log"
		return 1
	fi
}
export -f compile one
export duration

targets=$(found | grep -E "$pattern") || {
	echo "fuzz: no target matches $pattern" >&2
	exit 64
}
corpora=$(go env GOCACHE)/fuzz/$(go list -m) # where go test -fuzz keeps what it found worth trying
binaries=$(mktemp -d)
trap 'rm -rf "$binaries"' EXIT
export corpora binaries

echo "fuzz: $(wc -l <<<"$targets") targets, $duration each, two at once"
# shellcheck disable=SC2016 # the inner bash expands them
cut -d ' ' -f 1 <<<"$targets" | uniq | xargs -P 2 -L 1 bash -c 'compile "$0"'
# shellcheck disable=SC2016
# xargs goes on after a failure, and then ends with 123.
xargs -P 2 -L 1 bash -c 'one "$0" "$1"' <<<"$targets"
