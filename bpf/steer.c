// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/*
 * Hands the replies to our own probes to the AF_XDP socket of their queue, with
 * the time they came in, and leaves everything else to the host, untouched. The
 * rules are those of internal/packet's Verifier, in the same order, so that the two
 * always agree; internal/steer tests that they do.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "include/icmp.h"
#include "include/quote.h"
#include "include/reply.h"

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

/* Bits of the fourteenth byte of a TCP header. */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20

/* The hash of a reply's flow: of IPv4 on the spot, since most are. */
static __always_inline __u64 reply_hash(const struct reply *r)
{
	return r->is_v6 ? flow_hash(&r->flow, 1) : hash_of(&r->flow, 0);
}

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
	r->hash = reply_hash(r);
	if (!reply_offset_ok(r->hash, bpf_ntohl(h->ack_seq)))
		return VERDICT_BAD_TOKEN;
	return flags & TCP_SYN ? VERDICT_SYN_ACK : VERDICT_RST_ACK;
}

static __always_inline enum verdict judge_echo(struct cursor *c, struct reply *r, const struct icmp *h)
{
	__u64 expected;
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
	r->hash = reply_hash(r);
	expected = r->is_v6 ? token(r->hash, bpf_ntohs(h->sequence)) : token_of(r->hash, bpf_ntohs(h->sequence));
	if (!echo_token_ok(expected, t))
		return VERDICT_BAD_TOKEN;
	return VERDICT_ECHO;
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

static __always_inline enum verdict judge(struct xdp_md *ctx, struct reply *r)
{
	struct cursor c = { .at = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
	struct ethhdr *eth = c.at;
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
		return judge_ipv4(&c, r);
	if (type == bpf_htons(ETH_P_IPV6))
		return judge_ipv6(&c, r);
	return VERDICT_NOT_IP;
}

/*
 * Puts the metadata in front of the frame. Only for a frame that will be
 * redirected: moving the data before XDP_PASS disables GRO for the host's own
 * traffic.
 */
static __always_inline int put_meta(struct xdp_md *ctx, enum verdict v, __u64 hash)
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
	m->hash = hash;
	return 1;
}

SEC("xdp.frags")
int steer(struct xdp_md *ctx)
{
	struct reply r = {};
	enum verdict v = judge(ctx, &r);
	__u32 queue = ctx->rx_queue_index;
	struct queue_counters *count = bpf_map_lookup_elem(&queues, &queue);
	int action = XDP_PASS;

	if (v <= VERDICT_ERROR) {
		/* Says XDP_PASS where the queue has no socket, and counts only if returned. */
		int redirect = bpf_redirect_map(&xsks, queue, XDP_PASS);

		if (redirect != XDP_REDIRECT)
			v = VERDICT_NO_SOCKET;
		else if (!put_meta(ctx, v, r.hash))
			v = VERDICT_NO_METADATA;
		else
			action = redirect;
	}
	if (count)
		count->frames[v & (VERDICT_SLOTS - 1)]++;
	return action;
}
