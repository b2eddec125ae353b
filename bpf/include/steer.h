/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the XDP program and the Go side agree on: names and numbers here equal
 * those of internal/packet (verdict.go, identity.go) and internal/steer. A test of
 * internal/steer compares them.
 */
#ifndef NETPROBE_STEER_H
#define NETPROBE_STEER_H

#include <linux/types.h>

/* What is made of a frame: a reply of one kind, or a reason to pass. */
enum verdict {
	VERDICT_SYN_ACK = 1,
	VERDICT_RST_ACK,
	VERDICT_ECHO,
	VERDICT_ERROR,
	VERDICT_NOT_IP,
	VERDICT_MALFORMED,
	VERDICT_FRAGMENT,
	VERDICT_EXTENSIONS,
	VERDICT_NOT_REPLY,
	VERDICT_NOT_LOCAL,
	VERDICT_NOT_PORT,
	VERDICT_BARE_RESET,
	VERDICT_REDIRECT,
	VERDICT_BAD_TOKEN,
	VERDICT_BAD_QUOTE,
	VERDICT_NO_SOCKET,
	VERDICT_NO_METADATA,
};

/* Room for every verdict; a power of two, so that an index can be masked. */
#define VERDICT_SLOTS 32

/* What stands in front of a redirected packet. */
struct meta {
	__u64 rx_ns; /* bpf_ktime_get_ns() */
	__u32 magic;
	__u32 verdict;
	__u64 hash; /* flow_hash of the probe's flow; 0 for VERDICT_ERROR */
};

#define META_MAGIC 0x4e505831 /* "NPX1" */

/* Frames seen on one receive queue by one CPU, by verdict. */
struct queue_counters {
	__u64 frames[VERDICT_SLOTS];
};

/* The elements of the map ports. */
enum port_set {
	PORTS_LOCAL_TCP,
	PORTS_LOCAL_UDP,
	PORTS_REMOTE_TCP,
	PORT_SETS,
};

struct port_bits {
	__u64 words[65536 / 64];
};

/* A local address, IPv4 as ::ffff:a.b.c.d. */
struct local_addr {
	__u8 bytes[16];
};

/* The local address most replies come to, which is looked for first. */
struct usual_local {
	__u64 words[2]; /* a local_addr */
	__u64 set;
};

/* Rules of identity. */
#define SEQ_WINDOW (1 << 20)
#define SEQ_SLACK (1 << 16)
#define UDP_NUMBERS (1 << 12)
#define CHECKSUMS 0xfffe
#define MAX_EXTENSIONS 6
#define MAX_TAGS 2

#endif
