/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the judges of a received packet share: the filter, and how far they have read. */
#ifndef NETPROBE_REPLY_H
#define NETPROBE_REPLY_H

#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "identity.h"
#include "steer.h"

/* The fragment offset, in an IPv4 header. */
#define IP_OFFSET 0x1fff

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct port_bits);
	__uint(max_entries, PORT_SETS);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct local_addr);
	__type(value, __u8);
	__uint(max_entries, 1 << 17);
} locals SEC(".maps");

/* Walks through the headers of an IP packet. */
struct cursor {
	void *at;   /* what comes next in the frame */
	void *end;  /* where the frame ends */
	__u32 left; /* what is left of the packet by its own length field */
};

/*
 * Steps over n bytes and returns where they begin, or NULL where the frame or
 * the packet ends before. n must have a small bound that the kernel's verifier knows.
 */
static __always_inline void *pull(struct cursor *c, __u32 n)
{
	void *p = c->at;

	if (c->left < n || p + n > c->end)
		return NULL;
	c->at = p + n;
	c->left -= n;
	return p;
}

/* What a received packet answers. */
struct reply {
	struct flow flow; /* of the probe */
	struct local_addr to;
	__u32 is_v6;
};

static __always_inline int has_local(const struct reply *r)
{
	return bpf_map_lookup_elem(&locals, &r->to) != NULL;
}

static __always_inline int has_port(__u32 set, __u16 be_port)
{
	__u16 port = bpf_ntohs(be_port);
	struct port_bits *bits = bpf_map_lookup_elem(&ports, &set);

	return bits && bits->words[port / 64] >> (port % 64) & 1;
}

#endif
