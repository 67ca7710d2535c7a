/* SPDX-License-Identifier: GPL-2.0-or-later */
/* APIC ids as they follow from sockets, dies, cores and threads (SDM vol. 3 10.9, "Hierarchical Mapping of Shared Resources"). */
#include "util/osdep.h"
#include "target/i386/model.h"

/* Bits that numbers below n need. */
static unsigned width(unsigned n)
{
    return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

void x86_topology_shifts(unsigned dies, unsigned cores, unsigned threads, unsigned shifts[3])
{
    shifts[0] = width(threads);
    shifts[1] = shifts[0] + width(cores);
    shifts[2] = shifts[1] + width(dies);
}

uint32_t x86_topology_apic_id(unsigned dies, unsigned cores, unsigned threads, unsigned index)
{
    unsigned shifts[3];
    unsigned thread = index % threads, core = index / threads % cores,
             die = index / (threads * cores) % dies;

    x86_topology_shifts(dies, cores, threads, shifts);
    return (uint32_t)(index / (threads * cores * dies)) << shifts[2] | die << shifts[1] |
           core << shifts[0] | thread;
}
