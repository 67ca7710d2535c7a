/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AML of asl/, headers included, as scripts/asl-to-c makes it. */
#ifndef HW_I386_AML_TABLES_H
#define HW_I386_AML_TABLES_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t aml_dsdt[], aml_dsdt_q35[], aml_ssdt_cpu[], aml_ssdt_cpu_q35[], aml_ssdt_vmgenid[];
extern const size_t aml_dsdt_len, aml_dsdt_q35_len, aml_ssdt_cpu_len, aml_ssdt_cpu_q35_len, aml_ssdt_vmgenid_len;

#endif
