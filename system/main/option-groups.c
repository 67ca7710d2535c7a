/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What query-command-line-options says of the options that are parsed here. Clients probe it. */
#include "util/osdep.h"

#include "monitor/monitor.h"

#define GROUP(ident, name, ...)                                                                 \
    static OptionGroup ident = { .option = (name),                                              \
                                 .params = (const OptionParam[]){ __VA_ARGS__, { NULL } } };    \
    OPTION_GROUP_REGISTER(ident)

/* The properties that every machine has; the type's own are in qom-list-properties. */
GROUP(machine_group, "machine",
      { "type", "string", "emulated machine" },
      { "accel", "string", "accelerator list" },
      { "append", "string", "Linux kernel command line" },
      { "dump-guest-core", "boolean", "Include guest memory in a core dump" },
      { "firmware", "string", "Firmware image" },
      { "initrd", "string", "Linux initial ramdisk file" },
      { "kernel", "string", "Linux kernel image file" },
      { "mem-merge", "boolean", "Enable/disable memory merge support" },
      { "memory-backend", "string", "Set RAM backend" },
      { "suppress-vmdesc", "boolean", "Set on to disable self-describing migration" },
      { "usb", "boolean", "Set on/off to enable/disable usb" })

GROUP(memory_group, "memory",
      { "size", "size" },
      { "slots", "number" },
      { "maxmem", "size" })

GROUP(smp_group, "smp-opts",
      { "cpus", "number" },
      { "sockets", "number" },
      { "dies", "number" },
      { "clusters", "number" },
      { "cores", "number" },
      { "threads", "number" },
      { "maxcpus", "number" })

GROUP(boot_group, "boot-opts",
      { "order", "string" },
      { "once", "string" },
      { "menu", "boolean" },
      { "splash", "string" },
      { "splash-time", "number" },
      { "reboot-timeout", "number" },
      { "strict", "boolean" })

GROUP(fw_cfg_group, "fw_cfg",
      { "name", "string", "Sets the fw_cfg name of the blob to be inserted" },
      { "file", "string", "Sets the name of the file from which the fw_cfg blob will be loaded" },
      { "string", "string", "Sets content of the blob to be inserted from a string" })

GROUP(option_rom_group, "option-rom",
      { "romfile", "string" },
      { "bootindex", "number" })

/* What they take depends on what they are about. */
GROUP(smbios_group, "smbios", { NULL })
GROUP(acpi_group, "acpi", { NULL })
GROUP(numa_group, "numa", { NULL })

GROUP(name_group, "name",
      { "guest", "string", "name of the guest" },
      { "process", "string", "name of the process, as ps shows it" },
      { "debug-threads", "boolean", "threads have names" })

GROUP(msg_group, "msg",
      { "timestamp", "boolean" },
      { "guest-name", "boolean", "the guest's name in front of messages" })

GROUP(add_fd_group, "add-fd",
      { "fd", "number", "descriptor that goes into the set" },
      { "set", "number", "number of the set" },
      { "opaque", "string", "what it is, for query-fdsets" })

GROUP(global_group, "global",
      { "driver", "string" },
      { "property", "string" },
      { "value", "string" })

GROUP(action_group, "action",
      { "shutdown", "string" },
      { "reboot", "string" })

GROUP(overcommit_group, "overcommit", { "mem-lock", "boolean" })

/* Any key, by type: no list. */
static OptionGroup device_group = { .option = "device", .params = (const OptionParam[]){ { NULL } } };
OPTION_GROUP_REGISTER(device_group)
static OptionGroup object_group = { .option = "object", .params = (const OptionParam[]){ { NULL } } };
OPTION_GROUP_REGISTER(object_group)
static OptionGroup accel_group = { .option = "accel", .params = (const OptionParam[]){ { NULL } } };
OPTION_GROUP_REGISTER(accel_group)
