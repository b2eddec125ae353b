#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Copies the program and what belongs to it to where a system looks for them;
# "make install" and scripts/packages.sh call it. Configuration that is there
# already stays.
#
#   DESTDIR=ROOT PREFIX=/usr/local scripts/install.sh PROGRAM MANUAL
#   DESTDIR=ROOT PREFIX=/usr/local scripts/install.sh --remove
#
# MANUAL is a directory that scripts/manual.sh wrote.
set -euo pipefail
root=${DESTDIR:-}
prefix=${PREFIX:-/usr/local}
program=${1:?}

man=$prefix/share/man
doc=$prefix/share/doc/netprobe-xdp
units=$prefix/lib/systemd/system
zsh=$prefix/share/zsh/site-functions
[ "$prefix" != /usr ] || zsh=/usr/share/zsh/vendor-completions # Debian's, for packages

if [ "$program" = --remove ]; then
	rm -f "$root$prefix/bin/netprobe-xdp" "$root$units"/netprobe-xdp{,@}.service \
		"$root$man/man1/netprobe-xdp.1.gz" "$root$man/man5/netprobe.yaml.5.gz" \
		"$root$prefix/share/bash-completion/completions/netprobe-xdp" \
		"$root$zsh/_netprobe-xdp" \
		"$root$prefix/share/fish/vendor_completions.d/netprobe-xdp.fish"
	rm -rf "$root${doc:?}"
	echo "install: removed; /etc/netprobe-xdp and /etc/default/netprobe-xdp are left"
	exit 0
fi

manual=${2:?}
program=$(realpath "$program")
manual=$(realpath "$manual")
cd "$(dirname "$0")/.."

# put copies a file to a directory, as everybody may read it.
put() {
	install -D -m "${4:-644}" "$1" "$root$2/$3"
}
# packed is the same, compressed: the same bytes for the same file.
packed() {
	install -d -m 755 "$root$2"
	gzip -9nc "$1" >"$root$2/$3"
	chmod 644 "$root$2/$3"
}
# keep copies a configuration file unless there is one.
keep() {
	if [ -e "$root$2/$3" ]; then
		echo "install: $root$2/$3 is there and stays as it is"
	else
		put "$@"
	fi
}

put "$program" "$prefix/bin" netprobe-xdp 755
for unit in netprobe-xdp.service netprobe-xdp@.service; do
	install -d -m 755 "$root$units"
	sed "s|/usr/bin/netprobe-xdp|$prefix/bin/netprobe-xdp|" "configs/systemd/$unit" >"$root$units/$unit"
	chmod 644 "$root$units/$unit"
done
packed "$manual/netprobe-xdp.1" "$man/man1" netprobe-xdp.1.gz
packed "$manual/netprobe.yaml.5" "$man/man5" netprobe.yaml.5.gz
put "$manual/completion.bash" "$prefix/share/bash-completion/completions" netprobe-xdp
put "$manual/completion.zsh" "$zsh" _netprobe-xdp
put "$manual/completion.fish" "$prefix/share/fish/vendor_completions.d" netprobe-xdp.fish
put README.md "$doc" README.md
put SECURITY.md "$doc" SECURITY.md
find docs -type f | LC_ALL=C sort | while IFS= read -r page; do
	put "$page" "$doc" "$page"
done
packed CHANGELOG.md "$doc" CHANGELOG.md.gz
(cd configs && find . -type f ! -path './systemd/*' | LC_ALL=C sort) | while IFS= read -r example; do
	put "configs/$example" "$doc/examples" "${example#./}"
done
put packaging/sysctl.conf "$doc/examples" sysctl.conf
put scripts/netprobify-inventory.py "$doc/examples" netprobify-inventory.py 755
keep packaging/netprobe.yaml /etc/netprobe-xdp netprobe.yaml
keep packaging/default /etc/default netprobe-xdp
