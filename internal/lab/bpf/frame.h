/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Checksums and headers of the answers that reflect.c sends. */
#ifndef NETPROBE_FRAME_H
#define NETPROBE_FRAME_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// What is known of a frame once its addresses are ours. The family is not in
// it: functions get it as the constant v6, so that each is compiled per family
// and the verifier knows the sizes.
struct frame {
	struct ethhdr eth;
	struct in6_addr src, dst; // IPv4 in the first four bytes
	__u32 ip_len;             // length of the IP packet, header included
	__u8 proto;
};

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

// sum_to_end adds up the 16-bit words from p to the end of the frame, at most
// max bytes; an odd last byte counts as if a zero followed.
static __always_inline __u64 sum_to_end(const void *p, const void *end, __u32 max)
{
	__u64 sum = 0;
	const __u8 *b = p;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < max; i += 2, b += 2) {
		if ((const void *)(b + 2) > end) {
			if ((const void *)(b + 1) <= end)
				sum += *b; // the low byte of a word in network order
			break;
		}
		sum += *(const __u16 *)b;
	}
	return sum;
}

static __always_inline __u64 sum_addrs(const struct frame *f, int v6)
{
	__u64 sum = 0;

	for (int i = 0; i < (v6 ? 4 : 1); i++) {
		sum += f->src.in6_u.u6_addr32[i];
		sum += f->dst.in6_u.u6_addr32[i];
	}
	return sum;
}

// write_headers writes the Ethernet and IP header of the answer to f, whose
// L4 part is len bytes. The frame must hold them.
static __always_inline void write_headers(void *data, const struct frame *f, int v6, __u8 proto, __u16 len)
{
	struct ethhdr *eth = data;

	__builtin_memcpy(eth->h_dest, f->eth.h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, f->eth.h_dest, ETH_ALEN);
	eth->h_proto = f->eth.h_proto;
	if (v6) {
		struct ipv6hdr *ip6 = data + sizeof(*eth);

		*(__be32 *)ip6 = bpf_htonl(6u << 28);
		ip6->payload_len = bpf_htons(len);
		ip6->nexthdr = proto;
		ip6->hop_limit = 64;
		ip6->saddr = f->dst;
		ip6->daddr = f->src;
	} else {
		struct iphdr *ip = data + sizeof(*eth);
		__u64 sum = 0;

		__builtin_memset(ip, 0, sizeof(*ip));
		ip->version = 4;
		ip->ihl = 5;
		ip->tot_len = bpf_htons(sizeof(*ip) + len);
		ip->frag_off = bpf_htons(0x4000); // don't fragment
		ip->ttl = 64;
		ip->protocol = proto;
		ip->saddr = f->dst.in6_u.u6_addr32[0];
		ip->daddr = f->src.in6_u.u6_addr32[0];
		for (int i = 0; i < 10; i++)
			sum += ((__u16 *)ip)[i];
		ip->check = fold(sum);
	}
}

#endif
