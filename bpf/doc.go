// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the C programs and what bpf2go makes of them: the objects
// are committed, so that building and running need no clang. `make bpf`, which is
// go generate, rebuilds them; a test of this package proves that they match their
// sources. Little-endian machines only.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel Steer steer.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel Clock clock.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
