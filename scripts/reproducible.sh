#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the program and its packages twice from copies of this tree, in
# directories, homes and time zones that differ, and compares the two byte by byte.
# The second build starts
# from an empty build cache: with the first one's it would prove nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

git=(git -c "safe.directory=$PWD")
version=${VERSION:-reproducible}
revision=$("${git[@]}" rev-parse HEAD)
epoch=$("${git[@]}" log -1 --format=%ct)

work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT

# build copies the tree to a directory and builds it there.
build() {
	local dir=$1
	shift
	mkdir -p "$dir"
	"${git[@]}" ls-files -z | xargs -0 cp --parents -t "$dir"
	env "$@" make -s -C "$dir" packages ARCHS="$(go env GOHOSTARCH)" VERSION="$version" REVISION="$revision" SOURCE_DATE_EPOCH="$epoch"
}

# Both at the same time: much of the first is packing, which one processor does.
modules=$(go env GOMODCACHE)
build "$work/a" >"$work/first" &
second=$(umask 077 && build "$work/elsewhere/and deeper/b" \
	HOME="$work/home" TZ=Asia/Kathmandu LC_ALL=C GOCACHE="$work/cache" GOMODCACHE="$modules")
wait $!
first=$(<"$work/first")

if [ "$first" != "$second" ]; then
	printf 'reproducible: from another directory:\n%s\nThe build depends on where or when it is done; compare go version -m of both programs, and both packages with diffoscope\n' "$second" >&2
	exit 1
fi
printf 'reproducible: twice the same:\n%s\n' "$first"
