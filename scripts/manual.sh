#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Writes what goes beside an installed program: its manual pages and shell
# completions. The page of the configuration is made of the examples in configs/,
# which hold every key.
#
#   scripts/manual.sh PROGRAM DIRECTORY     PROGRAM has to run here
set -euo pipefail
program=$(realpath "$1")
into=$2
cd "$(dirname "$0")/.."
mkdir -p "$into"

"$program" man >"$into/netprobe-xdp.1"

# literal writes a file so that roff shows it as it is.
literal() {
	sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/'/\\\\(aq/g" -e 's/`/\\(ga/g' -e 's/^\./\\\&./' "$1"
}
while IFS= read -r line; do
	case $line in
	@NETPROBE@) literal configs/netprobe.yaml ;;
	@SETTINGS@) literal configs/settings.yaml ;;
	*) printf '%s\n' "$line" ;;
	esac
done <packaging/netprobe.yaml.5.in >"$into/netprobe.yaml.5"

for shell in bash zsh fish; do
	"$program" completion "$shell" >"$into/completion.$shell"
done
