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

/* One of locals, since finding it there costs more than the rest of the filter. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct usual_local);
	__uint(max_entries, 1);
} usual SEC(".maps");

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

/* A local_addr in two words. */
struct local_words {
	__u64 words[2];
};

/* What a received packet answers. */
struct reply {
	struct flow flow; /* of the probe */
	__u64 hash;       /* its flow_hash, of an echo or a TCP reply with a valid token */
	union {
		struct local_addr to;
		struct local_words to_words;
	};
	__u32 is_v6;
};

/* Not static, as flow_hash is not: verified once. */
__noinline int known_local(const struct local_words *to)
{
	struct local_words key;

	if (!to) /* never, but the kernel wants it asked */
		return 0;
	key = *to;
	return bpf_map_lookup_elem(&locals, &key) != NULL;
}

static __always_inline int has_local(const struct reply *r)
{
	const struct local_words *to = &r->to_words;
	__u32 only = 0;
	struct usual_local *u = bpf_map_lookup_elem(&usual, &only);

	if (u && u->set && u->words[0] == to->words[0] && u->words[1] == to->words[1])
		return 1;
	return known_local(to);
}

static __always_inline int has_port(__u32 set, __u16 be_port)
{
	__u16 port = bpf_ntohs(be_port);
	struct port_bits *bits = bpf_map_lookup_elem(&ports, &set);

	return bits && bits->words[port / 64] >> (port % 64) & 1;
}

#endif
