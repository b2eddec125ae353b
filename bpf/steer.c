// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/*
 * Hands the replies to our own probes to the AF_XDP socket of their queue, with
 * the time they came in, and leaves everything else to the host, untouched. The
 * rules are those of internal/packet's Verifier, in the same order, so that the two
 * always agree; internal/steer tests that they do.
 */
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "include/icmp.h"
#include "include/identity.h"
#include "include/steer.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The loader sets max_entries of xsks and queues to the number of queues. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct queue_counters);
	__uint(max_entries, 1);
} queues SEC(".maps");

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

/* Bits of the fourteenth byte of a TCP header. */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20

static __always_inline enum verdict judge_tcp(struct cursor *c, struct reply *r)
{
	struct tcphdr *h = pull(c, sizeof(*h));
	__u8 flags;

	if (!h)
		return VERDICT_MALFORMED;
	/* Not ECE, CWR and PSH. */
	flags = ((__u8 *)h)[13] & (TCP_URG | TCP_ACK | TCP_RST | TCP_SYN | TCP_FIN);
	if (flags != (TCP_SYN | TCP_ACK) && flags != (TCP_RST | TCP_ACK) && flags != TCP_RST)
		return VERDICT_NOT_REPLY;
	if (!has_local(r))
		return VERDICT_NOT_LOCAL;
	r->flow.proto = IPPROTO_TCP;
	r->flow.local_port = h->dest;
	r->flow.remote_port = h->source;
	if (!has_port(PORTS_LOCAL_TCP, h->dest) || !has_port(PORTS_REMOTE_TCP, h->source))
		return VERDICT_NOT_PORT;
	if (flags == TCP_RST)
		return VERDICT_BARE_RESET;
	if (!reply_offset_ok(flow_hash(&r->flow, r->is_v6), bpf_ntohl(h->ack_seq)))
		return VERDICT_BAD_TOKEN;
	return flags & TCP_SYN ? VERDICT_SYN_ACK : VERDICT_RST_ACK;
}

static __always_inline enum verdict judge_echo(struct cursor *c, struct reply *r, const struct icmp *h)
{
	__u8 *t;

	if (!has_local(r))
		return VERDICT_NOT_LOCAL;
	if (c->left < 6)
		return VERDICT_BAD_TOKEN; /* the host's own ping may carry less */
	t = pull(c, 6);
	if (!t)
		return VERDICT_MALFORMED;
	r->flow.proto = IPPROTO_ICMP;
	r->flow.local_port = h->id;
	r->flow.remote_port = 0;
	if (!echo_token_ok(flow_hash(&r->flow, r->is_v6), bpf_ntohs(h->sequence), t))
		return VERDICT_BAD_TOKEN;
	return VERDICT_ECHO;
}

/* The three judges of a quoted probe get the first eight bytes behind its IP header. */

static __always_inline enum verdict judge_quoted_tcp(struct reply *r, const void *h)
{
	const __u16 *port = h;
	const __u32 *seq = h + 4;

	r->flow.proto = IPPROTO_TCP;
	r->flow.local_port = port[0];
	r->flow.remote_port = port[1];
	if (!has_port(PORTS_LOCAL_TCP, port[0]) || !has_port(PORTS_REMOTE_TCP, port[1]))
		return VERDICT_NOT_PORT;
	if (!quoted_offset_ok(flow_hash(&r->flow, r->is_v6), bpf_ntohl(*seq)))
		return VERDICT_BAD_TOKEN;
	return VERDICT_ERROR;
}

static __always_inline enum verdict judge_quoted_udp(struct cursor *c, struct reply *r, const struct udphdr *h,
						     __u16 id)
{
	__u64 hash;
	__u8 *t;

	if (!has_port(PORTS_LOCAL_UDP, h->source))
		return VERDICT_NOT_PORT;
	r->flow.proto = IPPROTO_UDP;
	r->flow.local_port = h->source;
	r->flow.remote_port = h->dest;
	hash = flow_hash(&r->flow, r->is_v6);
	if (c->left < 6) {
		if (r->is_v6 || !udp_header_ok(hash, id, bpf_ntohs(h->check)))
			return VERDICT_BAD_TOKEN;
		return VERDICT_ERROR;
	}
	t = pull(c, 6);
	if (!t)
		return VERDICT_BAD_QUOTE;
	return udp_token_ok(hash, t) ? VERDICT_ERROR : VERDICT_BAD_TOKEN;
}

static __always_inline enum verdict judge_quoted_echo(struct cursor *c, struct reply *r, const struct icmp *h)
{
	__u64 hash;
	__u8 *t;

	r->flow.proto = IPPROTO_ICMP;
	r->flow.local_port = h->id;
	r->flow.remote_port = 0;
	hash = flow_hash(&r->flow, r->is_v6);
	if (c->left < 6)
		return echo_checksum_ok(hash, bpf_ntohs(h->checksum)) ? VERDICT_ERROR : VERDICT_BAD_TOKEN;
	t = pull(c, 6);
	if (!t)
		return VERDICT_BAD_QUOTE;
	return echo_token_ok(hash, bpf_ntohs(h->sequence), t) ? VERDICT_ERROR : VERDICT_BAD_TOKEN;
}

#define IP_OFFSET 0x1fff

static __always_inline enum verdict judge_quote4(struct cursor *c, struct reply *r)
{
	struct iphdr *ip = pull(c, sizeof(*ip));
	struct icmp *h;

	if (!ip || ip->version != 4 || ip->ihl < 5 || ip->frag_off & bpf_htons(IP_OFFSET))
		return VERDICT_BAD_QUOTE;
	if (!pull(c, ip->ihl * 4 - sizeof(*ip)) || ip->saddr != r->flow.v4.local)
		return VERDICT_BAD_QUOTE;
	r->flow.v4.remote = ip->daddr;
	h = pull(c, 8);
	if (!h)
		return VERDICT_BAD_QUOTE;
	if (ip->protocol == IPPROTO_TCP)
		return judge_quoted_tcp(r, h);
	if (ip->protocol == IPPROTO_UDP)
		return judge_quoted_udp(c, r, (void *)h, bpf_ntohs(ip->id));
	if (ip->protocol == IPPROTO_ICMP && h->type == ICMP4_ECHO_REQUEST)
		return judge_quoted_echo(c, r, h);
	return VERDICT_BAD_QUOTE;
}

static __always_inline enum verdict judge_quote6(struct cursor *c, struct reply *r)
{
	struct ipv6hdr *ip = pull(c, sizeof(*ip));
	struct icmp *h;
	__u64 src[2];

	if (!ip || ip->version != 6)
		return VERDICT_BAD_QUOTE;
	__builtin_memcpy(src, &ip->saddr, sizeof(src));
	if (src[0] != r->flow.v6.local[0] || src[1] != r->flow.v6.local[1])
		return VERDICT_BAD_QUOTE;
	__builtin_memcpy(r->flow.v6.remote, &ip->daddr, sizeof(r->flow.v6.remote));
	h = pull(c, 8);
	if (!h)
		return VERDICT_BAD_QUOTE;
	if (ip->nexthdr == IPPROTO_TCP)
		return judge_quoted_tcp(r, h);
	if (ip->nexthdr == IPPROTO_UDP)
		return judge_quoted_udp(c, r, (void *)h, 0);
	if (ip->nexthdr == IPPROTO_ICMPV6 && h->type == ICMP6_ECHO_REQUEST)
		return judge_quoted_echo(c, r, h);
	return VERDICT_BAD_QUOTE;
}

static __always_inline enum verdict judge_icmp4(struct cursor *c, struct reply *r)
{
	struct icmp *h = pull(c, sizeof(*h));

	if (!h)
		return VERDICT_MALFORMED;
	switch (h->type) {
	case ICMP4_ECHO_REPLY:
		return judge_echo(c, r, h);
	case ICMP4_REDIRECT:
		return VERDICT_REDIRECT;
	case ICMP4_UNREACHABLE: /* not source quench: to be ignored (RFC 6633) */
	case ICMP4_TIME_EXCEEDED:
	case ICMP4_PARAMETER_PROBLEM:
		return has_local(r) ? judge_quote4(c, r) : VERDICT_NOT_LOCAL;
	}
	return VERDICT_NOT_REPLY;
}

static __always_inline enum verdict judge_icmp6(struct cursor *c, struct reply *r)
{
	struct icmp *h = pull(c, sizeof(*h));

	if (!h)
		return VERDICT_MALFORMED;
	switch (h->type) {
	case ICMP6_ECHO_REPLY:
		return judge_echo(c, r, h);
	case ICMP6_REDIRECT:
		return VERDICT_REDIRECT;
	case ICMP6_UNREACHABLE:
	case ICMP6_TOO_BIG:
	case ICMP6_TIME_EXCEEDED:
	case ICMP6_PARAMETER_PROBLEM:
		return has_local(r) ? judge_quote6(c, r) : VERDICT_NOT_LOCAL;
	}
	return VERDICT_NOT_REPLY;
}

static __always_inline enum verdict judge_ipv4(struct cursor *c, struct reply *r)
{
	struct iphdr *ip = c->at;
	__u32 header, total;

	if ((void *)(ip + 1) > c->end || ip->version != 4)
		return VERDICT_MALFORMED;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	c->left = total;
	if (header < sizeof(*ip) || !pull(c, header))
		return VERDICT_MALFORMED;
	if (ip->frag_off & bpf_htons(IP_OFFSET))
		return VERDICT_FRAGMENT;
	r->flow.v4.local = ip->daddr;
	r->flow.v4.remote = ip->saddr;
	r->to.bytes[10] = r->to.bytes[11] = 0xff;
	__builtin_memcpy(r->to.bytes + 12, &ip->daddr, 4);
	if (ip->protocol == IPPROTO_TCP)
		return judge_tcp(c, r);
	if (ip->protocol == IPPROTO_ICMP)
		return judge_icmp4(c, r);
	return VERDICT_NOT_REPLY;
}

static __always_inline enum verdict judge_ipv6(struct cursor *c, struct reply *r)
{
	struct ipv6hdr *ip = c->at;
	__u8 next;

	if ((void *)(ip + 1) > c->end || ip->version != 6)
		return VERDICT_MALFORMED;
	c->at = ip + 1;
	c->left = bpf_ntohs(ip->payload_len);
	r->is_v6 = 1;
	__builtin_memcpy(r->flow.v6.local, &ip->daddr, sizeof(r->flow.v6.local));
	__builtin_memcpy(r->flow.v6.remote, &ip->saddr, sizeof(r->flow.v6.remote));
	__builtin_memcpy(&r->to, &ip->daddr, sizeof(r->to));
	next = ip->nexthdr;
	for (int i = 0; i <= MAX_EXTENSIONS; i++) {
		__u8 *h;

		if (next == IPPROTO_TCP)
			return judge_tcp(c, r);
		if (next == IPPROTO_ICMPV6)
			return judge_icmp6(c, r);
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_FRAGMENT &&
		    next != IPPROTO_DSTOPTS)
			return VERDICT_NOT_REPLY;
		if (i == MAX_EXTENSIONS)
			break;
		h = pull(c, 8);
		if (!h)
			return VERDICT_MALFORMED;
		if (next == IPPROTO_FRAGMENT) {
			if (*(__u16 *)(h + 2) & bpf_htons(0xfff8))
				return VERDICT_FRAGMENT;
		} else if (!pull(c, h[1] * 8)) {
			return VERDICT_MALFORMED;
		}
		next = h[0];
	}
	return VERDICT_EXTENSIONS;
}

static __always_inline enum verdict judge(struct xdp_md *ctx)
{
	struct cursor c = { .at = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
	struct ethhdr *eth = c.at;
	struct reply r = {};
	__u16 type;

	if ((void *)(eth + 1) > c.end)
		return VERDICT_MALFORMED;
	type = eth->h_proto;
	c.at = eth + 1;
	for (int i = 0; i < MAX_TAGS; i++) {
		__u16 *tag = c.at;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 2) > c.end)
			return VERDICT_MALFORMED;
		type = tag[1];
		c.at = tag + 2;
	}
	if (type == bpf_htons(ETH_P_IP))
		return judge_ipv4(&c, &r);
	if (type == bpf_htons(ETH_P_IPV6))
		return judge_ipv6(&c, &r);
	return VERDICT_NOT_IP;
}

/*
 * Puts the metadata in front of the frame. Only for a frame that will be
 * redirected: moving the data before XDP_PASS disables GRO for the host's own
 * traffic.
 */
static __always_inline int put_meta(struct xdp_md *ctx, enum verdict v)
{
	__u64 now = bpf_ktime_get_ns();
	struct meta *m;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*m)))
		return 0;
	m = (void *)(long)ctx->data_meta;
	if ((void *)(m + 1) > (void *)(long)ctx->data)
		return 0;
	m->rx_ns = now;
	m->magic = META_MAGIC;
	m->verdict = v;
	return 1;
}

SEC("xdp.frags")
int steer(struct xdp_md *ctx)
{
	enum verdict v = judge(ctx);
	__u32 queue = ctx->rx_queue_index;
	struct queue_counters *count = bpf_map_lookup_elem(&queues, &queue);
	int action = XDP_PASS;

	if (v <= VERDICT_ERROR) {
		if (!bpf_map_lookup_elem(&xsks, &queue))
			v = VERDICT_NO_SOCKET;
		else if (!put_meta(ctx, v))
			v = VERDICT_NO_METADATA;
		else
			action = bpf_redirect_map(&xsks, queue, XDP_PASS);
	}
	if (count)
		count->frames[v & (VERDICT_SLOTS - 1)]++;
	return action;
}
