/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rules that tie a packet to a probe: docs/design.md, "A probe's identity". */
#ifndef NETPROBE_IDENTITY_H
#define NETPROBE_IDENTITY_H

#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include "siphash.h"
#include "steer.h"

/* The secret of this run. Set by the loader. */
volatile const __u64 secret0;
volatile const __u64 secret1;

/*
 * A probe's path, as it is hashed: all in network byte order, as it stands in
 * packets.
 */
struct flow {
	union {
		struct {
			__u32 local, remote;
		} v4;
		struct {
			__u64 local[2], remote[2];
		} v6;
		__u64 words[4];
	};
	__u16 local_port;
	__u16 remote_port;
	__u32 proto; /* IPPROTO_ICMP for ICMPv6 too */
};

/* Secret.Hash. */
static __always_inline __u64 hash_of(const struct flow *f, __u32 is_v6)
{
	__u64 last = (__u64)f->local_port | (__u64)f->remote_port << 16 | (__u64)f->proto << 32;
	struct sip s;

	sip_init(&s, secret0, secret1);
	sip_word(&s, f->words[0]);
	if (!is_v6) {
		sip_word(&s, last);
		return sip_end(&s, 16ULL << 56);
	}
	sip_word(&s, f->words[1]);
	sip_word(&s, f->words[2]);
	sip_word(&s, f->words[3]);
	sip_word(&s, last);
	return sip_end(&s, 40ULL << 56);
}

/* token of internal/packet. */
static __always_inline __u64 token_of(__u64 h, __u32 n)
{
	struct sip s;

	sip_init(&s, h, h);
	return sip_end(&s, 4ULL << 56 | n);
}

/*
 * The same two for the ways that few frames take. Not static: the kernel verifies a
 * global function once, and a static one again for each way that leads to it. A call
 * costs more than it looks, since a kernel may guard every return.
 */
__noinline __u64 flow_hash(const struct flow *f, __u32 is_v6)
{
	return f ? hash_of(f, is_v6) : 0; /* never 0, but the kernel wants it asked */
}

__noinline __u64 token(__u64 h, __u32 n)
{
	return token_of(h, n);
}

static __always_inline int reply_offset_ok(__u64 h, __u32 ack)
{
	return ack - 1 - (__u32)h < SEQ_WINDOW + SEQ_SLACK;
}

static __always_inline int quoted_offset_ok(__u64 h, __u32 seq)
{
	return seq - (__u32)h < SEQ_WINDOW;
}

/* An echo's token t: the first six bytes of its payload. */
static __always_inline int echo_token_ok(__u64 t, const __u8 *payload)
{
	return bpf_ntohl(*(const __u32 *)payload) == t >> 32 &&
	       bpf_ntohs(*(const __u16 *)(payload + 4)) == (__u16)(t >> 16);
}

static __always_inline int echo_checksum_ok(__u64 h, __u16 checksum)
{
	return checksum == 1 + (__u16)(h >> 16) % CHECKSUMS;
}

/* A UDP probe's number and token: the first six bytes of its payload. */
static __always_inline int udp_token_ok(__u64 h, const __u8 *payload)
{
	__u16 n = bpf_ntohs(*(const __u16 *)payload);

	return n < UDP_NUMBERS &&
	       bpf_ntohl(*(const __u32 *)(payload + 2)) == token(h, n) >> 32;
}

/* A UDP probe of which only the header is quoted, over IPv4. */
static __always_inline int udp_header_ok(__u64 h, __u16 id, __u16 checksum)
{
	__u16 by_id = id - (__u16)(h >> 16);
	__u32 by_checksum;

	if (by_id < UDP_NUMBERS)
		return 1;
	if (checksum == 0 || checksum == 0xffff)
		return 0;
	by_checksum = checksum + 2 * CHECKSUMS - 1 - (__u16)(h >> 32);
	return by_checksum % CHECKSUMS < UDP_NUMBERS;
}

#endif
