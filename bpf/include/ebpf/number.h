/* SPDX-License-Identifier: MIT */
/*
 * 64-bit integers that are small, as numbers.
 *
 * A __u64 is a bigint in JavaScript, since a number holds only 53 bits of it. Where a value never gets there (bytes, packets, a time that
 * is measured from a start), say so on the member, the global variable or the typedef, and it is a number in records, maps and variables:
 *
 *     #include <ebpf/number.h>
 *
 *     struct flow {
 *             __u64 cookie;
 *             __u64 bytes EBPF_NUMBER;
 *     };
 *     __u64 packets EBPF_NUMBER;
 *
 *     typedef __u64 count EBPF_NUMBER;
 *     struct { ... __type(value, count); } counts SEC(".maps");
 *
 * A value that is past 2^53 all the same is an error when it is read, and never rounded. So a member of a union cannot be one, whose bytes may be
 * another member's: that is an error when the skeleton is made, or the type is first used without one. A struct within a union may have one; it is
 * read well where the struct is told by its tag (a ring with several records), and else an error where another member is there.
 */
#ifndef EBPF_NUMBER_H
#define EBPF_NUMBER_H

/* clang 14 and newer; in BTF a BTF_KIND_DECL_TAG, which libbpf takes out for kernels before 5.16. */
#define EBPF_NUMBER __attribute__((btf_decl_tag("ebpf:number")))

#endif
