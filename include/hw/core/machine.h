/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Machines: a type per board and version; compat values are collected from the device records.
 *
 * A machine type is an object type "NAME-machine". Properties of -machine are its properties.
 */
#ifndef HW_CORE_MACHINE_H
#define HW_CORE_MACHINE_H

#include "hw/core/bootorder.h"
#include "hw/core/device.h"

typedef struct Machine Machine;
typedef struct MachineType MachineType;
struct HotpluggableCPUArray;

struct MachineType {
    ObjectType object;                 /* name "pc-i440fx-7.2-machine" */
    const char *name;                  /* "pc-i440fx-7.2", as -machine and the stream say it */
    const char *version;               /* "7.2": selects compat values; NULL: not versioned */
    const char *alias;                 /* "pc", or NULL */
    const char *description;           /* "Standard PC (i440FX + PIIX, 1996)" */
    const char *deprecation;           /* or NULL */
    bool is_default;
    unsigned max_cpus;
    const char *default_ram_id;        /* "pc.ram"; NULL: no RAM */
    uint64_t default_ram_size;         /* bytes */
    const char *default_cpu_type;      /* or NULL */
    const char *default_display;       /* "std", or NULL */
    const char *default_nic;           /* type of the card for -nic and -net nic: "e1000", or NULL */
    unsigned ide_units;                /* drives on a channel for -drive if=ide; 0: two */
    bool hotpluggable_cpus;
    bool numa_mem_supported;
    bool acpi;                         /* has ACPI tables */
    /* Places for processors, the last first; NULL: it has none that can be plugged. */
    struct HotpluggableCPUArray *(*list_cpu_places)(Machine *machine);
    /* Builds the board; RAM exists and is in machine->ram. */
    bool (*init)(Machine *machine, GError **error);
    /* After all devices of the command line. May be NULL. */
    bool (*done)(Machine *machine, GError **error);
    /* Devices that the machine has unless -nodefaults: called before -device ones. May be NULL. */
    bool (*default_devices)(Machine *machine, GError **error);
};

#define NUMA_NODES_MAX 128

/* -numa. */
typedef struct MachineNuma {
    unsigned nodes;
    uint64_t memory[NUMA_NODES_MAX];   /* bytes of RAM, one node's behind the other's */
    char *memdev[NUMA_NODES_MAX];      /* the memory backend of each node, or NULL: pieces of the machine's RAM */
    bool has_distance;
    uint8_t distance[NUMA_NODES_MAX][NUMA_NODES_MAX]; /* [from][to] */
    uint8_t *cpu_node;                 /* of each possible processor */
} MachineNuma;

typedef struct MachineSmp {
    unsigned cpus, max_cpus, sockets, dies, cores, threads;
} MachineSmp;

struct Machine {
    Object object;
    uint64_t ram_size, max_ram_size;   /* bytes */
    unsigned ram_slots;
    MachineSmp smp;
    char *ram_backend_id;              /* -machine memory-backend= */
    struct MemoryRegion *ram;          /* all of RAM, not yet mapped */
    char *cpu_type;
    char *kernel, *initrd, *append, *firmware;
    BootOptions boot;                  /* -boot */
    MachineNuma *numa;                 /* NULL: none */
    GPtrArray *acpi_tables;            /* GBytes: -acpitable; NULL: none */
    bool no_graphics;                  /* -nographic */
    const char *vga;                   /* -vga, a constant string; NULL: the machine's default */
    bool usb;                          /* -machine usb= */
    bool dump_guest_core, mem_merge;
    bool enable_defaults;              /* no -nodefaults */
    bool default_cdrom, default_floppy; /* … and no -device that stands for the empty drive */
    bool suppress_vmdesc;
    bool migrate_poison;
    const char *mem_path;              /* -mem-path, -mem-prealloc */
    bool mem_prealloc;
    bool has_cpus;                     /* the accelerator runs processors */
};

extern const ObjectType machine_type;
void machine_type_register(const MachineType *type);
#define MACHINE_REGISTER(record)                                               \
    static void __attribute__((constructor)) register_machine_##record(void)   \
    {                                                                          \
        machine_type_register(&(record));                                      \
    }

/* By name or alias; NULL if there is none. */
const MachineType *machine_type_by_name(const char *name);
typedef void MachineTypeFunc(const MachineType *type, void *opaque);
void machine_type_foreach(MachineTypeFunc *func, void *opaque);
const MachineType *machine_get_type(const Machine *machine);
/* The machine of this process, NULL before it is made. */
Machine *machine_current(void);
/* Puts it at /machine, with the containers that devices go to. Before memory_init(). */
void machine_set_current(Machine *machine);
/* Makes machine->ram: the backend that it names, or a new one of ram_size bytes. */
bool machine_create_ram(Machine *machine, GError **error);
/* Whether the accelerator runs processors; with qtest the machine is a board without them. */
bool machine_has_cpus(const Machine *machine);

/* -1, 0, 1 as version a is before, equal to or after b ("9.0" < "10.0"). */
int machine_version_compare(const char *a, const char *b);
/* Adds the compat values of every device type for this version as globals. */
void machine_apply_compat(const MachineType *type);
/* The effective table of a version, one entry a line "type.property=value", sorted: for golden files. */
char *machine_dump_compat(const MachineType *type);

#endif
