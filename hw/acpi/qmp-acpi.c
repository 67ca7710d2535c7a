/* SPDX-License-Identifier: GPL-2.0-or-later */
/* query-acpi-ospm-status. */
#include "util/osdep.h"

#include "hw/acpi/hotplug.h"
#include "qapi/commands-acpi.h"

QMP_REGISTER(acpi)

/* The machine's; it is there as long as the chip. */
static AcpiCpuHotplug *reported;

void acpi_report_cpus(AcpiCpuHotplug *hp)
{
    reported = hp;
}

bool qmp_query_acpi_ospm_status(ACPIOSTInfoArray **ret, GError **error)
{
    ACPIOSTInfoArray *list = g_new0(ACPIOSTInfoArray, 1);

    list->len = reported ? reported->count : 0;
    list->items = g_new0(ACPIOSTInfo *, list->len);
    for (size_t n = 0; n < list->len; n++) {
        ACPIOSTInfo *info = list->items[n] = g_new0(ACPIOSTInfo, 1);

        info->slot = g_strdup_printf("%zu", n);
        info->slot_type = ACPI_SLOT_TYPE_CPU;
        info->source = reported->cpus[n].ost_event;
        info->status = reported->cpus[n].ost_status;
    }
    *ret = list;
    return true;
}
