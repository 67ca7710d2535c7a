/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump-guest-memory: an ELF core file of guest memory by physical addresses (System V ABI, Object Files; gABI's core files), with the
 * processors' registers as notes.
 *
 * The machine stands still until the file is complete. What is written is decided at the start, under the big lock; a thread
 * does it with `detach`. Devices cannot come or go meanwhile, and the machine cannot be continued.
 */
#include "util/osdep.h"

#include <elf.h>
#include <fcntl.h>
#include "dump-notes.h"
#include "io/fds.h"
#include "monitor/hmp.h"
#include "qapi/commands-dump.h"
#include "qapi/dispatch.h"
#include "qapi/events-dump.h"
#include "system/memory.h"
#include "system/poison.h"
#include "system/runstate.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "vmstate/blocker.h"

QMP_REGISTER(dump)

#define CHUNK (256 * 1024)

typedef struct Part {
    hwaddr address;
    RamBlock *block;
    uint64_t offset, len;
} Part;

static struct {
    GArray *parts;    /* Part */
    GByteArray *head; /* everything before memory */
    int fd;
    bool was_running;
    VmRunState old_state;
    uint64_t begin, end;       /* of what is wanted */
    DumpStatus status;         /* atomic */
    uint64_t total, completed; /* atomic */
    GError *error;
    GThread *thread;
} dump = { .fd = -1 };

#define GET(name) __atomic_load_n(&dump.name, __ATOMIC_ACQUIRE)
#define SET(name, value) __atomic_store_n(&dump.name, (value), __ATOMIC_RELEASE)

/* ---- what ---------------------------------------------------------------------------------------------------------------- */

static bool add_part(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset, bool readonly,
                     void *opaque)
{
    RamBlock *block = memory_region_ram_block(mr);
    uint64_t first = MAX(start, dump.begin), end = MIN(start + size, dump.end);

    if (block && first < end) {
        Part part = { first, block, offset + (first - start), end - first };

        g_array_append_val(dump.parts, part);
        dump.total += part.len;
    }
    return true;
}

static void put_program_header(uint32_t type, uint64_t offset, uint64_t address, uint64_t len)
{
    Elf64_Phdr header = { .p_type = type,
                          .p_offset = offset,
                          .p_paddr = address,
                          .p_vaddr = address,
                          .p_filesz = len,
                          .p_memsz = len };

    g_byte_array_append(dump.head, (const uint8_t *)&header, sizeof(header));
}

static bool make_head(GError **error)
{
    bool long_mode = x86_dump_long_mode();
    g_autoptr(GByteArray) notes = g_byte_array_new();
    unsigned n = dump.parts->len + 1;
    uint64_t at = sizeof(Elf64_Ehdr) + n * sizeof(Elf64_Phdr);
    Elf64_Ehdr header = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_CORE,
        .e_machine = long_mode ? EM_X86_64 : EM_386,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = n,
    };

    if (n >= PN_XNUM) {
        return error_set(error, "dump: guest memory is in %u pieces", n);
    }
    x86_dump_notes(notes, long_mode);
    g_byte_array_append(dump.head, (const uint8_t *)&header, sizeof(header));
    put_program_header(PT_NOTE, at, 0, notes->len);
    at += notes->len;
    for (unsigned i = 0; i < dump.parts->len; i++) {
        const Part *part = &g_array_index(dump.parts, Part, i);

        put_program_header(PT_LOAD, at, part->address, part->len);
        at += part->len;
    }
    g_byte_array_append(dump.head, notes->data, notes->len);
    return true;
}

/* ---- writing ---------------------------------------------------------------------------------------------------------------- */

static bool write_all(const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = write(dump.fd, data, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return error_set_errno(&dump.error, n < 0 ? errno : ENOSPC,
                                   "dump: failed to save memory");
        }
        data += n;
        len -= n;
    }
    return true;
}

static bool write_part(const Part *part, uint8_t *buffer)
{
    for (uint64_t done = 0, n; done < part->len; done += n) {
        n = MIN(part->len - done, CHUNK);
        ram_copy_or_zero(buffer, part->block, part->offset + done, n);
        if (!write_all(buffer, n)) {
            return false;
        }
        SET(completed, dump.completed + n);
    }
    return true;
}

static void write_dump(void)
{
    g_autofree uint8_t *buffer = g_malloc(CHUNK);
    bool ok = write_all(dump.head->data, dump.head->len);

    for (unsigned i = 0; i < dump.parts->len && ok; i++) {
        ok = write_part(&g_array_index(dump.parts, Part, i), buffer);
    }
    if (io_close(dump.fd) < 0 && ok) {
        error_set_errno(&dump.error, errno, "dump: failed to save memory");
    }
    dump.fd = -1;
}

/* Main thread. */
static void ended(void *opaque)
{
    if (dump.thread) {
        g_thread_join(g_steal_pointer(&dump.thread));
    }
    SET(status, dump.error ? DUMP_STATUS_FAILED : DUMP_STATUS_COMPLETED);
    g_array_free(g_steal_pointer(&dump.parts), TRUE);
    g_byte_array_free(g_steal_pointer(&dump.head), TRUE);
    vmstate_thaw();
    if (dump.was_running) {
        vm_start();
    } else {
        vm_set_state(dump.old_state);
    }
    DumpQueryResult result = { dump.status, dump.completed, dump.total };
    qapi_event_send_DUMP_COMPLETED(&result, dump.error ? dump.error->message : NULL);
}

static gpointer dump_thread(gpointer opaque)
{
    write_dump();
    main_loop_call(ended, NULL);
    return NULL;
}

static bool may_continue(GError **error)
{
    return GET(status) != DUMP_STATUS_ACTIVE ||
           error_set(error, "a dump of guest memory is being written");
}

static void __attribute__((constructor)) register_hook(void)
{
    vm_add_resume_check(may_continue);
}

/* ---- commands --------------------------------------------------------------------------------------------------------------- */

static int open_target(const char *protocol, GError **error)
{
    const char *rest;

    if (g_str_has_prefix(protocol, "fd:")) {
        rest = protocol + 3;
        return io_fd_take(rest, error);
    }
    if (g_str_has_prefix(protocol, "file:")) {
        rest = protocol + 5;
        return io_open(rest, O_WRONLY | O_CREAT | O_TRUNC, 0400 | 0200, error);
    }
    error_set(error, "Invalid parameter 'protocol'");
    return -1;
}

static bool check_arguments(bool paging, bool has_begin, int64_t begin, bool has_length,
                            int64_t length, GError **error)
{
    if (GET(status) == DUMP_STATUS_ACTIVE) {
        return error_set(error, "There is a dump in process, please wait.");
    }
    if (vm_state() == VM_INMIGRATE || vmstate_frozen()) {
        return error_set(error, "Dump not allowed during %s migration.",
                         vm_state() == VM_INMIGRATE ? "incoming" : "outgoing");
    }
    if (paging) {
        return error_set(
            error, "paging: linear addresses in a dump are not available, use 'paging': false");
    }
    if (has_begin != has_length) {
        return error_set(error, "Parameter '%s' is missing", has_begin ? "length" : "begin");
    }
    if (has_begin && (begin < 0 || length <= 0)) {
        return error_set(error, "Parameter '%s' expects %s", begin < 0 ? "begin" : "length",
                         begin < 0 ? "an address" : "a number of bytes");
    }
    return true;
}

/* The machine stands still from here on; ended() lets it go. */
static bool prepare(GError **error)
{
    dump.parts = g_array_new(false, false, sizeof(Part));
    dump.head = g_byte_array_new();
    dump.total = 0;
    g_clear_error(&dump.error);
    address_space_foreach_range(address_space_memory, add_part, NULL);
    if (!dump.parts->len) {
        error_set(error, "dump: no guest memory to dump");
    } else {
        dump.was_running = vm_is_running();
        dump.old_state = vm_state();
        vm_stop(VM_SAVE_VM);
        if (make_head(error)) {
            return true;
        }
        if (dump.was_running) {
            vm_start();
        }
    }
    g_array_free(g_steal_pointer(&dump.parts), TRUE);
    g_byte_array_free(g_steal_pointer(&dump.head), TRUE);
    return false;
}

bool qmp_dump_guest_memory(bool paging, const char *protocol, bool has_detach, bool detach,
                           bool has_begin, int64_t begin, bool has_length, int64_t length,
                           bool has_format, DumpGuestMemoryFormat format, GError **error)
{
    if (!check_arguments(paging, has_begin, begin, has_length, length, error)) {
        return false;
    }
    int fd = open_target(protocol, error);
    if (fd < 0) {
        return false;
    }
    dump.begin = has_begin ? begin : 0;
    dump.end = has_begin ? (uint64_t)begin + length : UINT64_MAX;
    if (!prepare(error)) {
        io_close(fd);
        return false;
    }
    dump.fd = fd;
    SET(completed, 0);
    SET(status, DUMP_STATUS_ACTIVE);
    vmstate_freeze();
    if (has_detach && detach) {
        dump.thread = g_thread_new("dump", dump_thread, NULL);
        return true;
    }
    write_dump();
    ended(NULL);
    if (dump.error) {
        g_propagate_error(error, g_error_copy(dump.error));
        return false;
    }
    return true;
}

bool qmp_query_dump(DumpQueryResult **ret, GError **error)
{
    *ret = g_new0(DumpQueryResult, 1);
    **ret = (DumpQueryResult){ GET(status), GET(completed), GET(total) };
    return true;
}

bool qmp_query_dump_guest_memory_capability(DumpGuestMemoryCapability **ret, GError **error)
{
    *ret = g_new0(DumpGuestMemoryCapability, 1);
    (*ret)->formats = g_new0(DumpGuestMemoryFormatArray, 1);
    QAPI_ARRAY_ADD((*ret)->formats, DUMP_GUEST_MEMORY_FORMAT_ELF);
    return true;
}

/* ---- HMP ------------------------------------------------------------------------------------------------------------------------ */

static void hmp_dump(Hmp *hmp, const HmpArgs *args)
{
    g_autofree char *protocol = g_strconcat("file:", hmp_arg_str(args, "filename"), NULL);
    g_autoptr(GError) error = NULL;
    bool has_begin = hmp_arg_has(args, "begin"), has_length = hmp_arg_has(args, "length");

    if (!qmp_dump_guest_memory(
            hmp_arg_has(args, "paging"), protocol, true, hmp_arg_has(args, "detach"), has_begin,
            hmp_arg_int(args, "begin", 0), has_length, hmp_arg_int(args, "length", 0), false,
            DUMP_GUEST_MEMORY_FORMAT_ELF, &error)) {
        hmp_printf(hmp, "Error: %s\n", error->message);
    }
}

static void hmp_info_dump(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "Status: %s\n", qapi_name_DumpStatus(GET(status)));
    if (GET(status) == DUMP_STATUS_ACTIVE) {
        hmp_printf(hmp, "Finished: %.2f %%\n", 100.0 * GET(completed) / MAX(GET(total), 1));
    }
}

static const HmpCommand dump_commands[] = {
    { "dump-guest-memory", "paging:-p,detach:-d,filename:F,begin:i?,length:i?",
      "[-p] [-d] filename [begin length]",
      "dump guest memory into file 'filename'.\n\t\t\t-p: do paging to get guest's memory "
      "mapping.\n"
      "\t\t\t-d: return immediately (do not wait for completion).",
      hmp_dump },
    { "info dump", "", "", "Display the latest dump status", hmp_info_dump, true },
};
HMP_REGISTER(dump_commands)
