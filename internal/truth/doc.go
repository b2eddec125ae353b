// SPDX-License-Identifier: Apache-2.0

// Package truth holds end-to-end tests of the whole prober against parties we
// did not write: the Linux stack, nftables, tcpdump and tshark, and the far
// side's own counters. Each test builds a network of namespaces with
// internal/lab, runs internal/prober in it as `netprobe-xdp run` does, and
// compares what the prober reports with what the far side saw. There is no
// code in it but tests.
package truth
