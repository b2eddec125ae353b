#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the program twice from copies of this tree, in directories, homes and
# time zones that differ, and compares the two byte by byte. The second build starts
# from an empty build cache: with the first one's it would prove nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

git=(git -c "safe.directory=$PWD")
version=${VERSION:-reproducible}
revision=$("${git[@]}" rev-parse HEAD)

work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT

# build copies the tree to a directory and builds it there.
build() {
	local dir=$1
	shift
	mkdir -p "$dir"
	"${git[@]}" ls-files -z | xargs -0 cp --parents -t "$dir"
	env "$@" make -s -C "$dir" build VERSION="$version" REVISION="$revision"
	sha256sum "$dir/netprobe-xdp" | cut -d' ' -f1
}

modules=$(go env GOMODCACHE)
first=$(build "$work/a")
second=$(umask 077 && build "$work/elsewhere/and deeper/b" \
	HOME="$work/home" TZ=Asia/Kathmandu LC_ALL=C GOCACHE="$work/cache" GOMODCACHE="$modules")

echo "reproducible: $first, and again"
if [ "$first" != "$second" ]; then
	echo "reproducible: $second from another directory: the build depends on where or when it is done; compare go version -m of both" >&2
	exit 1
fi
