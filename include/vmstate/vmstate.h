/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptions of saved state, their encoder and decoder.
 *
 * A VmState is a constant table beside the struct that it describes. The bytes that it yields are
 * QEMU's: big-endian scalars in table order, then subsections (byte 0x05, length-prefixed name, be32
 * version, content). The same table writes the JSON description at the end of a stream.
 *
 * V1  Encoding has no side effects on the guest-visible state.
 * V2  Decoding never writes outside a member: every count is checked against the array it fills.
 * V3  After a failed decode the object may hold half a state; the VM must not run it.
 * V4  A field is either in the stream or not by the table, the version and `exists` alone.
 */
#ifndef VMSTATE_VMSTATE_H
#define VMSTATE_VMSTATE_H

#include <stddef.h>
#include <sys/uio.h>
#include <glib.h>
#include <json-c/json.h>

typedef struct VmState VmState;
typedef struct VmField VmField;
typedef struct VmKind VmKind;
typedef struct VmWriter VmWriter;
typedef struct VmReader VmReader;

/* ---- byte streams ---------------------------------------------------------------------------------- */

/* Output: one growing buffer. */
VmWriter *vm_writer_new(void);
void vm_writer_free(VmWriter *w);
void vm_put_u8(VmWriter *w, uint8_t v);
void vm_put_be16(VmWriter *w, uint16_t v);
void vm_put_be32(VmWriter *w, uint32_t v);
void vm_put_be64(VmWriter *w, uint64_t v);
void vm_put_bytes(VmWriter *w, const void *data, size_t len);
/* Length byte and characters; at most 255. */
void vm_put_counted_string(VmWriter *w, const char *s);
size_t vm_writer_tell(const VmWriter *w);
/* The bytes so far (owned by the writer, valid until the next put); reset empties it. */
const uint8_t *vm_writer_data(const VmWriter *w, size_t *len);
void vm_writer_reset(VmWriter *w);
/* Room for len bytes from the beginning, of memory that is really there: the first access to a fresh page costs more than
 * what is put into it. */
void vm_writer_reserve(VmWriter *w, size_t len);

/*
 * Input: pulls bytes from a source as needed, in large pieces: it may have taken more than was asked for. Errors are sticky: after the first one every get returns
 * zero and vm_reader_ok() is false, so that a run of gets is checked once.
 */
typedef struct VmSource {
    /* Fills buf with 1..len bytes; returns the count, 0 at the end of the stream, or -1 with an error. May block. */
    ssize_t (*read)(void *opaque, void *buf, size_t len, GError **error);
    void *opaque;
    /* The same into a vector; may be NULL. */
    ssize_t (*readv)(void *opaque, const struct iovec *iov, unsigned niov, GError **error);
} VmSource;

VmReader *vm_reader_new(const VmSource *source);
VmReader *vm_reader_new_from_memory(const void *data, size_t len); /* data must outlive it */
void vm_reader_free(VmReader *r);
uint8_t vm_get_u8(VmReader *r);
uint16_t vm_get_be16(VmReader *r);
uint32_t vm_get_be32(VmReader *r);
uint64_t vm_get_be64(VmReader *r);
/* All len bytes or a sticky error. */
bool vm_get_bytes(VmReader *r, void *buf, size_t len);
bool vm_skip_bytes(VmReader *r, size_t len);
/*
 * For bulk data whose shape can be guessed: takes what is buffered (at most len bytes) into buf and returns the count.
 * Then, with nothing buffered, one read of the source straight into a vector; 0 if the source cannot do that, or after
 * an error. What turns out to be something else goes back: vm_reader_unread(), len <= VM_UNREAD_MAX.
 */
#define VM_UNREAD_MAX (576 * 1024)
size_t vm_take_buffered(VmReader *r, void *buf, size_t len);
size_t vm_read_scattered(VmReader *r, const struct iovec *iov, unsigned niov);
void vm_reader_unread(VmReader *r, const struct iovec *iov, unsigned niov);
/* The source goes on somewhere else: what is buffered is forgotten. */
void vm_reader_restart(VmReader *r);
/* Before the first get: bytes of the stream that were read from the source by other means. */
void vm_reader_push(VmReader *r, const struct iovec *iov, unsigned niov);
/* Reads a counted string into buf[256]. */
bool vm_get_counted_string(VmReader *r, char buf[256]);
/* Looks at up to len (<= 1024) bytes at offset ahead without taking them; returns how many there are. */
size_t vm_peek_bytes(VmReader *r, void *buf, size_t len, size_t offset);
bool vm_reader_ok(const VmReader *r);
/* Makes the reader fail with this message, unless it failed already. Returns false. */
bool vm_reader_fail(VmReader *r, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Moves the sticky error (or a copy) out; false if there is one. */
bool vm_reader_check(VmReader *r, GError **error);
uint64_t vm_reader_tell(const VmReader *r);

/* ---- descriptions ---------------------------------------------------------------------------------- */

/*
 * How one element is written and read; elem is its address (in the state, or behind the member if that is a
 * pointer). A get that fails sets the error, or fails the reader; the caller adds description and field.
 */
struct VmKind {
    const char *name; /* "uint32", "bool", "timer", "buffer", "unused_buffer": as in the JSON description */
    bool (*put)(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error);
    bool (*get)(VmReader *r, void *elem, size_t size, const VmField *field, GError **error);
};

typedef enum VmFieldShape {
    VM_SCALAR = 0,      /* one element at offset */
    VM_ARRAY,           /* num elements */
    VM_VARRAY,          /* count in the member at num_offset (of num_kind), at most num */
    VM_BUFFER,          /* size bytes, one element */
    VM_VBUFFER,         /* pointer member; length in the member at num_offset, at most num */
    VM_TMP,             /* derived values: vmstate describes a temporary struct, see VM_WITH_TMP */
} VmFieldShape;

enum {
    VM_POINTER = 1 << 0,   /* the member is a pointer to the element(s); must be set on load */
    VM_ALLOC = 1 << 1,     /* with VM_POINTER: on load the old one is g_free'd and one of the right size made */
    VM_ARRAY_OF_POINTERS = 1 << 2,
    VM_MUST_EXIST = 1 << 3 /* always in the stream, whatever `exists` says (counts, unused space) */
};

typedef enum VmCountKind { VM_COUNT_U8, VM_COUNT_U16, VM_COUNT_U32, VM_COUNT_I32 } VmCountKind;

struct VmField {
    const char *name;
    size_t offset;
    size_t size;                 /* of one element */
    uint32_t num;                /* elements, or the limit for variable counts */
    size_t num_offset;
    VmCountKind num_kind;
    VmFieldShape shape;
    unsigned flags;
    const VmKind *kind;          /* NULL if vmstate is set */
    const VmState *vmstate;      /* element is a struct described so */
    int version;                 /* in the stream since this version of the description */
    int struct_version;          /* for vmstate: the version to write and read it with (0: its own) */
    bool (*exists)(const void *opaque, int version); /* NULL: always */
    /* Checked after reading (scalars): false refuses the stream by field name. */
    bool (*valid)(const void *opaque, int64_t value);
};

/* The order of sections within a stream; higher first. */
typedef enum VmPriority {
    VM_PRIORITY_DEFAULT = 0,
    VM_PRIORITY_IOMMU,
    VM_PRIORITY_PCI_BUS,
    VM_PRIORITY_GICV3_ITS,
    VM_PRIORITY_GICV3,
    VM_PRIORITY_EARLY_SETUP,
} VmPriority;

struct VmState {
    const char *name;            /* section or subsection name on the wire */
    int version;
    int minimum_version;         /* oldest that loads */
    VmPriority priority;
    const VmField *fields;       /* ended by an entry without a name */
    const VmState *const *subsections; /* ended by NULL; may be NULL */
    bool (*needed)(const void *opaque); /* for subsections and whole sections; NULL: yes */
    bool (*pre_save)(void *opaque, GError **error);
    void (*post_save)(void *opaque);
    bool (*pre_load)(void *opaque, GError **error);
    bool (*post_load)(void *opaque, int version, GError **error);
};

extern const VmKind vm_kind_bool, vm_kind_u8, vm_kind_u16, vm_kind_u32, vm_kind_u64, vm_kind_i8,
    vm_kind_i16, vm_kind_i32, vm_kind_i64, vm_kind_buffer, vm_kind_unused, vm_kind_timer,
    vm_kind_equal_u8, vm_kind_equal_u16, vm_kind_equal_u32, vm_kind_equal_i32, vm_kind_equal_u64,
    vm_kind_i32_at_most, /* "int32 le": 0 .. the value that the member has now */
    vm_kind_bitmap /* of num bits, as be64 words */;

/*
 * Table entries. `type` is checked against the member. The _V forms add the version that brought the
 * field, the _TEST forms an `exists` function.
 */
#define VM_MEMBER(state, member) (((state *)0)->member)
#define VM_CHECKED_OFFSET(state, member, type) \
    (offsetof(state, member) + 0 * sizeof((type *)0 == &VM_MEMBER(state, member)))
/* n elements of that type fit into the member. */
#define VM_CHECKED_ARRAY_OFFSET(state, member, type, n) \
    (offsetof(state, member) +                           \
     0 * sizeof(char[(n) * sizeof(type) <= sizeof(VM_MEMBER(state, member)) ? 1 : -1]))
#define VM_COUNT_KIND_OF(state, member) \
    _Generic(VM_MEMBER(state, member), uint8_t: VM_COUNT_U8, uint16_t: VM_COUNT_U16, \
             uint32_t: VM_COUNT_U32, int32_t: VM_COUNT_I32)
#define VM_SCALAR_FULL(k, ctype, state, member, ver, test)                                    \
    { .name = #member, .offset = VM_CHECKED_OFFSET(state, member, ctype), .size = sizeof(ctype), \
      .kind = &vm_kind_##k, .version = (ver), .exists = (test) }
#define VM_BOOL(state, member) VM_SCALAR_FULL(bool, bool, state, member, 0, NULL)
#define VM_U8(state, member) VM_SCALAR_FULL(u8, uint8_t, state, member, 0, NULL)
#define VM_U16(state, member) VM_SCALAR_FULL(u16, uint16_t, state, member, 0, NULL)
#define VM_U32(state, member) VM_SCALAR_FULL(u32, uint32_t, state, member, 0, NULL)
#define VM_U64(state, member) VM_SCALAR_FULL(u64, uint64_t, state, member, 0, NULL)
#define VM_I32(state, member) VM_SCALAR_FULL(i32, int32_t, state, member, 0, NULL)
#define VM_I64(state, member) VM_SCALAR_FULL(i64, int64_t, state, member, 0, NULL)
#define VM_BOOL_V(state, member, v) VM_SCALAR_FULL(bool, bool, state, member, v, NULL)
#define VM_U8_V(state, member, v) VM_SCALAR_FULL(u8, uint8_t, state, member, v, NULL)
#define VM_U16_V(state, member, v) VM_SCALAR_FULL(u16, uint16_t, state, member, v, NULL)
#define VM_U32_V(state, member, v) VM_SCALAR_FULL(u32, uint32_t, state, member, v, NULL)
#define VM_U64_V(state, member, v) VM_SCALAR_FULL(u64, uint64_t, state, member, v, NULL)
#define VM_I32_V(state, member, v) VM_SCALAR_FULL(i32, int32_t, state, member, v, NULL)
#define VM_I64_V(state, member, v) VM_SCALAR_FULL(i64, int64_t, state, member, v, NULL)
/* int and unsigned members travel as int32 and uint32; enums as int32 (give `valid` where it matters). */
#define VM_TIMER(state, member) VM_SCALAR_FULL(timer, Timer, state, member, 0, NULL)
#define VM_TIMER_V(state, member, v) VM_SCALAR_FULL(timer, Timer, state, member, v, NULL)
#define VM_ARRAY_OF(k, ctype, state, member, n, ver)                                           \
    { .name = #member, .offset = VM_CHECKED_ARRAY_OFFSET(state, member, ctype, n),             \
      .size = sizeof(ctype), .num = (n), .shape = VM_ARRAY, .kind = &vm_kind_##k, .version = (ver) }
#define VM_U8_ARRAY(state, member, n) VM_ARRAY_OF(u8, uint8_t, state, member, n, 0)
#define VM_U16_ARRAY(state, member, n) VM_ARRAY_OF(u16, uint16_t, state, member, n, 0)
#define VM_U32_ARRAY(state, member, n) VM_ARRAY_OF(u32, uint32_t, state, member, n, 0)
#define VM_U64_ARRAY(state, member, n) VM_ARRAY_OF(u64, uint64_t, state, member, n, 0)
#define VM_I32_ARRAY(state, member, n) VM_ARRAY_OF(i32, int32_t, state, member, n, 0)
#define VM_BYTES_V(state, member, ver)                                                         \
    { .name = #member, .offset = offsetof(state, member), .size = sizeof(((state *)0)->member), \
      .shape = VM_BUFFER, .kind = &vm_kind_buffer, .version = (ver) }
#define VM_BYTES(state, member) VM_BYTES_V(state, member, 0)
/* Bytes that once meant something: zeros out, anything in. */
#define VM_UNUSED_V(bytes, ver)                                                                \
    { .name = "unused", .size = (bytes), .shape = VM_BUFFER, .kind = &vm_kind_unused, .version = (ver) }
#define VM_UNUSED(bytes) VM_UNUSED_V(bytes, 0)
#define VM_STRUCT_FULL(state, member, vmsd, ctype, ver, test)                                  \
    { .name = #member, .offset = offsetof(state, member), .size = sizeof(ctype), .vmstate = &(vmsd), \
      .version = (ver), .exists = (test) }
#define VM_STRUCT(state, member, vmsd, ctype) VM_STRUCT_FULL(state, member, vmsd, ctype, 0, NULL)
#define VM_STRUCT_ARRAY(state, member, n, vmsd, ctype)                                         \
    { .name = #member, .offset = VM_CHECKED_ARRAY_OFFSET(state, member, ctype, n),             \
      .size = sizeof(ctype), .num = (n), .shape = VM_ARRAY, .vmstate = &(vmsd) }
#define VM_STRUCT_POINTER(state, member, vmsd, ctype)                                          \
    { .name = #member, .offset = offsetof(state, member), .size = sizeof(ctype),               \
      .vmstate = &(vmsd), .flags = VM_POINTER }
/* An enumeration or another member of four bytes, as int32. */
#define VM_ENUM(state, member)                                                                 \
    { .name = #member,                                                                         \
      .offset = offsetof(state, member) + 0 * sizeof(char[sizeof(VM_MEMBER(state, member)) == 4 ? 1 : -1]), \
      .size = 4, .kind = &vm_kind_i32 }
#define VM_BOOL_ARRAY(state, member, n) VM_ARRAY_OF(bool, bool, state, member, n, 0)
#define VM_I64_ARRAY(state, member, n) VM_ARRAY_OF(i64, int64_t, state, member, n, 0)

/*
 * The same with a name on the wire that differs from the member's:
 * VM_NAMED("num_ports_vmstate", equal_u8, uint8_t, UhciState, num_ports).
 */
#define VM_NAMED_FULL(wire, k, ctype, state, member, ver, test)                                \
    { .name = (wire), .offset = VM_CHECKED_OFFSET(state, member, ctype), .size = sizeof(ctype), \
      .kind = &vm_kind_##k, .version = (ver), .exists = (test) }
#define VM_NAMED(wire, k, ctype, state, member) VM_NAMED_FULL(wire, k, ctype, state, member, 0, NULL)
#define VM_NAMED_V(wire, k, ctype, state, member, v) VM_NAMED_FULL(wire, k, ctype, state, member, v, NULL)
#define VM_NAMED_TEST(wire, k, ctype, state, member, test) \
    VM_NAMED_FULL(wire, k, ctype, state, member, 0, test)
#define VM_NAMED_ENUM(wire, state, member)                                                     \
    { .name = (wire),                                                                          \
      .offset = offsetof(state, member) + 0 * sizeof(char[sizeof(VM_MEMBER(state, member)) == 4 ? 1 : -1]), \
      .size = 4, .kind = &vm_kind_i32 }
#define VM_NAMED_ARRAY(wire, k, ctype, state, member, n)                                       \
    { .name = (wire), .offset = VM_CHECKED_ARRAY_OFFSET(state, member, ctype, n),              \
      .size = sizeof(ctype), .num = (n), .shape = VM_ARRAY, .kind = &vm_kind_##k }
#define VM_NAMED_BYTES(wire, state, member)                                                    \
    { .name = (wire), .offset = offsetof(state, member), .size = sizeof(VM_MEMBER(state, member)), \
      .shape = VM_BUFFER, .kind = &vm_kind_buffer }
#define VM_NAMED_STRUCT(wire, state, member, vmsd, ctype)                                      \
    { .name = (wire), .offset = offsetof(state, member), .size = sizeof(ctype), .vmstate = &(vmsd) }
#define VM_NAMED_STRUCT_ARRAY(wire, state, member, n, vmsd, ctype)                             \
    { .name = (wire), .offset = VM_CHECKED_ARRAY_OFFSET(state, member, ctype, n),              \
      .size = sizeof(ctype), .num = (n), .shape = VM_ARRAY, .vmstate = &(vmsd) }
#define VM_NAMED_STRUCT_POINTER(wire, state, member, vmsd, ctype)                              \
    { .name = (wire), .offset = offsetof(state, member), .size = sizeof(ctype), .vmstate = &(vmsd), \
      .flags = VM_POINTER }
/* Pointers to structs that exist on both sides. */
#define VM_STRUCT_POINTER_ARRAY(wire, state, member, n, vmsd, ctype)                           \
    { .name = (wire), .offset = VM_CHECKED_ARRAY_OFFSET(state, member, ctype *, n),            \
      .size = sizeof(ctype), .num = (n), .shape = VM_ARRAY, .flags = VM_ARRAY_OF_POINTERS,     \
      .vmstate = &(vmsd) }
/* A kind of the device's own, for one member. */
#define VM_CUSTOM(wire, state, member, kind_)                                                  \
    { .name = (wire), .offset = offsetof(state, member), .size = sizeof(VM_MEMBER(state, member)), \
      .kind = &(kind_) }
/* A kind that gets the whole state and counts as so many bytes in the description (lists of requests: 1). */
#define VM_CUSTOM_WHOLE(wire, bytes, kind_) { .name = (wire), .size = (bytes), .kind = &(kind_) }

/*
 * Variable counts. The count is another member, described by an earlier entry; what arrives is checked
 * against the member's array, or `max` where the member is a pointer.
 */
#define VM_VARRAY_OF(wire, k, ctype, state, member, count)                                     \
    { .name = (wire), .offset = offsetof(state, member), .size = sizeof(ctype),                \
      .num = sizeof(VM_MEMBER(state, member)) / sizeof(ctype), .num_offset = offsetof(state, count), \
      .num_kind = VM_COUNT_KIND_OF(state, count), .shape = VM_VARRAY, .kind = &vm_kind_##k }
#define VM_STRUCT_VARRAY(wire, state, member, count, vmsd, ctype)                              \
    { .name = (wire), .offset = offsetof(state, member), .size = sizeof(ctype),                \
      .num = sizeof(VM_MEMBER(state, member)) / sizeof(ctype), .num_offset = offsetof(state, count), \
      .num_kind = VM_COUNT_KIND_OF(state, count), .shape = VM_VARRAY, .vmstate = &(vmsd) }
#define VM_STRUCT_VARRAY_POINTER(wire, state, member, count, max, vmsd, ctype, flags_)         \
    { .name = (wire), .offset = offsetof(state, member), .size = sizeof(ctype), .num = (max),  \
      .num_offset = offsetof(state, count), .num_kind = VM_COUNT_KIND_OF(state, count),        \
      .shape = VM_VARRAY, .flags = VM_POINTER | (flags_), .vmstate = &(vmsd) }
/* flags_: VM_ALLOC or 0. */
#define VM_VBYTES(wire, state, member, count, max, flags_)                                     \
    { .name = (wire), .offset = offsetof(state, member), .num = (max),                         \
      .num_offset = offsetof(state, count), .num_kind = VM_COUNT_KIND_OF(state, count),        \
      .shape = VM_VBUFFER, .flags = VM_POINTER | (flags_), .kind = &vm_kind_buffer }

/*
 * Derived values: `tmp_type` begins with `void *parent` (set to the state); its description's pre_save fills it
 * from the parent, its post_load puts what arrived where it belongs.
 */
#define VM_WITH_TMP(tmp_type, vmsd)                                                            \
    { .name = "tmp", .size = sizeof(tmp_type) + 0 * sizeof(((tmp_type *)0)->parent),           \
      .shape = VM_TMP, .vmstate = &(vmsd) }
#define VM_END { .name = NULL }

/* ---- encode and decode one description --------------------------------------------------------------- */

/* Appends fields and subsections (no section header). desc, if not NULL, gets the description as JSON text: the
 * members "vmsd_name", "version", "fields" and "subsections", without braces around them. */
bool vmstate_save(VmWriter *w, const VmState *vmsd, void *opaque, GString *desc, GError **error);
/* Reads what vmstate_save() of that version wrote. The error names description and field. */
bool vmstate_load(VmReader *r, const VmState *vmsd, void *opaque, int version, GError **error);
/* Whether the field is in the stream for this state and version (V4). */
bool vmstate_field_exists(const VmField *field, const void *opaque, int version);
/* Appends a JSON string with its quotes. */
void vmstate_json_string(GString *out, const char *s);
/* The static description as JSON (names, kinds, sizes, versions, subsections), for golden files. */
json_object *vmstate_describe(const VmState *vmsd);

/* ---- registry: what a stream is made of -------------------------------------------------------------- */

#define VM_INSTANCE_ANY UINT32_MAX

typedef struct VmSection {
    char *idstr;               /* "0000:00:01.2/uhci" */
    uint32_t instance_id;
    const VmState *vmsd;       /* NULL for handlers of another shape (RAM) */
    int version;               /* of the section as we write it */
    void *opaque;
    const void *handlers;      /* migration/'s, for iterative sections */
    const char *compat_idstr;  /* an older name that also matches on load, or NULL */
    uint32_t compat_instance_id;
    uint32_t section_id;       /* given at registration, sent in the stream */
    bool unmigratable;
    const char *reason;        /* why, for unmigratable ones */
} VmSection;

/* Registers a description under idstr (copied), NULL for something that is unmigratable (set the members then);
 * instance VM_INSTANCE_ANY takes the next free number. Order in a stream: priority, then registration. */
VmSection *vmstate_register(const char *idstr, uint32_t instance_id, const VmState *vmsd, void *opaque);
/* Iterative handlers (migration/ defines their shape). */
VmSection *vmstate_register_handlers(const char *idstr, uint32_t instance_id, int version,
                                     const void *handlers, void *opaque);
void vmstate_unregister(VmSection *section);
VmSection *vmstate_find(const char *idstr, uint32_t instance_id);
/* In stream order. false from func stops and is returned. */
typedef bool VmSectionFunc(VmSection *section, void *opaque);
bool vmstate_foreach(VmSectionFunc *func, void *opaque);

#endif
