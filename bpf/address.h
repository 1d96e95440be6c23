/* SPDX-License-Identifier: GPL-2.0 */
/* Addresses of sockets in 16 bytes, IPv4 ones mapped (::ffff:a.b.c.d). */
#ifndef DRAINMON_ADDRESS_H
#define DRAINMON_ADDRESS_H

static __always_inline bool is_ipv6(const struct sock_common *sk)
{
	return sk->skc_family == AF_INET6 && bpf_core_field_exists(sk->skc_v6_daddr);
}

static __always_inline void map_ipv4(__u8 *address, __be32 ipv4)
{
	address[10] = 0xff;
	address[11] = 0xff;
	__builtin_memcpy(address + 12, &ipv4, sizeof(ipv4));
}

/* Word by word: a plain load needs no permission to read kernel memory (lockdown). */
static __always_inline void copy_ipv6(__u8 *address, const struct in6_addr *ipv6)
{
	__be32 *words = (__be32 *)address;

	words[0] = ipv6->in6_u.u6_addr32[0];
	words[1] = ipv6->in6_u.u6_addr32[1];
	words[2] = ipv6->in6_u.u6_addr32[2];
	words[3] = ipv6->in6_u.u6_addr32[3];
}

/* Into 16 bytes of zeros. */
static __always_inline void copy_local(__u8 *address, const struct sock_common *sk)
{
	if (is_ipv6(sk))
		copy_ipv6(address, &sk->skc_v6_rcv_saddr);
	else
		map_ipv4(address, sk->skc_rcv_saddr);
}

/* Into 16 bytes of zeros. */
static __always_inline void copy_remote(__u8 *address, const struct sock_common *sk)
{
	if (is_ipv6(sk))
		copy_ipv6(address, &sk->skc_v6_daddr);
	else
		map_ipv4(address, sk->skc_daddr);
}

#endif
