/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual CPU's life with KVM: creation, KVM_RUN and its exits.
 *
 * R1  KVM_RUN is always entered, also to leave: with immediate_exit it completes the access that made it exit, and
 *     then returns. Registers are read after that only.
 * R2  A kick sets exit_request, then immediate_exit, then sends the signal; the loop clears immediate_exit before it
 *     looks at exit_request. Whichever comes first, one of them is seen.
 * R3  Who inhibits sets the count, then looks at `inside`; who enters sets `inside`, then looks at the count.
 * R4  The kernel does not let go of a virtual CPU before the whole machine ends, and makes no second one of the same id. One
 *     that was unplugged is kept with all that we have of it, for a processor that comes with its id.
 */
#include "util/osdep.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "system/poison.h"
#include "system/runstate.h"
#include "util/error.h"
#include "util/log.h"
#include "util/main-loop.h"
#include "util/trace.h"
#include "kvm-internal.h"

TRACE_EVENT(kvm_run_exit)

#define SIGNAL_KICK SIGUSR1
#define RING_OFFSET ((off_t)KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE))

/* ---- keeping everybody out ---------------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t left, allowed;
    unsigned count; /* atomic */
} inhibit = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

static void signal_vcpu(Cpu *cpu)
{
    KvmVcpu *vcpu = cpu->accel;

    if (vcpu) {
        __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        pthread_kill(cpu->thread, SIGNAL_KICK);
    }
}

void kvm_inhibit_begin(void)
{
    pthread_mutex_lock(&inhibit.lock);
    __atomic_fetch_add(&inhibit.count, 1, __ATOMIC_SEQ_CST);
    CPU_FOREACH(cpu)
    {
        KvmVcpu *vcpu = cpu->accel;

        while (vcpu && __atomic_load_n(&vcpu->inside, __ATOMIC_SEQ_CST)) {
            signal_vcpu(cpu);
            pthread_cond_wait(&inhibit.left, &inhibit.lock);
        }
    }
    pthread_mutex_unlock(&inhibit.lock);
}

void kvm_inhibit_end(void)
{
    pthread_mutex_lock(&inhibit.lock);
    if (__atomic_sub_fetch(&inhibit.count, 1, __ATOMIC_SEQ_CST) == 0) {
        pthread_cond_broadcast(&inhibit.allowed);
    }
    pthread_mutex_unlock(&inhibit.lock);
}

static void go_outside(KvmVcpu *vcpu)
{
    __atomic_store_n(&vcpu->inside, false, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&inhibit.count, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&inhibit.lock);
        pthread_cond_broadcast(&inhibit.left);
        pthread_mutex_unlock(&inhibit.lock);
    }
}

static void go_inside(KvmVcpu *vcpu)
{
    __atomic_store_n(&vcpu->inside, true, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&inhibit.count, __ATOMIC_SEQ_CST)) { /* R3 */
        pthread_mutex_lock(&inhibit.lock);
        __atomic_store_n(&vcpu->inside, false, __ATOMIC_SEQ_CST);
        pthread_cond_broadcast(&inhibit.left);
        while (inhibit.count) {
            pthread_cond_wait(&inhibit.allowed, &inhibit.lock);
        }
        pthread_mutex_unlock(&inhibit.lock);
        __atomic_store_n(&vcpu->inside, true, __ATOMIC_SEQ_CST);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void kick_arrived(int signal)
{
}

static void install_signal(void)
{
    static bool done;
    struct sigaction action = { .sa_handler = kick_arrived };
    sigset_t set;

    if (!done) {
        sigaction(SIGNAL_KICK, &action, NULL);
        done = true;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGNAL_KICK);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void vcpu_free(KvmVcpu *vcpu)
{
    if (vcpu->ring) {
        munmap(vcpu->ring, kvm_state.ring_entries * sizeof(struct kvm_dirty_gfn));
    }
    if (vcpu->run) {
        munmap(vcpu->run, kvm_state.run_size);
    }
    if (vcpu->fd >= 0) {
        close(vcpu->fd);
    }
    g_free(vcpu);
}

static bool map_areas(KvmVcpu *vcpu, GError **error)
{
    size_t ring_size = kvm_state.ring_entries * sizeof(struct kvm_dirty_gfn);
    void *p = mmap(NULL, kvm_state.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);

    if (p == MAP_FAILED) {
        return error_set_errno(error, errno, "mapping the communication area of a virtual CPU");
    }
    vcpu->run = p;
    if (!ring_size) {
        return true;
    }
    p = mmap(NULL, ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, RING_OFFSET);
    if (p == MAP_FAILED) {
        return error_set_errno(error, errno, "mapping the dirty ring of a virtual CPU");
    }
    vcpu->ring = p;
    return true;
}

static GQueue unplugged = G_QUEUE_INIT; /* KvmVcpu * (R4); big lock */

static KvmVcpu *find_unplugged(unsigned long id)
{
    for (GList *l = unplugged.head; l; l = l->next) {
        KvmVcpu *vcpu = l->data;

        if (vcpu->id == id) {
            g_queue_delete_link(&unplugged, l);
            return vcpu;
        }
    }
    return NULL;
}

static KvmVcpu *vcpu_new(const Cpu *cpu, unsigned long id, GError **error)
{
    KvmVcpu *vcpu = g_new0(KvmVcpu, 1);

    vcpu->id = id;
    vcpu->fd = kvm_vm_ioctl(KVM_CREATE_VCPU, (void *)id);
    if (vcpu->fd < 0) {
        error_set_errno(error, -vcpu->fd, "KVM cannot create virtual CPU %d (id %lu)", cpu->index,
                        id);
        g_free(vcpu);
        return NULL;
    }
    if (!map_areas(vcpu, error)) {
        vcpu_free(vcpu);
        return NULL;
    }
    return vcpu;
}

static bool vcpu_create(Cpu *cpu, GError **error)
{
    unsigned long id = kvm_state.target->vcpu_id(cpu);
    KvmVcpu *vcpu = find_unplugged(id);
    struct kvm_mp_state state;

    install_signal();
    cpu->accel = vcpu ? vcpu : vcpu_new(cpu, id, error);
    if (!cpu->accel) {
        return false;
    }
    if (vcpu) { /* the kernel looks at what others have sent it meanwhile (INIT, SIPI): it is not for the new one */
        kvm_vcpu_ioctl(cpu, KVM_GET_MP_STATE, &state);
    }
    if (!kvm_state.target->vcpu_created(cpu, error)) {
        g_queue_push_tail(&unplugged, g_steal_pointer(&cpu->accel));
        return false;
    }
    return true;
}

static void vcpu_destroy(Cpu *cpu)
{
    KvmVcpu *vcpu = cpu->accel;

    kvm_reap_rings();
    kvm_state.target->vcpu_destroyed(cpu);
    pthread_mutex_lock(&kvm_ring_lock);
    cpu->accel = NULL;
    pthread_mutex_unlock(&kvm_ring_lock);
    g_queue_push_tail(&unplugged, vcpu);
}

static void vcpu_kick(Cpu *cpu)
{
    signal_vcpu(cpu);
}

static bool vcpu_get(Cpu *cpu, GError **error)
{
    return kvm_state.target->get(cpu, error);
}

static bool vcpu_put(Cpu *cpu, CpuPutLevel level, GError **error)
{
    return kvm_state.target->put(cpu, level, error);
}

/* ---- exits ------------------------------------------------------------------------------------------------------------ */

static void handle_io(const struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    for (uint32_t i = 0; i < run->io.count; i++) {
        if (run->io.direction == KVM_EXIT_IO_IN) {
            address_space_read(address_space_io, run->io.port, data, run->io.size);
        } else {
            address_space_write(address_space_io, run->io.port, data, run->io.size);
        }
        data += run->io.size;
    }
}

/*
 * Guest memory that cannot be read comes here as well, where the kernel emulates the instruction. The list has the page
 * by now; the guest's access gets what an access that never left the processor gets.
 */
static void handle_mmio(Cpu *cpu, struct kvm_run *run)
{
    MemResult result;

    poison_guest_access(true);
    if (run->mmio.is_write) {
        result = address_space_write(address_space_memory, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    } else {
        result = address_space_read(address_space_memory, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    }
    poison_guest_access(false);
    if (G_UNLIKELY(result & MEM_ERROR)) {
        bql_lock();
        poison_guest_error(cpu, run->mmio.phys_addr);
        bql_unlock();
    }
}

/* The processor cannot go on: registers to stderr, the machine stops, a reset or a load helps. */
static KvmNext give_up(Cpu *cpu)
{
    const CpuTargetOps *ops = cpu_target_ops(cpu);
    GString *out = g_string_new(NULL);

    bql_lock();
    cpu_sync(cpu);
    ops->dump_registers(cpu, out, false);
    fputs(out->str, stderr);
    cpu->failed = true;
    vm_stop_request(VM_INTERNAL_ERROR);
    bql_unlock();
    g_string_free(out, TRUE);
    return KVM_LEAVE;
}

static const char *suberror_name(uint32_t suberror)
{
    switch (suberror) {
    case KVM_INTERNAL_ERROR_EMULATION:
        return "emulation failure";
    case KVM_INTERNAL_ERROR_SIMUL_EX:
        return "exception while delivering another one";
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
        return "exit while delivering an event";
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
        return "unexpected exit reason";
    default:
        return "unknown";
    }
}

static KvmNext internal_error(Cpu *cpu, const struct kvm_run *run)
{
    unsigned n = MIN(run->internal.ndata, G_N_ELEMENTS(run->internal.data));

    error_report("KVM internal error on CPU %d. Suberror: %u (%s)", cpu->index,
                 run->internal.suberror, suberror_name(run->internal.suberror));
    for (unsigned i = 0; i < n; i++) {
        error_report("extra data[%u]: 0x%016" PRIx64, i, (uint64_t)run->internal.data[i]);
    }
    return give_up(cpu);
}

static KvmNext entry_failed(Cpu *cpu, const struct kvm_run *run)
{
    uint64_t reason = run->fail_entry.hardware_entry_failure_reason;
    const KvmTargetOps *target = kvm_state.target;
    const char *meaning =
        target->explain_entry_failure ? target->explain_entry_failure(reason) : NULL;

    error_report("KVM: entry failed on CPU %d, hardware error 0x%" PRIx64 "%s%s", cpu->index,
                 reason, meaning ? ": " : "", meaning ? meaning : "");
    return give_up(cpu);
}

/* A triple fault and the like: the machine resets, and until it does so this processor has nothing to run. */
static KvmNext wait_for_reset(Cpu *cpu)
{
    bql_lock();
    cpu->failed = true;
    vm_request_reset(VM_SHUTDOWN_GUEST_RESET);
    bql_unlock();
    return KVM_LEAVE;
}

static KvmNext system_event(Cpu *cpu, const struct kvm_run *run)
{
    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        vm_request_shutdown(VM_SHUTDOWN_GUEST_SHUTDOWN);
        return KVM_LEAVE;
    case KVM_SYSTEM_EVENT_RESET:
        return wait_for_reset(cpu);
    case KVM_SYSTEM_EVENT_CRASH:
        vm_stop_request(VM_GUEST_PANICKED);
        return KVM_LEAVE;
    default:
        error_report("KVM: system event %u on CPU %d is not known", run->system_event.type,
                     cpu->index);
        return give_up(cpu);
    }
}

static KvmNext handle_exit(Cpu *cpu, struct kvm_run *run)
{
    KvmNext next;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        handle_io(run);
        return KVM_GO_ON;
    case KVM_EXIT_MMIO:
        handle_mmio(cpu, run);
        return KVM_GO_ON;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return KVM_GO_ON;
    case KVM_EXIT_DIRTY_RING_FULL:
        kvm_ring_full(cpu);
        return KVM_GO_ON;
    case KVM_EXIT_SHUTDOWN:
        return wait_for_reset(cpu);
    case KVM_EXIT_SYSTEM_EVENT:
        return system_event(cpu, run);
    case KVM_EXIT_INTERNAL_ERROR:
        return internal_error(cpu, run);
    case KVM_EXIT_FAIL_ENTRY:
        return entry_failed(cpu, run);
    case KVM_EXIT_UNKNOWN:
        error_report("KVM: unknown exit on CPU %d, hardware reason 0x%" PRIx64, cpu->index,
                     (uint64_t)run->hw.hardware_exit_reason);
        return give_up(cpu);
    default:
        next = kvm_state.target->handle_exit(cpu, run);
        if (next != KVM_UNHANDLED) {
            return next;
        }
        error_report("KVM: unknown exit on CPU %d, exit reason %u", cpu->index, run->exit_reason);
        return give_up(cpu);
    }
}

/* ---- running ------------------------------------------------------------------------------------------------------------ */

/* KVM_RUN once; -errno, or 0 with an exit to handle. */
static int enter(Cpu *cpu, KvmVcpu *vcpu)
{
    int r;

    go_inside(vcpu);
    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&cpu->exit_request, __ATOMIC_SEQ_CST) ||
        __atomic_load_n(&inhibit.count, __ATOMIC_SEQ_CST)) { /* R2 */
        vcpu->run->immediate_exit = 1;
    }
    poison_vcpu_inside(true);
    r = kvm_vcpu_ioctl(cpu, KVM_RUN, NULL);
    poison_vcpu_inside(false);
    go_outside(vcpu);
    return r;
}

static KvmNext run_failed(Cpu *cpu, int r)
{
    if (r == -EINTR || r == -EAGAIN) {
        return __atomic_load_n(&cpu->exit_request, __ATOMIC_SEQ_CST) ? KVM_LEAVE : KVM_GO_ON;
    }
    error_report("KVM: CPU %d cannot run: %s%s", cpu->index, g_strerror(-r),
                 r == -EFAULT ? " (guest memory that the host cannot read or write)" : "");
    return give_up(cpu);
}

/* The guest has met a page that the host has lost. */
static void lost_page(Cpu *cpu)
{
    void *address;
    unsigned lsb;

    if (G_UNLIKELY(poison_vcpu_take_error(&address, &lsb))) {
        bql_lock();
        poison_vcpu_error(cpu, address, lsb);
        bql_unlock();
    }
}

static void vcpu_run(Cpu *cpu)
{
    const KvmTargetOps *target = kvm_state.target;
    KvmVcpu *vcpu = cpu->accel;
    KvmNext next = KVM_GO_ON;

    while (next == KVM_GO_ON) {
        int r;

        if (target->before_run(cpu, vcpu->run) == KVM_LEAVE) {
            return;
        }
        r = enter(cpu, vcpu);
        target->after_run(cpu, vcpu->run);
        kvm_flush_coalesced();
        lost_page(cpu);
        if (r < 0) {
            next = run_failed(cpu, r);
            continue;
        }
        trace(kvm_run_exit, "cpu_index %d, reason %u", cpu->index, vcpu->run->exit_reason);
        next = handle_exit(cpu, vcpu->run);
    }
}

CpuAccelOps kvm_cpu_ops = {
    .name = "kvm",
    .threads = true,
    .create = vcpu_create,
    .destroy = vcpu_destroy,
    .run = vcpu_run,
    .kick = vcpu_kick,
    .get = vcpu_get,
    .put = vcpu_put,
};
