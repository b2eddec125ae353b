/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Judges the packet that an ICMP error quotes: it must be a probe that left
 * from the address the error came to. Its extension headers are not looked
 * through, since our probes have none; IPv4 options are, in case a router added some.
 */
#ifndef NETPROBE_QUOTE_H
#define NETPROBE_QUOTE_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include "icmp.h"
#include "reply.h"

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
	return echo_token_ok(token(hash, bpf_ntohs(h->sequence)), t) ? VERDICT_ERROR : VERDICT_BAD_TOKEN;
}

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

#endif
