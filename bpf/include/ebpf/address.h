/* SPDX-License-Identifier: MIT */
/*
 * IP addresses, as text.
 *
 * A __be32 is a number in JavaScript, and an IPv6 address bytes. Where a member, a global variable or a typedef is an address, say so, and it
 * is a string in records, keys, values and variables, to read and to write: "10.0.0.1", "2001:db8::1".
 *
 *     #include <ebpf/address.h>
 *
 *     struct connection {
 *             __be32 saddr EBPF_IPV4;
 *             struct in6_addr saddr6 EBPF_IPV6;
 *             __be32 dns[3] EBPF_IPV4;
 *     };
 *     const volatile __be32 only_address EBPF_IPV4;
 *
 *     typedef __be32 ipv4 EBPF_IPV4;
 *     struct { ... __type(key, ipv4); } peers SEC(".maps");
 *
 * The bytes are those of the network's order, whatever the type: 4 for EBPF_IPV4 (__be32, __u32, __u8[4]), 16 for EBPF_IPV6 (struct in6_addr,
 * __u8[16], __be32[4]), and arrays of such. Anything else is an error when the object's types are read. IPv6 is in the canonical form of
 * RFC 5952; any form is taken to write.
 */
#ifndef EBPF_ADDRESS_H
#define EBPF_ADDRESS_H

/* clang 14 and newer; in BTF a BTF_KIND_DECL_TAG, which libbpf takes out for kernels before 5.16. */
#define EBPF_IPV4 __attribute__((btf_decl_tag("ebpf:ipv4")))
#define EBPF_IPV6 __attribute__((btf_decl_tag("ebpf:ipv6")))

#endif
