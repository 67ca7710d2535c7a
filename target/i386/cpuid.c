/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID of a processor whose model says nothing more: what the accelerator supports. */
#include "util/osdep.h"

#include "target/i386/cpuid.h"

static uint32_t (*supported)(uint32_t leaf, uint32_t subleaf, unsigned reg);

void x86_cpuid_set_supported(uint32_t (*func)(uint32_t leaf, uint32_t subleaf, unsigned reg))
{
    supported = func;
}

uint32_t x86_kvm_supported_cpuid(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    return supported ? supported(leaf, subleaf, reg) : 0;
}

void x86_cpu_cpuid(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    for (unsigned reg = 0; reg < 4; reg++) {
        out[reg] = x86_kvm_supported_cpuid(leaf, subleaf, reg);
    }
    if (leaf == 1) {
        out[X86_EBX] = (out[X86_EBX] & 0x00ffffff) | cpu->apic_id << 24;
    }
}

static const DeviceType qemu64_type = {
    .object = {
        .name = "qemu64-x86_64-cpu",
        .parent = &x86_cpu_type.object,
        .size = sizeof(X86Cpu),
    },
    .not_user_creatable = true,
};
DEVICE_REGISTER(qemu64_type)
