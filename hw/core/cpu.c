/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processors: their list, threads, pausing, work for their threads. V1 to V4 are in hw/core/cpu.h. */
#include "util/osdep.h"

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "hw/core/cpu.h"
#include "system/runstate.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "util/trace.h"

TRACE_EVENT(guest_hold_begin)
TRACE_EVENT(guest_hold_end)

#define THREAD_NAME_MAX 16

static GPtrArray *cpus;              /* Cpu *, by index */
static const CpuAccelOps *accel_ops; /* NULL: nobody runs processors */
static unsigned pauses = 1;          /* reasons to stay out; the machine begins stopped */
static pthread_cond_t progress =
    PTHREAD_COND_INITIALIZER; /* a thread has begun, stopped, done work, ended */
static unsigned holds;        /* all GuestHolds that there are */
static unsigned holds_of_all; /* those of them that concern every processor */
static void (*holds_ended)(void);
static __thread Cpu *current;

/* ---- the list ------------------------------------------------------------------------------------------ */

Cpu *cpu_current(void)
{
    return current;
}

Cpu *cpu_first(void)
{
    return cpus && cpus->len ? g_ptr_array_index(cpus, 0) : NULL;
}

Cpu *cpu_next(const Cpu *cpu)
{
    guint at;

    return g_ptr_array_find(cpus, cpu, &at) && at + 1 < cpus->len ? g_ptr_array_index(cpus, at + 1)
                                                                  : NULL;
}

Cpu *cpu_by_index(int64_t index)
{
    for (unsigned i = 0; cpus && i < cpus->len; i++) {
        Cpu *cpu = g_ptr_array_index(cpus, i);

        if (cpu->index == index) {
            return cpu;
        }
    }
    return NULL;
}

Cpu *cpu_for_monitor(int64_t index)
{
    Cpu *cpu = cpu_by_index(index);

    return cpu ? cpu : cpu_first();
}

unsigned cpu_count(void)
{
    return cpus ? cpus->len : 0;
}

void cpu_set_accel_ops(const CpuAccelOps *ops)
{
    accel_ops = ops;
}

const CpuAccelOps *cpu_accel_ops(void)
{
    return accel_ops;
}

const CpuTargetOps *cpu_target_ops(const Cpu *cpu)
{
    return device_ops(&cpu->device);
}

static void list_insert(Cpu *cpu)
{
    unsigned at = 0;

    if (!cpus) {
        cpus = g_ptr_array_new();
    }
    if (cpu->index < 0) {
        while (cpu_by_index(++cpu->index)) {
        }
    }
    while (at < cpus->len && ((Cpu *)g_ptr_array_index(cpus, at))->index < cpu->index) {
        at++;
    }
    g_ptr_array_insert(cpus, at, cpu);
}

/* ---- work ---------------------------------------------------------------------------------------------- */

typedef struct CpuWork {
    CpuWorkFunc *func;
    void *opaque;
    bool *done; /* NULL: nobody waits, and the item is freed when done */
} CpuWork;

static void do_work(Cpu *cpu)
{
    CpuWork *work;

    while ((work = g_queue_pop_head(&cpu->work))) {
        work->func(cpu, work->opaque);
        if (work->done) {
            *work->done = true;
            pthread_cond_broadcast(&progress);
        }
        g_free(work);
    }
}

static void queue_work(Cpu *cpu, CpuWorkFunc *func, void *opaque, bool *done)
{
    CpuWork *work = g_new(CpuWork, 1);

    *work = (CpuWork){ func, opaque, done };
    g_queue_push_tail(&cpu->work, work);
    cpu_kick(cpu);
}

void cpu_run_on(Cpu *cpu, CpuWorkFunc *func, void *opaque)
{
    bool done = false;

    if (!cpu->has_thread || current == cpu) {
        func(cpu, opaque);
        return;
    }
    queue_work(cpu, func, opaque, &done);
    while (!done) {
        bql_cond_wait(&progress);
    }
}

void cpu_run_on_async(Cpu *cpu, CpuWorkFunc *func, void *opaque)
{
    if (!cpu->has_thread) {
        func(cpu, opaque);
        return;
    }
    queue_work(cpu, func, opaque, NULL);
}

/* ---- interrupts and kicks ------------------------------------------------------------------------------- */

void cpu_kick(Cpu *cpu)
{
    __atomic_store_n(&cpu->exit_request, true, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&cpu->wake);
    if (cpu->has_thread && current != cpu && accel_ops && accel_ops->kick) {
        accel_ops->kick(cpu);
    }
}

void cpu_interrupt(Cpu *cpu, uint32_t mask)
{
    uint32_t before = __atomic_fetch_or(&cpu->interrupt_request, mask, __ATOMIC_SEQ_CST);

    if (current != cpu && (mask & ~before)) {
        cpu_kick(cpu);
    }
}

void cpu_clear_interrupt(Cpu *cpu, uint32_t mask)
{
    __atomic_and_fetch(&cpu->interrupt_request, ~mask, __ATOMIC_SEQ_CST);
}

/* ---- registers ------------------------------------------------------------------------------------------ */

static void fail(Cpu *cpu, GError *error)
{
    error_prefix(&error, "CPU %d: ", cpu->index);
    error_report_gerror(error);
    cpu->failed = true;
    vm_stop_request(VM_INTERNAL_ERROR);
}

static void get_state(Cpu *cpu, void *opaque)
{
    GError *error = NULL;

    if (cpu->in_struct || cpu->failed) {
        return;
    }
    if (!accel_ops->get(cpu, &error)) {
        fail(cpu, error);
        return;
    }
    cpu->in_struct = !cpu->running; /* V5 */
    cpu->put_level = CPU_PUT_RUNTIME;
}

void cpu_sync(Cpu *cpu)
{
    if (!cpu->in_struct) {
        cpu_run_on(cpu, get_state, NULL);
    }
}

void cpu_sync_all(void)
{
    CPU_FOREACH(cpu)
    {
        cpu_sync(cpu);
    }
}

void cpu_mark_changed(Cpu *cpu, CpuPutLevel level)
{
    cpu_sync(cpu);
    cpu->put_level = MAX(cpu->put_level, level);
    if (level >= CPU_PUT_RESET) {
        cpu->failed = false;
    }
}

static bool put_state(Cpu *cpu, GError **error)
{
    if (!cpu->in_struct || !accel_ops || !accel_ops->put) {
        return true;
    }
    return accel_ops->put(cpu, cpu->put_level, error);
}

typedef struct PutNow {
    bool ok;
    GError **error;
} PutNow;

static void put_now(Cpu *cpu, void *opaque)
{
    PutNow *put = opaque;

    put->ok = put_state(cpu, put->error);
}

bool cpu_put_now(Cpu *cpu, GError **error)
{
    PutNow put = { .error = error };

    cpu_run_on(cpu, put_now, &put);
    return put.ok;
}

/* ---- the thread ----------------------------------------------------------------------------------------- */

static bool may_run(const Cpu *cpu)
{
    return cpu->device.realized && !pauses && !cpu->holds && !holds_of_all && !cpu->leaving &&
           !cpu->failed &&
           vm_is_running(); /* one that is plugged has no local APIC before it is realized */
}

static bool is_idle(const Cpu *cpu)
{
    return cpu->halted && !accel_ops->halts_inside && !cpu_target_ops(cpu)->has_work(cpu);
}

static void run_once(Cpu *cpu)
{
    GError *error = NULL;

    if (cpu_interrupts(cpu)) {
        cpu_target_ops(cpu)->process_events(cpu);
        if (is_idle(cpu)) {
            return;
        }
    }
    if (!put_state(cpu, &error)) {
        fail(cpu, error);
        return;
    }
    cpu->in_struct = false;
    cpu->running = true;
    bql_unlock();
    accel_ops->run(cpu);
    bql_lock();
    cpu->running = false;
}

static void thread_loop(Cpu *cpu)
{
    while (!cpu->leaving) {
        __atomic_store_n(&cpu->exit_request, false, __ATOMIC_SEQ_CST);
        do_work(cpu);
        if (!may_run(cpu)) {
            cpu->stopped = true;
            pthread_cond_broadcast(&progress);
        } else {
            cpu->stopped = false;
            if (!is_idle(cpu)) {
                run_once(cpu);
                continue;
            }
        }
        if (!cpu->leaving && !__atomic_load_n(&cpu->exit_request, __ATOMIC_SEQ_CST)) {
            bql_cond_wait(&cpu->wake); /* V4: no kick is lost between the look and the wait */
        }
    }
}

static void *thread_main(void *opaque)
{
    Cpu *cpu = opaque;
    char name[THREAD_NAME_MAX];
    bool ok;

    snprintf(name, sizeof(name), "CPU %d/%s", cpu->index, "KVM");
    pthread_setname_np(pthread_self(), name);
    bql_lock();
    current = cpu;
    cpu->thread_id = syscall(SYS_gettid);
    ok = accel_ops->create(cpu, &cpu->create_error);
    cpu->created = true;
    cpu->stopped = true;
    pthread_cond_broadcast(&progress);
    if (ok) {
        thread_loop(cpu);
        accel_ops->destroy(cpu);
    }
    do_work(cpu);
    cpu->has_thread = false;
    pthread_cond_broadcast(&progress);
    bql_unlock();
    return NULL;
}

/* Signals belong to the main thread; the accelerator's own is unblocked by its create(). */
static bool start_thread(Cpu *cpu, GError **error)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* guest memory that is lost: the thread that meets it handles it */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    cpu->has_thread = true;
    r = pthread_create(&cpu->thread, NULL, thread_main, cpu);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r) {
        cpu->has_thread = false;
        return error_set_errno(error, r, "cannot create the thread of CPU %d", cpu->index);
    }
    while (!cpu->created) {
        bql_cond_wait(&progress);
    }
    if (cpu->create_error) {
        g_propagate_error(error, g_steal_pointer(&cpu->create_error));
        pthread_join(cpu->thread, NULL);
        return false;
    }
    return true;
}

static void stop_thread(Cpu *cpu)
{
    if (!cpu->has_thread) {
        return;
    }
    cpu->leaving = true;
    cpu_kick(cpu);
    while (cpu->has_thread) {
        bql_cond_wait(&progress);
    }
    pthread_join(cpu->thread, NULL);
}

/* ---- all of them ---------------------------------------------------------------------------------------- */

void cpu_pause_all(void)
{
    g_assert(!current);
    pauses++;
    CPU_FOREACH(cpu)
    {
        if (cpu->has_thread && !cpu->stopped) {
            cpu_kick(cpu);
        }
    }
    for (unsigned i = 0; cpus && i < cpus->len; i++) {
        Cpu *cpu = g_ptr_array_index(cpus, i);

        while (cpu->has_thread && !cpu->stopped) {
            bql_cond_wait(&progress);
        }
    }
}

void cpu_resume_all(void)
{
    g_assert(pauses);
    if (--pauses) {
        return;
    }
    CPU_FOREACH(cpu)
    {
        cpu_kick(cpu);
    }
}

/* ---- holds ---------------------------------------------------------------------------------------------- */

struct GuestHold {
    int cpu; /* index of the processor, which may go meanwhile; -1: all */
    const char *why;
};

static const GuestHold *on_behalf_of;

void guest_hold_on_behalf(const GuestHold *of)
{
    on_behalf_of = of;
}

GuestHold *guest_hold_begin(const char *why)
{
    GuestHold *hold = g_new(GuestHold, 1);
    Cpu *cpu = current ? current : on_behalf_of ? cpu_by_index(on_behalf_of->cpu) : NULL;

    *hold = (GuestHold){ cpu ? cpu->index : -1, why };
    holds++;
    trace(guest_hold_begin, "cpu %d, %s", hold->cpu, why);
    if (cpu) {
        cpu->holds++;
        cpu_kick(cpu);
        return hold;
    }
    holds_of_all++;
    CPU_FOREACH(each)
    {
        cpu_kick(each);
    }
    return hold;
}

void guest_hold_end(GuestHold *hold)
{
    g_assert(holds);
    trace(guest_hold_end, "cpu %d, %s", hold->cpu, hold->why);
    holds--;
    holds_of_all -= hold->cpu < 0;
    CPU_FOREACH(cpu)
    {
        if (cpu->index == hold->cpu) {
            cpu->holds--;
        }
        cpu_kick(cpu);
    }
    g_free(hold);
    if (!holds && holds_ended) {
        holds_ended();
    }
}

bool guest_held(void)
{
    return holds > 0;
}

void guest_hold_set_watch(void (*ended)(void))
{
    holds_ended = ended;
}

static void __attribute__((constructor)) install_hooks(void)
{
    vm_set_cpu_hooks(cpu_pause_all, cpu_resume_all);
}

/* ---- life cycle ----------------------------------------------------------------------------------------- */

void cpu_reset_common(Cpu *cpu)
{
    cpu_sync(cpu);
    cpu->halted = 0;
    cpu_clear_interrupt(cpu, UINT32_MAX);
    cpu_mark_changed(cpu, CPU_PUT_RESET);
}

/* Migration notes. cpu_common is what every target has; the registers are the target's section. */
static bool common_pre_save(void *opaque, GError **error)
{
    cpu_sync(opaque);
    return true;
}

static const VmState vmstate_cpu_common = {
    .name = "cpu_common",
    .version = 1,
    .minimum_version = 1,
    .pre_save = common_pre_save,
    .fields = (const VmField[]){ VM_U32(Cpu, halted), VM_U32(Cpu, interrupt_request), VM_END },
};

bool cpu_realize(Cpu *cpu, GError **error)
{
    list_insert(cpu);
    cpu->in_struct = true;
    cpu->put_level = CPU_PUT_FULL;
    if (accel_ops && accel_ops->threads && !start_thread(cpu, error)) {
        g_ptr_array_remove(cpus, cpu);
        return false;
    }
    cpu->common_section =
        vmstate_register(vmstate_cpu_common.name, cpu->index, &vmstate_cpu_common, cpu);
    return true;
}

void cpu_unrealize(Cpu *cpu)
{
    vmstate_unregister(g_steal_pointer(&cpu->common_section));
    stop_thread(cpu);
    g_ptr_array_remove(cpus, cpu);
}

static void cpu_instance_init(Object *obj)
{
    Cpu *cpu = CPU(obj);

    cpu->index = -1;
    pthread_cond_init(&cpu->wake, NULL);
    g_queue_init(&cpu->work);
}

static void cpu_finalize(Object *obj)
{
    Cpu *cpu = CPU(obj);

    g_queue_clear_full(&cpu->work, g_free);
    pthread_cond_destroy(&cpu->wake);
    g_clear_error(&cpu->create_error);
}

const DeviceType cpu_type = {
    .object = {
        .name = "cpu",
        .parent = &device_type.object,
        .size = sizeof(Cpu),
        .abstract = true,
        .init = cpu_instance_init,
        .finalize = cpu_finalize,
    },
    .category = DEVICE_CATEGORY_CPU,
};
DEVICE_REGISTER(cpu_type)
