/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Xen's interfaces as this folder uses them. Numbers and layouts are those of Xen's public headers (xen.h,
 * event_channel.h, grant_table.h, io/ring.h, io/blkif.h, io/xs_wire.h), for 64-bit x86 guests.
 */
#ifndef HW_XEN_XEN_H
#define HW_XEN_XEN_H

#include "hw/isa/isa.h"
#include "system/memory.h"

#define XEN_GUEST_DOMAIN 1
#define XEN_BACKEND_DOMAIN 0
#define XEN_PAGE 4096
#define XEN_PORTS 64 /* event channels; 0 is none */
#define XEN_GRANT_FRAMES 4
#define XEN_GRANTS_PER_FRAME (XEN_PAGE / 8)

/* errno.h of Xen */
enum { XEN_EPERM = 1, XEN_ENOENT = 2, XEN_EINVAL = 22, XEN_ENOSPC = 28, XEN_ENOSYS = 38 };

typedef enum XenbusState {
    XENBUS_UNKNOWN,
    XENBUS_INITIALISING,
    XENBUS_INIT_WAIT,
    XENBUS_INITIALISED,
    XENBUS_CONNECTED,
    XENBUS_CLOSING,
    XENBUS_CLOSED,
} XenbusState;

typedef struct XenHost XenHost;
typedef struct XenStore XenStore;
typedef struct XenDisk XenDisk;

/* ---- xenstore (xen-store.c) ---------------------------------------------------------------------------------- */

XenStore *xen_store_new(XenHost *host);
void xen_store_free(XenStore *store);
/* Everything goes, but what devices have written themselves comes back by xen_host_publish(). */
void xen_store_reset(XenStore *store);
/* The guest has signalled the store's event channel, or there is room again. */
void xen_store_kick(XenStore *store, hwaddr ring);
/* By the backend's side; a NULL value removes. Guests that watch hear of it. */
void xen_store_write(XenStore *store, const char *path, const char *value);
void xen_store_printf(XenStore *store, const char *path, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* NULL if it is not there; the store's. */
const char *xen_store_read(XenStore *store, const char *path);
/* A number; fallback if it is not there or none. */
uint64_t xen_store_read_number(XenStore *store, const char *path, uint64_t fallback);
/* The tree, watches, open transactions, and bytes in both directions that are on their way, for a stream. */
void xen_store_save(XenStore *store, GByteArray *out);
bool xen_store_load(XenStore *store, const uint8_t *data, size_t len, GError **error);

/* ---- the host (xen-host.c) -------------------------------------------------------------------------------------- */

extern const BusType xen_bus_type;
XenHost *xen_host_of(const Device *dev);
XenStore *xen_host_store(XenHost *host);

/* Binds the guest's unbound port to a function; false if it is not one. */
typedef void XenEvent(void *opaque);
bool xen_event_bind(XenHost *host, uint32_t port, XenEvent *func, void *opaque);
void xen_event_unbind(XenHost *host, uint32_t port);
/* Sets the guest's pending bit. raw: past the dirty log, for tests of what that does. */
void xen_event_notify(XenHost *host, uint32_t port);

/* A grant: guest-physical address of its page; false if the guest has not granted it so. The entry says that it is in
 * use until xen_grant_end(). */
bool xen_grant_begin(XenHost *host, uint32_t ref, bool write, hwaddr *address);
void xen_grant_end(XenHost *host, uint32_t ref);

/* A path of the guest's has changed (NULL: all have): the bus's devices look whether it is theirs. */
void xen_host_path_changed(XenHost *host, const char *path);
/* xen-disk.c */
void xen_disk_path_changed(XenDisk *disk, const char *path);
void xen_disk_publish(XenDisk *disk);

#endif
