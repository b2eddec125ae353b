#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
#
# The first process of a kernel that scripts/test-kernels.sh boots: loads the
# modules, runs the tests, says how they ended, and switches off.
export PATH=/bin:/sbin CI=true HOME=/tmp TMPDIR=/tmp
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /run/netns /var && ln -s /run /var/run
uname -sr
for m in /modules/*.ko; do
	insmod "$m" || echo "panic: module $m does not load"
done
ip link set lo up
result=0
# Steering is judged here too, but for what needs files or tools of the source tree.
/steer.test -test.v -test.run 'Test(Corpus|Truncations|Mutations|ShortQuotes|NoSocket|Attach.*|Taken.*|GoneWithProcess|ClockOffset|HandOver|SetFilter|CountersByQueue)$' -test.timeout 5m || result=1
/truth.test -test.v -test.run TestKernel -test.timeout 10m || result=1
echo "result: $result"
poweroff -f
