/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processors: the device, its thread, and how it meets run state, big lock and reset. What a processor is made of is
 * the target's business (target/i386/), who runs it is the accelerator's (accel/kvm/); this layer knows neither.
 *
 * V1  A processor has one thread of its own (`has_thread`), or none where nobody runs it (qtest). Only that thread is
 *     ever inside CpuAccelOps.run().
 * V2  While the machine is stopped no processor is inside run(): vm_stop() returns, and vm_reset() begins, after all
 *     of them have come out.
 * V3  Registers are in the target's struct or in the accelerator, `in_struct` says where. cpu_sync() brings them into
 *     the struct; whatever is there goes back before the processor runs again, as much of it as `put_level` says.
 * V4  Everything is changed under the big lock. run() looks at `interrupt_request` and `exit_request` without it, so
 *     they are atomic.
 * V5  In the middle of an access that the guest makes, its own registers can be looked at (cpu_sync()) and not
 *     changed: the access is not complete.
 */
#ifndef HW_CORE_CPU_H
#define HW_CORE_CPU_H

#include <pthread.h>
#include "hw/core/device.h"

typedef struct Cpu Cpu;

/* Reasons to look up from running or halting; bits of interrupt_request, as streams have them. */
enum {
    CPU_INTERRUPT_HARD = 0x0002, /* the local APIC or the 8259 has something */
    CPU_INTERRUPT_POLL = 0x0010, /* the local APIC is to look for work */
    CPU_INTERRUPT_SMI = 0x0040,
    CPU_INTERRUPT_NMI = 0x0200,
    CPU_INTERRUPT_INIT = 0x0400,
    CPU_INTERRUPT_SIPI = 0x0800,
    CPU_INTERRUPT_MCE = 0x1000,
    CPU_INTERRUPT_TPR = 0x2000, /* an access to the task priority register is to be reported */
};

/* How much of the state goes back to the accelerator; each level includes those before it. */
typedef enum CpuPutLevel {
    CPU_PUT_RUNTIME, /* what a running processor changes itself */
    CPU_PUT_RESET,   /* and what a reset changes */
    CPU_PUT_FULL,    /* and what only ever comes by migration (time stamp counter, clocks) */
} CpuPutLevel;

/* Where a processor sits; -1: the topology has no such level. */
typedef struct CpuTopology {
    int64_t socket_id, die_id, core_id, thread_id;
} CpuTopology;

/* What a target says of its processors (DeviceType.ops). */
typedef struct CpuTargetOps {
    bool (*has_work)(const Cpu *cpu); /* a halted one wakes up */
    /* Requests that change registers (INIT, startup); before the processor runs, in its thread. */
    void (*process_events)(Cpu *cpu);
    /* The guest-physical address of a linear one, under the processor's paging; false if it is not mapped. */
    bool (*translate)(Cpu *cpu, uint64_t linear, uint64_t *physical);
    void (*nmi)(Cpu *cpu); /* the NMI button */
    /* Fills what a topology has of it; may be NULL. */
    void (*topology)(const Cpu *cpu, CpuTopology *topology);
    uint64_t (*program_counter)(const Cpu *cpu); /* linear */
    void (*dump_registers)(const Cpu *cpu, GString *out, bool with_fpu);
} CpuTargetOps;

/* What an accelerator does for processors. All but run() under the big lock. */
typedef struct CpuAccelOps {
    const char *name;                         /* "kvm" */
    bool threads;                             /* each processor gets a thread (V1) */
    bool (*create)(Cpu *cpu, GError **error); /* in the processor's thread, before anything else */
    void (*destroy)(Cpu *cpu);                /* likewise, at its end */
    /* Runs the guest until exit_request, halt, or something that the main loop has to hear of. Without the big
     * lock; may take it. */
    void (*run)(Cpu *cpu);
    void (*kick)(Cpu *cpu); /* makes run() return soon; any thread */
    bool (*get)(Cpu *cpu,
                GError **error); /* registers into the struct; in the processor's thread */
    bool (*put)(Cpu *cpu, CpuPutLevel level, GError **error);
    bool halts_inside; /* run() waits by itself while the guest halts */
    bool dirty_rings;  /* dirty_pages of processors are counted while dirty logging is on */
} CpuAccelOps;

struct Cpu {
    Device device;
    int index; /* cpu_index; -1 before realize */
    uint32_t halted;
    uint32_t interrupt_request; /* atomic */

    bool in_struct; /* V3 */
    CpuPutLevel put_level;
    bool failed; /* could not be run; stays out until a reset or a load */

    bool has_thread, created, stop, stopped, leaving;
    bool running;      /* inside run() */
    bool exit_request; /* atomic */
    unsigned holds;    /* reasons to stay out that its own accesses began */
    pthread_t thread;
    int thread_id; /* of the host */
    GError *create_error;
    pthread_cond_t wake;
    GQueue work; /* private: CpuWork */
    uint64_t dirty_pages; /* atomic: pages that its dirty ring has told of, where the accelerator has rings */
    VmSection *common_section;
    void *accel; /* the accelerator's */
};

extern const DeviceType cpu_type;
#define CPU(obj) ((Cpu *)(obj))

/* The processor whose thread this is; NULL in others. */
Cpu *cpu_current(void);
/* In order of index. */
Cpu *cpu_first(void);
Cpu *cpu_next(const Cpu *cpu);
#define CPU_FOREACH(cpu) for (Cpu *cpu = cpu_first(); cpu; cpu = cpu_next(cpu))
/* NULL if there is none. */
Cpu *cpu_by_index(int64_t index);
/* The one that a monitor looks at: that of the index, or the first. NULL in a machine without. */
Cpu *cpu_for_monitor(int64_t index);
unsigned cpu_count(void);

/* Who runs processors; set by the accelerator before the first one is realized. NULL: nobody does. */
void cpu_set_accel_ops(const CpuAccelOps *ops);
const CpuAccelOps *cpu_accel_ops(void);
const CpuTargetOps *cpu_target_ops(const Cpu *cpu);

/* For a target's realize, when its own part is done: index (the lowest free one if it is -1), thread, accelerator's
 * part, section cpu_common. The processor waits until the machine runs. False with an error leaves nothing. */
bool cpu_realize(Cpu *cpu, GError **error);
void cpu_unrealize(Cpu *cpu);
/* A target's reset calls it first: not halted, no interrupts, state in the struct to be put as of a reset. */
void cpu_reset_common(Cpu *cpu);

/* Sets bits of interrupt_request and makes the processor look. */
void cpu_interrupt(Cpu *cpu, uint32_t mask);
void cpu_clear_interrupt(Cpu *cpu, uint32_t mask);
static inline uint32_t cpu_interrupts(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->interrupt_request, __ATOMIC_ACQUIRE);
}
/* Makes it come out of run() and look at everything. */
void cpu_kick(Cpu *cpu);

typedef void CpuWorkFunc(Cpu *cpu, void *opaque);
/* Runs func in the processor's thread (here, if there is none or it is ours) under the big lock and waits for it;
 * the big lock is given away meanwhile. */
void cpu_run_on(Cpu *cpu, CpuWorkFunc *func, void *opaque);
/* The same without waiting. */
void cpu_run_on_async(Cpu *cpu, CpuWorkFunc *func, void *opaque);

/* V2; also for whoever needs all of them out for a moment (a memory slot that changes). Nest by counting. Not from
 * a processor's thread. */
void cpu_pause_all(void);
void cpu_resume_all(void);

/*
 * Holding the guest back (DESIGN P3): what a guest's access asked for is done elsewhere, and the access is not to return
 * before. Begun inside an access, it holds the processor that made it; outside (a start of the machine), all of them.
 * Meanwhile the main loop runs, the machine can be stopped and saved: the access itself is complete. Under qtest the
 * client gets the answer of its command at the end. Whoever begins it ends it, within a bounded time. why: a constant string.
 */
typedef struct GuestHold GuestHold;
GuestHold *guest_hold_begin(const char *why);
void guest_hold_end(GuestHold *hold);
/* For work that is done elsewhere on behalf of an access: holds begun from now on are of the processor that `of` holds, until
 * it is called with NULL. */
void guest_hold_on_behalf(const GuestHold *of);
/* Whether somebody holds the guest. */
bool guest_held(void);
/* The qtest server: called when the last hold ends. */
void guest_hold_set_watch(void (*ended)(void));

/* V3: registers are in the struct after it. */
void cpu_sync(Cpu *cpu);
void cpu_sync_all(void);
/* The struct has a new state that goes to the accelerator at `level` at least. */
void cpu_mark_changed(Cpu *cpu, CpuPutLevel level);
/* Puts what is in the struct now, to learn whether the accelerator takes it (after a load). */
bool cpu_put_now(Cpu *cpu, GError **error);

/* Reads or writes guest memory by linear address under cpu's paging; false at the first byte that is not mapped. */
bool cpu_memory_access(Cpu *cpu, uint64_t linear, void *buf, size_t len, bool is_write);

#endif
