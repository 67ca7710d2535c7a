/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NOR flash memory with the Common Flash Interface (JEDEC JESD68.01) and command set 0001h, "Intel/Sharp extended", as the data sheets
 * of Intel's 28F…J3 parts have it: one chip, eight bits wide, whose blocks are all of one size. PCs have their firmware in one and
 * its variables in a second.
 *
 *   cycle   writes                                                         reads
 *   0       a command; FFh and what is none: read array                    array, status (70h), identifier (90h)
 *   1       second half of 10h, 40h (program), 20h (erase), 60h (lock),    status; the query table (98h) until FFh
 *           E8h (how many writes to the buffer will follow, less one)
 *   2       data for the buffer                                            status
 *   3       D0h: program the buffer                                        status
 *
 * While it reads as an array it is ROM whose writes come to us; else the registers lie over it.
 *
 * N1  The guest is held until what it has programmed or erased is in the image (DESIGN P4): the array changes after that, or never,
 *     and then the status says so.
 * N2  One write to the image at a time, in the guest's order; each is composed of the array as its predecessors have left it.
 *
 * Where stock differs from the data sheets and guests count on it, it is stock that is followed: a program operation can set bits, the
 * status is 00h once it is cleared (by which OVMF tells flash from RAM), query mode ends with FFh only, and lock bits are
 * accepted and forgotten. A block is erased when that is confirmed, not when it is asked for as on stock.
 */
#include "util/osdep.h"
#include "hw/nvram/pflash.h"

#include "hw/core/cpu.h"
#include "hw/core/drive.h"
#include "system/quiesce.h"
#include "system/runstate.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/log.h"
#include "util/main-loop.h"
#include "util/trace.h"

TRACE_EVENT(pflash_command)
TRACE_EVENT(pflash_program)

enum {
    CMD_ARRAY = 0x00, /* as the stream has it; FFh of the guest */
    CMD_PROGRAM = 0x10,
    CMD_ERASE = 0x20,
    CMD_PROGRAM_ALT = 0x40,
    CMD_CLEAR_STATUS = 0x50,
    CMD_LOCK = 0x60,
    CMD_STATUS = 0x70,
    CMD_IDENTIFIER = 0x90,
    CMD_QUERY = 0x98,
    CMD_BUFFER = 0xe8,
    CMD_READ_ARRAY_AMD = 0xf0,
    CMD_READ_ARRAY = 0xff,
    SECOND_CONFIRM = 0xd0, /* also: clear lock bits */
    SECOND_LOCK = 0x01,
};

enum {
    STATUS_PROGRAM_ERROR = 0x10,
    STATUS_ERASE_ERROR = 0x20, /* both: a sequence of commands that there is not */
    STATUS_READY = 0x80,
};

#define BUFFER_SIZE 256
#define BUFFER_NOWHERE UINT32_MAX
#define QUERY_SIZE 0x100

typedef struct Pflash {
    Device device;
    DriveConf conf; /* without a front, what is written is lost at the end */
    char *name;
    uint32_t num_blocks;
    uint64_t sector_length;
    uint8_t width, device_width, max_device_width;
    bool big_endian, secure, old_multiple_chip_handling;
    uint16_t id[4];

    uint32_t size;
    bool read_only;
    MemoryRegion *region, *array, *registers; /* the latter two in the first */
    uint8_t *storage;                         /* the array's memory */
    uint8_t query[QUERY_SIZE];

    uint8_t wcycle, cmd, status;
    uint64_t counter; /* of data for the buffer, less one */
    uint32_t blk_offset; /* where the buffer goes; BUFFER_NOWHERE before its first byte */
    uint8_t blk_bytes[BUFFER_SIZE];
    uint8_t erase_waits; /* for its confirmation */

    GQueue writes; /* FlashWrite *, the first one is under way */
    bool arrived;  /* by migration: the image may be another one */
    bool checking; /* whether it is */
    VmStateEntry *vm_state;
    QuiesceEntry *quiesce;
} Pflash;

/* ---- the image --------------------------------------------------------------------------------------------------- */

typedef struct FlashWrite {
    Pflash *flash;
    uint32_t offset, len;
    uint8_t error_bit; /* 0: not the guest's, it makes the image follow the array */
    uint8_t *data;     /* what the array will have */
    uint8_t *image;    /* whole sectors with it; NULL before it begins */
    IoVec vec;
    GuestHold *hold;
} FlashWrite;

static void set_array(Pflash *s, uint32_t offset, const void *data, uint32_t len)
{
    memcpy(s->storage + offset, data, len);
    memory_region_set_dirty(s->array, offset, len);
}

static void start_write(void *opaque);
static void image_is_behind(Pflash *s, int ret);

static void write_done(void *opaque, int ret)
{
    FlashWrite *w = opaque;
    Pflash *s = w->flash;

    g_queue_pop_head(&s->writes);
    if (ret < 0 && !w->error_bit) {
        image_is_behind(s, ret);
    } else if (ret < 0) {
        s->status |= w->error_bit;
        error_report("%s: %u bytes at 0x%x cannot be written to '%s': %s; the guest is told", s->name, w->len, w->offset,
                     front_property(s->conf.front), g_strerror(-ret));
    } else {
        set_array(s, w->offset, w->data, w->len);
    }
    guest_hold_end(w->hold);
    iovec_destroy(&w->vec);
    g_free(w->image);
    g_free(w->data);
    g_free(w);
    if (!g_queue_is_empty(&s->writes)) {
        start_write(s);
    }
}

/* The first of the queue (N2). Main thread. */
static void start_write(void *opaque)
{
    Pflash *s = opaque;
    FlashWrite *w = g_queue_peek_head(&s->writes);
    uint32_t first = w->offset & ~(uint32_t)(BLOCK_SECTOR - 1), end = (w->offset + w->len + BLOCK_SECTOR - 1) & ~(uint32_t)(BLOCK_SECTOR - 1);

    w->image = g_malloc(end - first);
    memcpy(w->image, s->storage + first, end - first);
    memcpy(w->image + (w->offset - first), w->data, w->len);
    iovec_init(&w->vec, 1);
    iovec_add(&w->vec, w->image, end - first);
    front_aio_write(s->conf.front, first, &w->vec, 0, write_done, w);
}

/* Takes over data. */
static void queue_write(Pflash *s, uint32_t offset, uint8_t *data, uint32_t len, uint8_t error_bit)
{
    FlashWrite *w = g_new0(FlashWrite, 1);

    *w = (FlashWrite){ .flash = s, .offset = offset, .len = len, .error_bit = error_bit, .data = data };
    w->hold = guest_hold_begin("pflash");
    g_queue_push_tail(&s->writes, w);
    if (s->writes.length > 1) {
        return;
    }
    if (in_main_thread()) {
        start_write(s);
    } else {
        bh_schedule_oneshot(NULL, start_write, s);
    }
}

/* Makes the array and the image have these bytes (N1); error_bit of the status says that they have not. Takes over data. */
static void write_array(Pflash *s, uint32_t offset, uint8_t *data, uint32_t len, uint8_t error_bit)
{
    const BlockNode *node = s->conf.front ? front_node(s->conf.front) : NULL;

    trace(pflash_program, "%s: %u bytes at 0x%x", s->name, len, offset);
    s->status |= STATUS_READY;
    if (!s->read_only && node && !node->inactive) {
        queue_write(s, offset, data, len, error_bit);
        return;
    }
    if (s->read_only || s->conf.front) {
        s->status |= error_bit;
    } else {
        set_array(s, offset, data, len);
    }
    g_free(data);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

/* What the guest sees after a command, or a load. */
static void update_mode(Pflash *s)
{
    memory_region_set_enabled(s->registers, s->wcycle || s->cmd != CMD_ARRAY);
}

static void read_array(Pflash *s)
{
    s->wcycle = 0;
    s->cmd = CMD_ARRAY;
    s->erase_waits = 0;
    s->blk_offset = BUFFER_NOWHERE;
}

/* The second half of a command is none: the data sheets have both bits for it. */
static void wrong_sequence(Pflash *s, uint8_t value)
{
    log_guest_error("%s: %02xh after command %02xh", s->name, value, s->cmd);
    s->status |= STATUS_READY | STATUS_PROGRAM_ERROR | STATUS_ERASE_ERROR;
    read_array(s);
}

static void first_cycle(Pflash *s, uint8_t value)
{
    s->cmd = value;
    switch (value) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT:
    case CMD_LOCK:
    case CMD_QUERY:
        s->wcycle = 1;
        return;
    case CMD_ERASE:
        s->wcycle = 1;
        s->erase_waits = 1;
        s->status |= STATUS_READY;
        return;
    case CMD_BUFFER:
        s->wcycle = 1;
        s->status |= STATUS_READY;
        return;
    case CMD_STATUS:
    case CMD_IDENTIFIER:
        return;
    case CMD_CLEAR_STATUS:
        s->status = 0;
        break;
    case CMD_ARRAY:
    case CMD_READ_ARRAY_AMD:
    case CMD_READ_ARRAY:
        break;
    default:
        log_guest_error("%s: unknown command %02xh", s->name, value);
        break;
    }
    read_array(s);
}

static void program(Pflash *s, uint32_t offset, uint64_t value, unsigned size)
{
    uint8_t *data = g_malloc(sizeof(value));

    store_le64(data, value);
    s->wcycle = 0;
    write_array(s, offset, data, size, STATUS_PROGRAM_ERROR);
}

static void erase(Pflash *s, uint32_t offset)
{
    uint8_t *data = g_malloc(s->sector_length);

    memset(data, 0xff, s->sector_length);
    s->wcycle = 0;
    s->erase_waits = 0;
    write_array(s, offset - offset % s->sector_length, data, s->sector_length, STATUS_ERASE_ERROR);
}

static void second_cycle(Pflash *s, uint32_t offset, uint64_t value, unsigned size)
{
    switch (s->cmd) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT:
        program(s, offset, value, size);
        return;
    case CMD_BUFFER:
        s->wcycle = 2;
        s->counter = (uint8_t)value;
        s->blk_offset = BUFFER_NOWHERE;
        return;
    case CMD_QUERY:
        if ((uint8_t)value == CMD_READ_ARRAY) {
            read_array(s);
        }
        return;
    case CMD_ERASE:
        if ((uint8_t)value == SECOND_CONFIRM) {
            erase(s, offset);
        } else {
            wrong_sequence(s, value);
        }
        return;
    default: /* CMD_LOCK: a command to lock is obeyed in form only, one that is unknown leads back to the array */
        if ((uint8_t)value == SECOND_CONFIRM || (uint8_t)value == SECOND_LOCK) {
            s->wcycle = 0;
            s->status |= STATUS_READY;
        } else {
            read_array(s);
        }
        return;
    }
}

/* Data for the buffer, which is for the aligned piece of the array where the first of them goes. */
static void buffer_data(Pflash *s, uint32_t offset, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    if (s->blk_offset == BUFFER_NOWHERE) {
        s->blk_offset = offset & ~(uint32_t)(BUFFER_SIZE - 1);
        memcpy(s->blk_bytes, s->storage + s->blk_offset, BUFFER_SIZE);
    }
    store_le64(bytes, value);
    if (s->read_only || offset < s->blk_offset || offset + size > s->blk_offset + BUFFER_SIZE) {
        s->status |= STATUS_PROGRAM_ERROR;
    } else {
        memcpy(s->blk_bytes + (offset - s->blk_offset), bytes, size);
    }
    if (s->counter) {
        s->counter--;
    } else {
        s->wcycle = 3;
    }
}

/* An error while the buffer was filled, or before and not cleared since, and it is thrown away. */
static void buffer_confirm(Pflash *s, uint8_t value)
{
    if (value != SECOND_CONFIRM) {
        wrong_sequence(s, value);
    } else if (s->status & STATUS_PROGRAM_ERROR || s->blk_offset == BUFFER_NOWHERE) {
        s->status |= STATUS_READY | STATUS_PROGRAM_ERROR;
        read_array(s);
    } else {
        s->wcycle = 0;
        write_array(s, s->blk_offset, g_memdup2(s->blk_bytes, BUFFER_SIZE), BUFFER_SIZE, STATUS_PROGRAM_ERROR);
        s->blk_offset = BUFFER_NOWHERE;
    }
}

static void pflash_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Pflash *s = opaque;

    trace(pflash_command, "%s: 0x%x at 0x%x, cycle %u of %02xh", s->name, (unsigned)value, (unsigned)offset, s->wcycle, s->cmd);
    switch (s->wcycle) {
    case 0:
        first_cycle(s, value);
        break;
    case 1:
        second_cycle(s, offset, value, size);
        break;
    case 2:
        buffer_data(s, offset, value, size);
        break;
    default:
        buffer_confirm(s, value);
        break;
    }
    update_mode(s);
}

/* While it is no array. */
static uint64_t pflash_read(void *opaque, hwaddr offset, unsigned size)
{
    Pflash *s = opaque;
    uint8_t at = offset;

    switch (s->cmd) {
    case CMD_QUERY:
        return s->query[at];
    case CMD_IDENTIFIER: /* manufacturer, device; no block is locked */
        return at > 1 ? 0 : (uint16_t)(s->id[2 * at] << 8) | s->id[2 * at + 1];
    default: /* a chip of the width of a word has it in each of them */
        return size > 2 ? s->status | s->status << 16 : s->status;
    }
}

static const MemoryOps pflash_ops = {
    .read = pflash_read,
    .write = pflash_write,
    .valid = { .min_size = 1, .max_size = 8 },
    .impl = { .min_size = 1, .max_size = 4 },
};

/* ---- the query table (JESD68.01; vendor's part as of command set 0001h) ------------------------------------------ */

static void fill_query(Pflash *s)
{
    uint8_t *q = s->query;

    memcpy(q + 0x10, "QRY", 3);
    store_le16(q + 0x13, 0x0001); /* command set */
    store_le16(q + 0x15, 0x0031); /* its table */
    q[0x1b] = 0x45;               /* 4.5 to 5.5 V, no Vpp */
    q[0x1c] = 0x55;
    q[0x1f] = 7; /* typical times, 2^n us: a word, the buffer; 2^n ms: a block, the chip */
    q[0x20] = 7;
    q[0x21] = 10;
    q[0x22] = 0;
    q[0x23] = 4; /* at most 2^n times as long */
    q[0x24] = 4;
    q[0x25] = 4;
    q[0x26] = 0;
    q[0x27] = __builtin_ctz(s->size); /* 2^n bytes; one that is no power of two cannot be told: as stock */
    store_le16(q + 0x28, 0x0002); /* x8 and x16 */
    store_le16(q + 0x2a, __builtin_ctz(BUFFER_SIZE));
    q[0x2c] = 1; /* kinds of blocks: how many, and their size */
    store_le16(q + 0x2d, s->num_blocks - 1);
    store_le16(q + 0x2f, s->sector_length >> 8);
    memcpy(q + 0x31, "PRI10", 5); /* version 1.0, no options */
    q[0x3f] = 1;                  /* protection registers */
}

/* ---- life cycle -------------------------------------------------------------------------------------------------- */

static void pflash_reset(Device *dev)
{
    Pflash *s = (Pflash *)dev;

    s->status = STATUS_READY;
    s->counter = 0;
    read_array(s);
    update_mode(s);
}

/* The image on this side cannot be made what the source had: the machine does not go on as if it were. */
static void image_is_behind(Pflash *s, int ret)
{
    error_report("%s: the contents that came with the migration are not in '%s': %s; 'cont' tries again", s->name,
                 front_property(s->conf.front), g_strerror(-ret));
    s->arrived = true;
    vm_stop_request(VM_IO_ERROR);
}

typedef struct ImageCheck {
    Pflash *flash;
    uint8_t *image;
    IoVec vec;
    GuestHold *hold;
} ImageCheck;

static void check_done(void *opaque, int ret)
{
    ImageCheck *check = opaque;
    Pflash *s = check->flash;

    s->checking = false;
    if (ret < 0) {
        image_is_behind(s, ret);
    }
    for (uint32_t at = 0; ret >= 0 && at < s->size; at += s->sector_length) {
        if (memcmp(check->image + at, s->storage + at, s->sector_length)) {
            queue_write(s, at, g_memdup2(s->storage + at, s->sector_length), s->sector_length, 0);
        }
    }
    guest_hold_end(check->hold);
    iovec_destroy(&check->vec);
    g_free(check->image);
    g_free(check);
}

/* After a migration: an image that is not the one that the source had becomes it before the guest goes on. */
static void check_image(Pflash *s)
{
    ImageCheck *check = g_new0(ImageCheck, 1);

    s->arrived = false;
    s->checking = true;
    check->flash = s;
    check->image = g_malloc(s->size);
    check->hold = guest_hold_begin("pflash");
    iovec_init(&check->vec, 1);
    iovec_add(&check->vec, check->image, s->size);
    front_aio_read(s->conf.front, 0, &check->vec, check_done, check);
}

/* What was begun is finished before the machine stands still. */
static void vm_state_changed(void *opaque, bool running, VmRunState state)
{
    Pflash *s = opaque;

    if (!running) {
        MAIN_LOOP_WHILE(s->checking || !g_queue_is_empty(&s->writes));
    } else if (s->arrived && s->conf.front && !s->read_only) {
        check_image(s);
    }
}

/* P2: nobody but a test client has written to a machine that stands still. */
static QuiesceResult quiesce(void *opaque, GError **error)
{
    Pflash *s = opaque;

    if (s->checking || !g_queue_is_empty(&s->writes)) {
        error_set(error, "%s: a request of '%s' is not finished", s->name, front_property(s->conf.front));
        return QUIESCE_BUSY;
    }
    return QUIESCE_DONE;
}

static const QuiesceOps quiesce_ops = { .name = "pflash", .quiesce = quiesce };

/* One chip, eight bits wide: what else there are properties for. */
static bool check_shape(const Pflash *s, GError **error)
{
    const char *wrong = s->width != 1                      ? "'width' has to be 1"
                        : s->device_width > 1              ? "'device-width' has to be 0 or 1"
                        : s->max_device_width > 1          ? "'max-device-width' has to be 0 or 1"
                        : s->big_endian                    ? "'big-endian' is not supported"
                        : s->secure                        ? "'secure' needs system management mode, which there is not"
                        : s->old_multiple_chip_handling    ? "'old-multiple-chip-handling' is not supported"
                        : !s->name || !s->name[0]          ? "'name' is required"
                        : !s->num_blocks                   ? "'num-blocks' is required"
                        : s->num_blocks > 65536            ? "'num-blocks' is at most 65536"
                        : !s->sector_length                ? "'sector-length' is required"
                        : s->sector_length % BLOCK_SECTOR || s->sector_length > 65535 * 256
                            ? "'sector-length' has to be a multiple of 512, less than 16 MiB"
                        : s->num_blocks * s->sector_length > 1u << 30 ? "the flash is larger than 1 GiB"
                                                                      : NULL;

    return !wrong || error_set(error, "cfi.pflash01: property %s", wrong);
}

static bool attach_image(Pflash *s, GError **error)
{
    BlockDeviceConf want = { .device = s, .needs_medium = true };
    int64_t length;

    s->read_only = front_is_read_only(s->conf.front);
    s->conf.rerror = s->conf.werror = BLOCKDEV_ON_ERROR_AUTO;
    s->conf.write_cache = PROPERTY_AUTO;
    if (!drive_conf_attach(&s->conf, &s->device, &want, error)) {
        return false;
    }
    length = front_length(s->conf.front);
    if (length != s->size) {
        drive_conf_detach(&s->conf);
        return error_set(error, "%s: the device has %u bytes, its image '%s' %" PRId64, s->name, s->size,
                         front_property(s->conf.front), length);
    }
    return true;
}

/* An image that belongs to the source still (-incoming) is not read: its contents come with the stream. */
static bool read_image(Pflash *s, GError **error)
{
    int ret = s->conf.front && !front_node(s->conf.front)->inactive ? front_read(s->conf.front, 0, s->size, s->storage) : 0;

    return ret >= 0 || error_set_errno(error, -ret, "%s: cannot read the image '%s'", s->name, front_property(s->conf.front));
}

static bool pflash_realize(Device *dev, GError **error)
{
    Pflash *s = (Pflash *)dev;

    if (!check_shape(s, error)) {
        return false;
    }
    s->size = s->num_blocks * s->sector_length;
    if (s->conf.front && !attach_image(s, error)) {
        return false;
    }
    s->region = memory_region_new_container(&dev->object, s->name, s->size);
    s->array = memory_region_new_rom_device(&dev->object, &pflash_ops, s, s->name, s->size, error);
    s->storage = s->array ? memory_region_ram_ptr(s->array) : NULL;
    if (!s->array || !read_image(s, error)) {
        g_clear_pointer(&s->array, memory_region_free);
        g_clear_pointer(&s->region, memory_region_free);
        drive_conf_detach(&s->conf);
        return false;
    }
    s->registers = memory_region_new_io(&dev->object, &pflash_ops, s, s->name, s->size);
    memory_region_set_enabled(s->registers, false);
    memory_region_map(s->region, 0, s->array);
    memory_region_map_overlap(s->region, 0, s->registers, 1);
    fill_query(s);
    s->status = STATUS_READY;
    s->blk_offset = BUFFER_NOWHERE;
    g_queue_init(&s->writes);
    s->vm_state = vm_state_add_handler(vm_state_changed, s, 0);
    s->quiesce = quiesce_register(&quiesce_ops, s);
    return true;
}

static void pflash_unrealize(Device *dev)
{
    Pflash *s = (Pflash *)dev;

    MAIN_LOOP_WHILE(s->checking || !g_queue_is_empty(&s->writes));
    quiesce_unregister(s->quiesce);
    vm_state_del_handler(s->vm_state);
    memory_region_free(s->registers);
    memory_region_free(s->array);
    memory_region_free(s->region);
    drive_conf_detach(&s->conf);
}

/*
 * Migration notes. The array is a RAM block and travels as one; a write to the image is finished before the machine stops (P2). A
 * command is carried between any two of its cycles, the buffer with what it has so far (P1). An erase that waits for its confirmation
 * is in a subsection that stock does not know: there the block is erased already, and would not be here. A stream without it
 * has an erased block, which is erased once more.
 * The image on this side may be a copy of its own: when the machine runs here it gets the contents that came.
 * Checked on load: cycle, command, where the buffer goes; a counter that means nothing (outside of cycle 2) is carried all the same.
 */
static bool pflash_pre_load(void *opaque, GError **error)
{
    Pflash *s = opaque;

    s->blk_offset = BUFFER_NOWHERE;
    s->erase_waits = 0;
    return true;
}

static bool state_is_known(const Pflash *s)
{
    static const uint8_t first[] = { CMD_ARRAY, CMD_PROGRAM, CMD_PROGRAM_ALT, CMD_ERASE, CMD_LOCK, CMD_STATUS, CMD_IDENTIFIER,
                                     CMD_BUFFER };
    static const uint8_t second[] = { CMD_PROGRAM, CMD_PROGRAM_ALT, CMD_ERASE, CMD_LOCK, CMD_QUERY, CMD_BUFFER };

    switch (s->wcycle) {
    case 0:
        return memchr(first, s->cmd, sizeof(first));
    case 1:
        return memchr(second, s->cmd, sizeof(second));
    case 2:
    case 3:
        return s->cmd == CMD_BUFFER;
    default:
        return false;
    }
}

static bool pflash_post_load(void *opaque, int version, GError **error)
{
    Pflash *s = opaque;

    if (!state_is_known(s)) {
        return error_set(error, "%s: cycle %u of command %02xh is none", s->name, s->wcycle, s->cmd);
    }
    if (s->wcycle == 2 && s->counter >= BUFFER_SIZE) {
        return error_set(error, "%s: the buffer has no room for %" PRIu64 " writes", s->name, s->counter);
    }
    if (s->blk_offset != BUFFER_NOWHERE &&
        (s->wcycle < 2 || s->blk_offset % BUFFER_SIZE || s->blk_offset > s->size - BUFFER_SIZE)) {
        return error_set(error, "%s: the buffer cannot be for offset 0x%x", s->name, s->blk_offset);
    }
    if (s->erase_waits > 1 || (s->erase_waits && (s->wcycle != 1 || s->cmd != CMD_ERASE))) {
        return error_set(error, "%s: no erase waits in cycle %u of command %02xh", s->name, s->wcycle, s->cmd);
    }
    s->arrived = true;
    update_mode(s);
    return true;
}

static bool buffer_needed(const void *opaque)
{
    return ((const Pflash *)opaque)->blk_offset != BUFFER_NOWHERE;
}

static const VmState vmstate_buffer = {
    .name = "pflash_cfi01_blk_write",
    .version = 1,
    .minimum_version = 1,
    .needed = buffer_needed,
    .fields = (const VmField[]){ VM_BYTES(Pflash, blk_bytes), VM_U32(Pflash, blk_offset), VM_END },
};

static bool erase_needed(const void *opaque)
{
    return ((const Pflash *)opaque)->erase_waits;
}

static const VmState vmstate_erase = {
    .name = "pflash_cfi01/erase",
    .version = 1,
    .minimum_version = 1,
    .needed = erase_needed,
    .fields = (const VmField[]){ VM_U8(Pflash, erase_waits), VM_END },
};

static const VmState vmstate_pflash = {
    .name = "pflash_cfi01",
    .version = 1,
    .minimum_version = 1,
    .pre_load = pflash_pre_load,
    .post_load = pflash_post_load,
    .fields = (const VmField[]){ VM_U8(Pflash, wcycle), VM_U8(Pflash, cmd), VM_U8(Pflash, status), VM_U64(Pflash, counter), VM_END },
    .subsections = (const VmState *const[]){ &vmstate_buffer, &vmstate_erase, NULL },
};

static const DeviceType pflash_cfi01_type = {
    .object = {
        .name = "cfi.pflash01",
        .parent = &device_type.object,
        .size = sizeof(Pflash),
        .properties = (const Property[]){
            DRIVE_PROPERTY_DRIVE(Pflash, conf),
            PROPERTY_UINT32("num-blocks", Pflash, num_blocks, "0", NULL),
            PROPERTY_UINT64("sector-length", Pflash, sector_length, "0", NULL),
            PROPERTY_UINT8("width", Pflash, width, "0", NULL),
            PROPERTY_UINT8("device-width", Pflash, device_width, "0", NULL),
            PROPERTY_UINT8("max-device-width", Pflash, max_device_width, "0", NULL),
            PROPERTY_BOOL("big-endian", Pflash, big_endian, "off", NULL),
            PROPERTY_BOOL("secure", Pflash, secure, "off", NULL),
            PROPERTY_UINT16("id0", Pflash, id[0], "0", NULL),
            PROPERTY_UINT16("id1", Pflash, id[1], "0", NULL),
            PROPERTY_UINT16("id2", Pflash, id[2], "0", NULL),
            PROPERTY_UINT16("id3", Pflash, id[3], "0", NULL),
            PROPERTY_STRING("name", Pflash, name, NULL),
            PROPERTY_BOOL("old-multiple-chip-handling", Pflash, old_multiple_chip_handling, "off", NULL),
            {},
        },
    },
    .bus = &system_bus_type,
    .category = DEVICE_CATEGORY_STORAGE,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .realize = pflash_realize,
    .unrealize = pflash_unrealize,
    .reset = pflash_reset,
    .migration = MIGRATES_WITH(vmstate_pflash),
};
DEVICE_REGISTER(pflash_cfi01_type);

/* ---- for boards -------------------------------------------------------------------------------------------------- */

Device *pflash_cfi01_new(const char *drive, GError **error)
{
    Device *dev = device_new(&pflash_cfi01_type);

    if (!object_set_text(&dev->object, "drive", drive, error)) {
        object_unref(dev);
        return NULL;
    }
    return dev;
}

BlockFront *pflash_cfi01_front(Device *dev)
{
    return ((Pflash *)dev)->conf.front;
}

bool pflash_cfi01_complete(Device *dev, Object *machine, const char *name, uint64_t size, uint32_t sector,
                           GError **error)
{
    object_set_string(&dev->object, "name", name);
    object_set_int(&dev->object, "num-blocks", size / sector);
    object_set_int(&dev->object, "sector-length", sector);
    object_set_int(&dev->object, "width", 1);
    device_set_tree_place(dev, machine, name);
    if (!device_realize(dev, system_bus(), error)) {
        object_unref(dev);
        return false;
    }
    return true;
}

MemoryRegion *pflash_cfi01_region(Device *dev)
{
    return ((Pflash *)dev)->region;
}

const void *pflash_cfi01_contents(Device *dev)
{
    return ((Pflash *)dev)->storage;
}
