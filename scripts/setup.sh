#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that `make test`, `make lint` and `make bpf`
# need and that are missing; says what and why. Building and running the
# program, and the demo, need none of them. "setup.sh bench" installs what
# `make bench` compares with instead, "setup.sh kernels" what `make test-kernels`
# needs, "setup.sh packages" what `make test-packages` needs.
set -euo pipefail

# package: why
packages=(
	"ca-certificates: Go fetches modules over TLS"
	"gcc: the race detector needs cgo"
	"libc6-dev: the race detector needs cgo"
	"clang-14: rebuilds the BPF objects, to prove that the committed ones match"
	"llvm-14: strips the rebuilt BPF objects"
	"libbpf-dev: headers of the BPF programs"
	"linux-libc-dev: headers of the BPF programs"
	"iproute2: a second opinion on links and routes"
	"iputils-ping: a second opinion on the test networks"
	"ethtool: switches checksum offload in tests"
	"nftables: a second opinion on what was dropped"
	"libcap2-bin: gives a copy of the program file capabilities"
	"tcpdump: a second opinion on what was on the wire"
	"dnsmasq-base: answers our questions for names"
	"tshark: judges our packets"
	"prometheus: scrapes our metrics, and promtool judges them"
	"victoria-metrics: scrapes our metrics"
	"curl: asks the HTTP server"
	"chromium: opens the page"
	"systemd: judges the units"
	"systemd-container: runs a unit under a systemd of its own"
	"shellcheck: judges the scripts"
	"python3: runs dynamic inventories of netprobify in tests"
)
daemons=(prometheus victoria-metrics)
if [ "${1:-}" = bench ]; then
	packages=(
		"fping: compared with"
		"iputils-ping: compared with"
		"masscan: compared with"
		"zmap: compared with"
	)
	daemons=()
elif [ "${1:-}" = kernels ]; then
	packages=(
		"qemu-system-x86: boots the kernels"
		"qemu-system-arm: boots those of arm64"
		"cpio: packs the first file system"
		"kmod: finds which modules need which"
		"xz-utils: unpacks the modules"
	)
	daemons=()
elif [ "${1:-}" = packages ]; then
	packages=(
		"mmdebstrap: makes the root that the package is installed in"
		"systemd-container: runs it under a systemd of its own"
		"lintian: judges the package"
		"qemu-user-static: runs the program for arm64"
	)
	daemons=()
fi

policy=/usr/sbin/policy-rc.d
kept=/usr/sbin/policy-rc.d.netprobe-xdp-kept

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# restore_policy puts back what forbid_daemons replaced; a run that was killed
# is mended by the next.
restore_policy() {
	if [ -e "$kept" ]; then
		mv -f "$kept" "$policy"
	elif grep -qs netprobe-xdp "$policy"; then
		rm -f "$policy"
	fi
}

# forbid_daemons keeps packages from starting their daemons: dpkg's scripts ask
# policy-rc.d, and 101 means "action forbidden".
forbid_daemons() {
	if [ -e "$policy" ]; then
		mv "$policy" "$kept"
	fi
	printf '#!/bin/sh\n# netprobe-xdp scripts/setup.sh: no daemon starts while it installs\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "setup: this is no Debian; install the like of these yourself:"
	printf '  %s\n' "${packages[@]}"
	exit 0
fi

missing=()
for line in "${packages[@]}"; do
	if ! installed "${line%%:*}"; then
		missing+=("${line%%:*}")
		echo "setup: missing ${line}"
	fi
done
if [ ${#missing[@]} -eq 0 ]; then
	echo "setup: everything needed is installed"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "setup: installing packages needs root: run sudo scripts/setup.sh" >&2
	exit 77
fi

new_daemons=()
for name in "${daemons[@]}"; do
	installed "$name" || new_daemons+=("$name")
done

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)

restore_policy
trap restore_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "setup: installing ${missing[*]} with apt-get; no daemon is started"
"${apt[@]}" update || echo "setup: apt-get update reported errors; trying with the lists there are" >&2
forbid_daemons
if command -v debconf-set-selections >/dev/null; then
	echo "wireshark-common wireshark-common/install-setuid boolean false" | debconf-set-selections
fi
"${apt[@]}" install -y --no-install-recommends "${missing[@]}"

# The tests start their own; the packages' units shall not start at boot either.
if [ ${#new_daemons[@]} -gt 0 ] && command -v systemctl >/dev/null; then
	systemctl disable --quiet "${new_daemons[@]}" 2>/dev/null || true
	echo "setup: disabled at boot: ${new_daemons[*]}"
fi
echo "setup: done"
