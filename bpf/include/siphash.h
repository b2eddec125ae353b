/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SipHash-2-4 over whole 64-bit words (Aumasson and Bernstein, 2012). */
#ifndef NETPROBE_SIPHASH_H
#define NETPROBE_SIPHASH_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

struct sip {
	__u64 v0, v1, v2, v3;
};

static __always_inline __u64 rotl(__u64 x, int n)
{
	return x << n | x >> (64 - n);
}

static __always_inline void sip_init(struct sip *s, __u64 k0, __u64 k1)
{
	s->v0 = k0 ^ 0x736f6d6570736575ULL;
	s->v1 = k1 ^ 0x646f72616e646f6dULL;
	s->v2 = k0 ^ 0x6c7967656e657261ULL;
	s->v3 = k1 ^ 0x7465646279746573ULL;
}

static __always_inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

/* Takes the next eight bytes of the message, little-endian. */
static __always_inline void sip_word(struct sip *s, __u64 m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

/*
 * Takes the last word, which holds the message's length in its top byte and
 * the bytes that did not fill a word, and returns the hash.
 */
static __always_inline __u64 sip_end(struct sip *s, __u64 m)
{
	sip_word(s, m);
	s->v2 ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif
