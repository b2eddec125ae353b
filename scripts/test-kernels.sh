#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests that need another kernel or another processor: boots Debian's
# 6.1 and 6.12 under qemu, in software, with the compiled tests in an initial
# file system. Needs Debian 12, for its packages; they are kept in build/kernels.
# The serial console of each kernel is kept there too.
#
#   scripts/test-kernels.sh [VERSION[-ARCH]...]
#
# such as 6.1 or 6.12-arm64; default: 6.1 and 6.12, of amd64.
set -euo pipefail
cd "$(dirname "$0")/.."
versions=("$@")
[ ${#versions[@]} -gt 0 ] || versions=(6.1 6.12)
work=$PWD/build/kernels
mkdir -p "$work"


# need fails without a program.
need() {
	command -v "$1" >/dev/null || { echo "test-kernels: $1 is missing: run scripts/setup.sh kernels" >&2; exit 1; }
}
for tool in cpio xz apt-get dpkg-deb; do need "$tool"; done

# What the tests load, in this order; what these need comes before them.
modules="veth virtio_pci virtio_net e1000e sch_netem 8021q bonding"

# compile builds the tests for an architecture.
compile() {
	CGO_ENABLED=0 GOARCH=$1 go test -c -tags kernels -o "$work/truth-$1.test" ./internal/truth
	CGO_ENABLED=0 GOARCH=$1 go test -c -o "$work/steer-$1.test" ./internal/steer
}

# lists makes apt answer for an architecture, from lists of its own: this
# machine's settings stay as they are.
lists() {
	apt=(-o "APT::Architecture=$1" -o "APT::Architectures=$1" -o "Dir::State::lists=$work/apt-$1/lists" -o "Dir::Cache=$work/apt-$1/cache")
	mkdir -p "$work/apt-$1/lists/partial" "$work/apt-$1/cache/archives/partial"
	apt-get -qq "${apt[@]}" update >&2
}

# package prints the newest package of a kernel's version: the signed one where
# there are both.
package() {
	apt-cache "${apt[@]}" pkgnames "linux-image-$1." | grep -E -- "^linux-image-[0-9.]+(-[0-9]+|\+deb12)-$2(-unsigned)?$" |
		sort -V | awk '{v = $0; sub(/-unsigned$/, "", v); if (v != last) {best = $0; last = v}} END {print best}'
}

# fetch unpacks a package into a directory.
fetch() {
	local name=$1 into=$2
	[ ! -e "$into/done" ] || return 0
	rm -rf "$into" && mkdir -p "$into"
	(cd "$into" && apt-get -q "${apt[@]}" download "$name" >&2 && dpkg-deb -x ./*.deb . && rm ./*.deb)
	touch "$into/done"
}

# closure prints the files of modules, each after those that it needs.
closure() {
	awk -v want="$2" '
		{ file = $1; sub(/:$/, "", file); name = file; sub(/.*\//, "", name); sub(/\.ko.*/, "", name); gsub(/-/, "_", name)
		  path[name] = file; $1 = ""; needs[file] = $0 }
		function visit(file,  n, list, i) {
			if (seen[file]++) return
			n = split(needs[file], list, " ")
			for (i = n; i > 0; i--) visit(list[i])
			print file
		}
		END { n = split(want, names, " "); for (i = 1; i <= n; i++) if (names[i] in path) visit(path[names[i]]) }
	' "$1/modules.dep"
}

# image builds the initial file system for the kernel unpacked in a directory.
image() {
	local kernel=$1 arch=$2 root=$1/root lib n=100
	lib=$(echo "$kernel"/lib/modules/*)
	[ -e "$lib/modules.dep" ] || /sbin/depmod -b "$kernel" "$(basename "$lib")"
	rm -rf "$root" && mkdir -p "$root"/{bin,dev,proc,sys,run,tmp,modules,etc}
	cp "$work/busybox-$arch/bin/busybox" "$root/bin/busybox"
	cp "$work/truth-$arch.test" "$root/truth.test"
	cp "$work/steer-$arch.test" "$root/steer.test"
	cp scripts/kernels-init.sh "$root/init"
	chmod 755 "$root/init"
	for file in $(closure "$lib" "$modules"); do
		case $file in
		*.xz) xz -dc "$lib/$file" >"$root/modules/$n.ko" ;;
		*) cp "$lib/$file" "$root/modules/$n.ko" ;;
		esac
		n=$((n + 1))
	done
	(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$kernel/initrd"
}

# pair prints the options for two network cards that are wired to each other.
pair() {
	local hub=$1 model=$2 end
	for end in 1 2; do
		echo "-netdev hubport,id=h$hub$end,hubid=$hub -device $model,netdev=h$hub$end,mac=52:54:00:00:0$hub:0$end"
	done
}

failed=0
for wanted in "${versions[@]}"; do
	version=${wanted%%-*} arch=amd64
	[ "$version" = "$wanted" ] || arch=${wanted#*-}
	case $arch in
	amd64) machine=(qemu-system-x86_64 -cpu "max,la57=off") console=ttyS0 ;;
	# An arm64 processor's pointer signatures cost much to compute and say nothing here.
	arm64) machine=(qemu-system-aarch64 -machine virt -cpu "max,pauth-impdef=on") console=ttyAMA0 ;;
	*) echo "test-kernels: $wanted: the architecture is amd64 or arm64" >&2; exit 64 ;;
	esac
	need "${machine[0]}"
	lists "$arch"
	name=$(package "$version" "$arch")
	[ -n "$name" ] || { echo "test-kernels: no package for Linux $wanted" >&2; exit 1; }
	kernel=$work/$version-$arch
	compile "$arch"
	fetch busybox-static "$work/busybox-$arch"
	fetch "$name" "$kernel"
	image "$kernel" "$arch"
	echo "== Linux $version, $arch ($name)"
	# shellcheck disable=SC2046 # the options are words
	timeout 1800 "${machine[@]}" -accel tcg,thread=multi -smp 2 -m 1536 -nographic -no-reboot \
		-kernel "$kernel"/boot/vmlinuz-* -initrd "$kernel/initrd" -append "console=$console panic=-1 quiet loglevel=1" \
		-nic none $(pair 1 "virtio-net-pci,guest_tso4=off,guest_tso6=off,guest_ufo=off,guest_ecn=off") $(pair 2 e1000e) \
		</dev/null 2>&1 | tr -d '\r' | tee "$work/$version-$arch.log" | grep -aE '^(--- |    --- (PASS|FAIL): TestKernel|    [a-z_]+_test.go|Linux|panic)' || true
	grep -q '^result: 0$' "$work/$version-$arch.log" || { echo "test-kernels: failed on Linux $wanted: see build/kernels/$version-$arch.log" >&2; failed=1; }
done
exit $failed
