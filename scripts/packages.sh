#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds what is released into build/packages, or OUT: for each architecture a Debian
# package and an archive with the static program, and SHA256SUMS. Needs Go and
# dpkg-deb, no root. The same commit gives the same bytes: no file is younger than
# the commit, and all belong to root.
#
#   VERSION=v1.2.3 REVISION=abc scripts/packages.sh [ARCH...]     default: amd64 arm64
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C
archs=("$@")
[ ${#archs[@]} -gt 0 ] || archs=(amd64 arm64)
git=(git -c "safe.directory=$PWD")

for tool in dpkg-deb gzip tar; do
	command -v "$tool" >/dev/null || { echo "packages: $tool is missing; on Debian it comes with dpkg, gzip and tar" >&2; exit 1; }
done

# A release is called by its tag; anything else sorts before the first release, by
# its time.
: "${VERSION:=devel}" "${REVISION:=unknown}"
epoch=${SOURCE_DATE_EPOCH:-$("${git[@]}" log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH=$epoch
case $VERSION in
v[0-9]*) version=$(echo "${VERSION#v}" | sed 's/-rc/~rc/; s/-/+/; s/-/./g') ;;
*) version=0~$(date -u -d "@$epoch" +%Y%m%d%H%M%S).${REVISION:0:12} ;;
esac

out=${OUT:-build/packages}
mkdir -p "$out"
out=$(realpath "$out")
rm -f "$out"/netprobe-xdp[_-]*.deb "$out"/netprobe-xdp-*.tar.gz "$out/SHA256SUMS"
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT

# notices prints the licences of what is linked into the program, Go's own
# included.
notices() {
	echo "What netprobe-xdp is linked with, and under which licences."
	printf '\n== Go %s\n\n' "$(go env GOVERSION)"
	cat "$(go env GOROOT)/LICENSE"
	GOARCH=$1 CGO_ENABLED=0 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/netprobe-xdp | sort -u |
		while read -r path version dir; do
			printf '\n== %s %s\n' "$path" "$version"
			find "$dir" -maxdepth 1 -type f | grep -iE '/(un)?(licen[cs]e|copying|notice|authors)([.-][^/]*)?$' | sort |
				while IFS= read -r file; do
					printf '\n%s:\n\n' "$(basename "$file")"
					cat "$file"
				done
		done
}

# build compiles the program for an architecture.
build() {
	CGO_ENABLED=0 GOARCH=$1 go build -buildvcs=false -trimpath -ldflags "-s -w -X main.version=$VERSION -X main.revision=$REVISION" -o "$2" ./cmd/netprobe-xdp
}

# deb packs what is installed at a root for an architecture.
deb() {
	local root=$1 arch=$2
	local doc=$root/usr/share/doc/netprobe-xdp
	install -m 644 packaging/deb/copyright "$doc/copyright"
	install -D -m 644 packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/netprobe-xdp"
	gzip -9nc "$work/notices" >"$doc/notices.gz"
	printf 'netprobe-xdp (%s) unstable; urgency=medium\n\n  * What changed is in CHANGELOG.md.gz.\n\n -- %s  %s\n' \
		"$version" "$(sed -n 's/^Maintainer: //p' packaging/deb/control.in)" "$(date -u -R -d "@$epoch")" | gzip -9n >"$doc/changelog.gz"
	install -d -m 755 "$root/DEBIAN"
	install -m 755 packaging/deb/{postinst,prerm,postrm} "$root/DEBIAN"
	(cd "$root" && find etc -type f | sort | sed 's|^|/|') >"$root/DEBIAN/conffiles"
	(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
	size=$(find "$root/usr" "$root/etc" -type f -printf '%s\n' | awk '{n += int(($1 + 1023) / 1024)} END {print n}')
	sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" packaging/deb/control.in >"$root/DEBIAN/control"
	chmod 644 "$root"/DEBIAN/{conffiles,md5sums,control}
	find "$root" -exec touch -h -d "@$epoch" {} +
	dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$root" "$out/netprobe-xdp_${version}_$arch.deb" >/dev/null
}

# archive packs what is needed without a package manager.
archive() {
	local arch=$1 program=$2 name=netprobe-xdp-$version-linux-$1
	local dir=$work/$name
	mkdir -p "$dir"
	cp -r configs docs LICENSE LICENSES README.md CHANGELOG.md SECURITY.md "$dir"
	cp -r "$work/manual" "$dir/manual"
	cp "$work/notices" "$dir/NOTICES"
	install -m 755 "$program" "$dir/netprobe-xdp"
	chmod -R u=rwX,go=rX "$dir"
	tar -C "$work" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=ustar -c "$name" | gzip -9n >"$out/$name.tar.gz"
}

# The manual is written by a program that runs here.
host=$(go env GOHOSTARCH)
build "$host" "$work/netprobe-xdp-$host"
scripts/manual.sh "$work/netprobe-xdp-$host" "$work/manual"

for arch in "${archs[@]}"; do
	[ "$arch" = "$host" ] || build "$arch" "$work/netprobe-xdp-$arch"
	notices "$arch" >"$work/notices"
	DESTDIR=$work/$arch PREFIX=/usr scripts/install.sh "$work/netprobe-xdp-$arch" "$work/manual"
	deb "$work/$arch" "$arch"
	archive "$arch" "$work/netprobe-xdp-$arch"
done
(cd "$out" && sha256sum ./*.deb ./*.tar.gz | sed 's|\./||' >SHA256SUMS && cat SHA256SUMS)
