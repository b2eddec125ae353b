// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Answers probes to whole prefixes from XDP, without a Linux stack behind the
// addresses: echo requests by replies, SYNs by SYN-ACK or RST-ACK, UDP by port
// unreachable. An answer can be held back by a busy loop right before it
// leaves, so that the time added does not depend on any wake-up. Frames of
// other addresses, and ARP and neighbour discovery, go on to the host.

//go:build ignore

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "frame.h"
#include "icmp.h"

// The largest errors: 576 bytes (RFC 1812 section 4.3.2.3) and 1280 bytes
// (RFC 4443 section 2.4 c), IP header included.
#define QUOTE4_MAX (576 - 20 - 8)
#define QUOTE6_MAX (1280 - 40 - 8)

// Codes of destination unreachable (RFC 792, RFC 4443 section 3.1).
#define PORT4_UNREACHABLE 3
#define PORT6_UNREACHABLE 4

#define FRAGMENT 0x3fff // more fragments, or an offset

// The kernel's own bound of bpf_loop; at 20 ns a turn it is 160 ms.
#define SPIN_MAX (1 << 23)

// The kinds of counters; the order is that of Go's ReflectorCounts.
enum count {
	RECEIVED,  // frames to one of the prefixes that went no further: the sum of the others
	ECHOED,    // answered by an echo reply
	SYN_ACKED, // answered by a SYN-ACK
	RST_ACKED, // answered by a RST-ACK
	UNREACHED, // answered by port unreachable
	DROPPED,   // would have been answered, dropped on purpose
	RESETS,    // RSTs, which have no answer
	IGNORED,   // anything else without an answer
	FAILED,    // an answer that could not be built
	COUNTS,
};

struct settings {
	__u64 hold_ns;    // busy time before an answer leaves
	__u32 drop_every; // one in this many is dropped, by chance; 0: none
	__u32 quote;      // bytes behind the quoted IP header; 0: all that fit
};

struct key4 {
	__u32 bits;
	__u8 addr[4];
};

struct key6 {
	__u32 bits;
	__u8 addr[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct key4);
	__type(value, __u8);
} prefixes4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct key6);
	__type(value, __u8);
} prefixes6 SEC(".maps");

// TCP ports that answer RST-ACK; the others are open.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u16); // network byte order
	__type(value, __u8);
} closed_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void add(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&counters, &which);

	if (n)
		(*n)++;
}

static long spin(__u32 i, void *ctx)
{
	(void)i;
	return bpf_ktime_get_ns() >= *(__u64 *)ctx;
}

// send counts the answer, holds it and sends it back.
static __always_inline int send(const struct settings *set, __u32 which)
{
	__u64 until;

	add(RECEIVED);
	add(which);
	if (set->hold_ns) {
		until = bpf_ktime_get_ns() + set->hold_ns;
		bpf_loop(SPIN_MAX, spin, &until, 0);
	}
	return XDP_TX;
}

static __always_inline int finish(__u32 which)
{
	add(RECEIVED);
	add(which);
	return XDP_DROP;
}

// dropped says whether this answer is one that is dropped on purpose.
static __always_inline int dropped(const struct settings *set)
{
	return set->drop_every && bpf_get_prandom_u32() % set->drop_every == 0;
}

// An echo reply is the request with another type and the addresses swapped.
static __always_inline int answer_echo(struct xdp_md *ctx, const struct frame *f, int v6,
				       const struct settings *set)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 ip_size = v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	struct icmp *icmp = data + sizeof(struct ethhdr) + ip_size;
	__u64 sum;

	if ((void *)(icmp + 1) > end)
		return finish(IGNORED);
	if (icmp->type != (v6 ? ICMP6_ECHO_REQUEST : ICMP4_ECHO_REQUEST) || icmp->code != 0) {
		if (!v6)
			return finish(IGNORED);
		return XDP_PASS; // neighbour discovery is the host's
	}
	if (dropped(set))
		return finish(DROPPED);
	// RFC 1624: the sum changes by the type's difference, which is in the
	// high byte: 8 becomes 0, 128 becomes 129.
	sum = (__u16)~icmp->checksum;
	sum += v6 ? bpf_htons(0x0100) : (__u16)~bpf_htons(0x0800);
	icmp->type = v6 ? ICMP6_ECHO_REPLY : ICMP4_ECHO_REPLY;
	icmp->checksum = fold(sum);
	if (v6)
		write_headers(data, f, v6, IPPROTO_ICMPV6, f->ip_len - sizeof(struct ipv6hdr));
	else
		write_headers(data, f, v6, IPPROTO_ICMP, f->ip_len - sizeof(struct iphdr));
	return send(set, ECHOED);
}

static __always_inline int answer_tcp(struct xdp_md *ctx, const struct frame *f, int v6,
				       const struct settings *set)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 ip_size = v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	struct tcphdr *tcp = data + sizeof(struct ethhdr) + ip_size;
	__u32 seq, ack, how, header, frame_len;
	__u16 sport, dport;
	__u64 sum;

	if ((void *)(tcp + 1) > end)
		return finish(IGNORED);
	if (tcp->rst)
		return finish(RESETS);
	header = tcp->doff * 4;
	if (!tcp->syn || tcp->ack || tcp->fin || header < sizeof(*tcp) || ip_size + header > f->ip_len)
		return finish(IGNORED);
	if (dropped(set))
		return finish(DROPPED);

	sport = tcp->source;
	dport = tcp->dest;
	ack = bpf_ntohl(tcp->seq) + 1;
	if (bpf_map_lookup_elem(&closed_ports, &dport)) {
		// A closed port acknowledges the payload as well (RFC 9293
		// section 3.10.7.1); a listener leaves it.
		how = RST_ACKED;
		ack += f->ip_len - ip_size - header;
		seq = 0;
	} else {
		how = SYN_ACKED;
		seq = bpf_get_prandom_u32();
	}

	frame_len = sizeof(struct ethhdr) + ip_size + sizeof(*tcp);
	if (bpf_xdp_adjust_tail(ctx, (int)frame_len - (int)(end - data)))
		return finish(FAILED);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	tcp = data + sizeof(struct ethhdr) + ip_size;
	if ((void *)(tcp + 1) > end)
		return finish(FAILED);
	write_headers(data, f, v6, IPPROTO_TCP, sizeof(*tcp));
	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->source = dport;
	tcp->dest = sport;
	tcp->seq = bpf_htonl(seq);
	tcp->ack_seq = bpf_htonl(ack);
	tcp->doff = sizeof(*tcp) / 4;
	tcp->ack = 1;
	if (how == RST_ACKED) {
		tcp->rst = 1;
	} else {
		tcp->syn = 1;
		tcp->window = bpf_htons(65535);
	}
	sum = sum_addrs(f, v6) + bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(*tcp));
	for (int i = 0; i < 10; i++)
		sum += ((__u16 *)tcp)[i];
	tcp->check = fold(sum);
	return send(set, how);
}

// A port-unreachable error quotes what arrived, IP header first, behind new
// headers in front of it.
static __always_inline int answer_udp(struct xdp_md *ctx, const struct frame *f, int v6,
				       const struct settings *set)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 ip_size = v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	__u32 grow = ip_size + sizeof(struct icmp);
	__u32 quote = f->ip_len;
	struct icmp *icmp;
	__u64 sum;

	if (data + sizeof(struct ethhdr) + ip_size + sizeof(struct udphdr) > end)
		return finish(IGNORED);
	if (dropped(set))
		return finish(DROPPED);

	if (quote > (v6 ? QUOTE6_MAX : QUOTE4_MAX))
		quote = v6 ? QUOTE6_MAX : QUOTE4_MAX;
	if (set->quote && quote > ip_size + set->quote)
		quote = ip_size + set->quote;
	if (bpf_xdp_adjust_tail(ctx, (int)(sizeof(struct ethhdr) + quote) - (int)(end - data)) ||
	    bpf_xdp_adjust_head(ctx, -(int)grow))
		return finish(FAILED);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	icmp = data + sizeof(struct ethhdr) + ip_size;
	if ((void *)(icmp + 1) > end)
		return finish(FAILED);
	__builtin_memset(icmp, 0, sizeof(*icmp));
	if (v6) {
		write_headers(data, f, v6, IPPROTO_ICMPV6, sizeof(*icmp) + quote);
		icmp->type = ICMP6_UNREACHABLE;
		icmp->code = PORT6_UNREACHABLE;
		sum = sum_addrs(f, v6) + bpf_htons(IPPROTO_ICMPV6) + bpf_htons(sizeof(*icmp) + quote);
		sum += sum_to_end(icmp, end, sizeof(*icmp) + QUOTE6_MAX);
	} else {
		write_headers(data, f, v6, IPPROTO_ICMP, sizeof(*icmp) + quote);
		icmp->type = ICMP4_UNREACHABLE;
		icmp->code = PORT4_UNREACHABLE;
		sum = sum_to_end(icmp, end, sizeof(*icmp) + QUOTE4_MAX);
	}
	icmp->checksum = fold(sum);
	return send(set, UNREACHED);
}

static __always_inline int answer(struct xdp_md *ctx, const struct frame *f, int v6,
				  const struct settings *set)
{
	if (f->proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return answer_echo(ctx, f, v6, set);
	if (f->proto == IPPROTO_TCP)
		return answer_tcp(ctx, f, v6, set);
	if (f->proto == IPPROTO_UDP)
		return answer_udp(ctx, f, v6, set);
	return finish(IGNORED);
}

// parse4 and parse6 fill f for a frame to one of the prefixes, and return 0.
// Otherwise they return what becomes of the frame.
static __always_inline int parse4(void *data, void *end, struct frame *f)
{
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct key4 key = { .bits = 32 };

	if ((void *)(ip + 1) > end || ip->version != 4)
		return XDP_PASS;
	__builtin_memcpy(key.addr, &ip->daddr, sizeof(key.addr));
	if (!bpf_map_lookup_elem(&prefixes4, &key))
		return XDP_PASS;
	f->ip_len = bpf_ntohs(ip->tot_len);
	if (ip->ihl != 5 || ip->frag_off & bpf_htons(FRAGMENT) || f->ip_len < sizeof(*ip) ||
	    data + sizeof(struct ethhdr) + f->ip_len > end)
		return finish(IGNORED);
	f->src.in6_u.u6_addr32[0] = ip->saddr;
	f->dst.in6_u.u6_addr32[0] = ip->daddr;
	f->proto = ip->protocol;
	return 0;
}

static __always_inline int parse6(void *data, void *end, struct frame *f)
{
	struct ipv6hdr *ip6 = data + sizeof(struct ethhdr);
	struct key6 key = { .bits = 128 };

	if ((void *)(ip6 + 1) > end || ip6->version != 6)
		return XDP_PASS;
	__builtin_memcpy(key.addr, &ip6->daddr, sizeof(key.addr));
	if (!bpf_map_lookup_elem(&prefixes6, &key))
		return XDP_PASS;
	f->ip_len = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
	if (data + sizeof(struct ethhdr) + f->ip_len > end)
		return finish(IGNORED);
	f->src = ip6->saddr;
	f->dst = ip6->daddr;
	f->proto = ip6->nexthdr;
	return 0;
}

SEC("xdp")
int reflect(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct frame f = {};
	struct settings *set;
	__u32 zero = 0;
	int verdict;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	f.eth = *eth;
	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set)
		return XDP_ABORTED;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		verdict = parse4(data, end, &f);
		return verdict ? verdict : answer(ctx, &f, 0, set);
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		verdict = parse6(data, end, &f);
		return verdict ? verdict : answer(ctx, &f, 1, set);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
