/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Universal Serial Bus: buses, ports, devices, endpoints and packets (USB 2.0 specification,
 * chapters 5, 8, 9).
 *
 * A host controller owns a bus with root ports; hubs add ports below them. For each transaction
 * that its schedule asks for, the controller fills a packet and submits it to an endpoint. The
 * device answers at once, or keeps the packet (USB_ASYNC) and finishes it later.
 *
 * U1  At most one packet of an endpoint is with the device. Those submitted behind it wait in the
 *     core and are handed over in order; a packet that ends with anything but USB_OK (or short,
 *     with short_not_ok) sends those behind it back as canceled.
 * U2  A packet ends exactly once: by its submission's return value, by its `done` callback, or by
 *     usb_packet_cancel(). Until then controller and device must keep it and its buffers.
 * U3  Bytes move only between a packet and host memory that the controller owns or has mapped.
 *     Writing them and the status to the guest is the controller's work, and it does so only while
 *     the VM runs or in its quiesce (P2).
 * U4  Moving a VM: a packet that is with a device is in nobody's stream. The arriving controller
 *     finds its transaction still active in guest memory and submits it again. So:
 *       - A device saves its state as if a packet that it keeps had not been submitted, except for
 *         the bytes which it has already moved: those count. The core saves how far (actual_length)
 *         and, for IN, which bytes; the packet that comes again starts with actual_length > 0 and
 *         these bytes in place. A device continues from actual_length (usb_packet_copy() does) and
 *         asks usb_packet_room() how much is left, and so no byte is lost or repeated.
 *       - A packet that a device has finished but whose result the guest has not seen yet belongs
 *         to the controller, which writes it to guest memory in its quiesce, or carries it.
 *       - A device keeps no pointer to a packet over a save that the load would have to restore:
 *         after a load it has none, whatever it had before.
 * U5  A control transfer is a state machine in the core, saved with its data at every point between
 *     SETUP and status.
 * U6  usb_packet_finish() and usb_endpoint_wakeup() may be called at any time under the big lock,
 *     with the VM stopped as well.
 *
 * All under the big lock.
 */
#ifndef HW_USB_USB_H
#define HW_USB_USB_H

#include "hw/core/device.h"
#include "system/quiesce.h"
#include "util/iov.h"

typedef struct UsbBus UsbBus;
typedef struct UsbBusOps UsbBusOps;
typedef struct UsbPort UsbPort;
typedef struct UsbPortOps UsbPortOps;
typedef struct UsbDevice UsbDevice;
typedef struct UsbDeviceOps UsbDeviceOps;
typedef struct UsbEndpoint UsbEndpoint;
typedef struct UsbPacket UsbPacket;
typedef struct UsbDesc UsbDesc;
typedef struct UsbDescDevice UsbDescDevice;
typedef struct UsbDescConfig UsbDescConfig;
typedef struct UsbDescInterface UsbDescInterface;
typedef struct UsbDescEndpoint UsbDescEndpoint;

/* ---- constants of the specification ---------------------------------------------------------- */

typedef enum UsbSpeed { USB_SPEED_LOW, USB_SPEED_FULL, USB_SPEED_HIGH, USB_SPEED_SUPER } UsbSpeed;
#define USB_SPEED_BIT(speed) (1u << (speed))

/* Packet identifiers (8.3.1). */
typedef enum UsbPid { USB_PID_OUT = 0xe1, USB_PID_IN = 0x69, USB_PID_SETUP = 0x2d } UsbPid;

/* bmAttributes of an endpoint, low bits (9.6.6). */
typedef enum UsbTransferType {
    USB_TRANSFER_CONTROL = 0,
    USB_TRANSFER_ISO = 1,
    USB_TRANSFER_BULK = 2,
    USB_TRANSFER_INTERRUPT = 3,
    USB_TRANSFER_NONE = 255 /* no such endpoint in the active configuration */
} UsbTransferType;

/* Descriptor types (9.4, table 9-5). */
enum {
    USB_DESC_DEVICE = 1,
    USB_DESC_CONFIG = 2,
    USB_DESC_STRING = 3,
    USB_DESC_INTERFACE = 4,
    USB_DESC_ENDPOINT = 5,
    USB_DESC_DEVICE_QUALIFIER = 6,
    USB_DESC_OTHER_SPEED_CONFIG = 7,
    USB_DESC_BOS = 15,
    USB_DESC_HID = 0x21,
    USB_DESC_HID_REPORT = 0x22,
    USB_DESC_HUB = 0x29,
};

/* Standard requests (table 9-4) and features (table 9-6). */
enum {
    USB_REQ_GET_STATUS = 0,
    USB_REQ_CLEAR_FEATURE = 1,
    USB_REQ_SET_FEATURE = 3,
    USB_REQ_SET_ADDRESS = 5,
    USB_REQ_GET_DESCRIPTOR = 6,
    USB_REQ_SET_DESCRIPTOR = 7,
    USB_REQ_GET_CONFIGURATION = 8,
    USB_REQ_SET_CONFIGURATION = 9,
    USB_REQ_GET_INTERFACE = 10,
    USB_REQ_SET_INTERFACE = 11,
    USB_REQ_SYNCH_FRAME = 12,

    USB_FEATURE_ENDPOINT_HALT = 0,
    USB_FEATURE_REMOTE_WAKEUP = 1,
};

/* bmRequestType (table 9-2). */
enum {
    USB_DIR_OUT = 0x00,
    USB_DIR_IN = 0x80,
    USB_TYPE_STANDARD = 0x00,
    USB_TYPE_CLASS = 0x20,
    USB_TYPE_VENDOR = 0x40,
    USB_RECIP_DEVICE = 0x00,
    USB_RECIP_INTERFACE = 0x01,
    USB_RECIP_ENDPOINT = 0x02,
    USB_RECIP_OTHER = 0x03,
};
/* bmRequestType and bRequest in one number, for switches: USB_REQUEST(USB_DIR_IN | USB_TYPE_CLASS |
 * …, 0xfe). */
#define USB_REQUEST(type, req) (((unsigned)(type) << 8) | (unsigned)(req))

/* Class codes used here. */
enum { USB_CLASS_HID = 3, USB_CLASS_MASS_STORAGE = 8, USB_CLASS_HUB = 9 };

/* ---- packets --------------------------------------------------------------------------------- */

typedef enum UsbStatus {
    USB_OK,      /* actual_length bytes moved; less than asked for is a short packet */
    USB_NAK,     /* nothing now: ask again */
    USB_STALL,   /* endpoint halted, or request refused */
    USB_BABBLE,  /* the device has more than fits */
    USB_IOERROR, /* no valid answer: CRC, time-out, wrong PID */
    USB_NODEV,   /* nobody at this address */
    USB_ASYNC,   /* kept by the device: `done` will be called */
    USB_CANCELED, /* to `done` only: not processed, because one before it failed (U1) or the endpoint went away */
} UsbStatus;

typedef enum UsbPacketState {
    USB_PACKET_IDLE,   /* not set up, or ended and reported */
    USB_PACKET_READY,  /* set up by the controller */
    USB_PACKET_QUEUED, /* behind another one of its endpoint */
    USB_PACKET_ASYNC,  /* kept by the device */
} UsbPacketState;

/* Embedded in the controller's own structure for a transaction. */
struct UsbPacket {
    /* Set by usb_packet_setup(); constant until the packet ends. */
    UsbPid pid;
    UsbEndpoint *ep;
    uint64_t id; /* the controller's name for it (address of the TD): for logs */
    bool short_not_ok; /* a short packet stops the queue */
    bool int_req;      /* the guest wants an interrupt when it is done */
    IoVec data;        /* filled by the controller with usb_packet_add_buffer() */
    /* The device's side. */
    size_t actual_length; /* bytes moved so far; may be > 0 at submission (U4) */
    UsbStatus status;
    UsbPacketState state;
    void *device_data; /* the device's, while it keeps the packet; NULL at submission */
    /* Called once for a packet whose submission answered USB_ASYNC, with the final status in the
     * packet. */
    void (*done)(UsbPacket *p, void *opaque);
    void *opaque;
    bool submitting; /* private: within usb_packet_submit() */
    GList link;      /* private: in the endpoint's queue */
};

/* Once in its life; done and opaque as above (done may be NULL for a controller that waits for no
 * packet). */
void usb_packet_init(UsbPacket *p, void (*done)(UsbPacket *p, void *opaque), void *opaque);
void usb_packet_destroy(UsbPacket *p);
/* Makes p a new, empty transaction. p must be IDLE or READY. */
void usb_packet_setup(UsbPacket *p, UsbPid pid, UsbEndpoint *ep, uint64_t id, bool short_not_ok,
                      bool int_req);
void usb_packet_add_buffer(UsbPacket *p, void *base, size_t len);

/* Controller: hands p to its endpoint. USB_ASYNC: kept; anything else: ended. dev NULL: USB_NODEV. */
UsbStatus usb_packet_submit(UsbDevice *dev, UsbPacket *p);
/* Controller: takes back a packet that is QUEUED or ASYNC. `done` is not called. */
void usb_packet_cancel(UsbPacket *p);
static inline bool usb_packet_in_flight(const UsbPacket *p)
{
    return p->state == USB_PACKET_QUEUED || p->state == USB_PACKET_ASYNC;
}

/* Device: bytes that the packet still takes or has. */
size_t usb_packet_room(const UsbPacket *p);
/* Device: moves len bytes between data and the packet at actual_length, which advances: IN copies
 * data → packet, OUT and SETUP packet → data. len must not exceed the room. */
void usb_packet_copy(UsbPacket *p, void *data, size_t len);
/* The same without copying: for OUT, or IN bytes that are zeros (they are cleared). */
void usb_packet_skip(UsbPacket *p, size_t len);
/* Device: p, which it kept (USB_ASYNC), has ended with p->status (not USB_ASYNC; USB_NAK means:
 * submit again). The controller may submit the next packet from within. The device must not touch p
 * any more. */
void usb_packet_finish(UsbDevice *dev, UsbPacket *p);

/* ---- endpoints ------------------------------------------------------------------------------- */

struct UsbEndpoint {
    uint8_t nr; /* 0..15 */
    UsbPid pid; /* USB_PID_IN or USB_PID_OUT; 0 for the control endpoint */
    UsbTransferType type;
    uint8_t interface; /* that it belongs to; 255: none */
    uint16_t max_packet_size;
    bool halted; /* stalled until CLEAR_FEATURE(ENDPOINT_HALT), or for the device to use */
    UsbDevice *dev;
    GQueue queue; /* UsbPacket.link: the one with the device first */
    /* Progress that arrived with a migration and belongs to the next packet (U4). */
    uint64_t carried_id; /* its id */
    uint32_t carried_length;
    uint8_t *carried_data; /* IN: that many bytes; NULL for OUT */
};

/* pid is USB_PID_IN or USB_PID_OUT; nr 0 gives the control endpoint for any pid (SETUP as well). */
UsbEndpoint *usb_endpoint_get(UsbDevice *dev, UsbPid pid, unsigned nr);
/* Device: something has happened on an endpoint that answered NAK; also remote wakeup of a
 * suspended port, if the guest has enabled it. stream is for later buses: 0. */
void usb_endpoint_wakeup(UsbEndpoint *ep);
/* Device: halts or un-halts as SET_FEATURE / CLEAR_FEATURE(ENDPOINT_HALT) of the guest would.
 * Packets to a halted endpoint get USB_STALL from the core. */
void usb_endpoint_set_halted(UsbEndpoint *ep, bool halted);
/* Cancels what is with the device and returns the queue to the controller as USB_CANCELED or
 * `status`. */
void usb_endpoint_flush(UsbEndpoint *ep, UsbStatus status);

/* ---- descriptors ----------------------------------------------------------------------------- */

struct UsbDescEndpoint {
    uint8_t address; /* bEndpointAddress: number | 0x80 for IN */
    uint8_t attributes;
    uint16_t max_packet_size;
    uint8_t interval;
    uint8_t max_burst;    /* SuperSpeed companion descriptor; used at super speed only */
    const uint8_t *extra; /* further descriptors behind it; each starts with its length */
    size_t extra_len;
};

struct UsbDescInterface {
    uint8_t number;
    uint8_t alternate;
    uint8_t class, subclass, protocol;
    uint8_t string;
    uint8_t num_endpoints;
    const UsbDescEndpoint *endpoints;
    const uint8_t *extra; /* class descriptors (HID…) between interface and endpoints */
    size_t extra_len;
};

struct UsbDescConfig {
    uint8_t value; /* bConfigurationValue, not 0 */
    uint8_t string;
    uint8_t attributes;     /* bit 7 set; bit 6 self-powered, bit 5 remote wakeup */
    uint8_t max_power;      /* in units of 2 mA */
    uint8_t num_interfaces; /* different interface numbers */
    uint8_t num_settings;   /* entries of interfaces[], alternate settings included */
    const UsbDescInterface *interfaces;
};

/* What the device looks like at one speed. */
struct UsbDescDevice {
    uint16_t usb_version; /* bcdUSB */
    uint8_t class, subclass, protocol;
    uint8_t max_packet_size0; /* SuperSpeed: exponent */
    uint8_t num_configs;
    const UsbDescConfig *configs;
};

struct UsbDesc {
    uint16_t vendor, product, device_version;
    uint8_t manufacturer_string, product_string, serial_string; /* indexes, 0: none */
    const UsbDescDevice *low, *full, *high, *super; /* NULL: does not run at this speed */
    /* Microsoft OS descriptors 1.0 with SelectiveSuspendEnabled, behind string 0xee; off with
     * msos-desc=off. */
    bool msos_selective_suspend;
    const char *const *strings; /* [index] → UTF-8; NULL entries are absent; ended by num_strings */
    unsigned num_strings;
};

/* Builds descriptors as GET_DESCRIPTOR returns them, untruncated; NULL if there is none. For
 * devices and tests. */
GByteArray *usb_desc_build(UsbDevice *dev, uint8_t type, uint8_t index, uint16_t language);
/* An instance's own text for a string index (serial number…), instead of the table's; NULL goes
 * back to it. */
void usb_device_set_string(UsbDevice *dev, unsigned index, const char *text);
const char *usb_device_get_string(const UsbDevice *dev, unsigned index);

/* ---- devices --------------------------------------------------------------------------------- */

/* Chapter 9.1; the numbers are on the wire. There Address and Configured are Default as well: addr
 * and configuration tell them apart. */
typedef enum UsbDeviceState {
    USB_STATE_NOT_ATTACHED = 0,
    USB_STATE_ATTACHED = 1, /* has not been reset yet: answers nothing */
    USB_STATE_POWERED = 2,
    USB_STATE_DEFAULT = 3,
} UsbDeviceState;

#define USB_MAX_ENDPOINTS 15
#define USB_MAX_INTERFACES 16
#define USB_CONTROL_BUFFER_SIZE 4096

struct UsbDevice {
    Device device;
    /* Properties. */
    char *port_path; /* "1", "1.2" as given; where it is: port->path */
    char *serial;    /* NULL: made from the descriptor's and the place */
    bool msos_desc;
    bool carry_transfers; /* see docs/devel/usb.md, "Leaving for a stock destination" */
    /* Set by the device in init or realize. */
    const UsbDesc *desc;    /* NULL: the type's */
    bool auto_attach;       /* default true; false: usb_device_attach() comes later (usb-bot) */
    bool attached_writable; /* property "attached" may be set */
    /* State; saved as "USBDevice". */
    uint8_t addr;
    int32_t state;         /* UsbDeviceState */
    int32_t remote_wakeup; /* the guest has enabled it */
    int32_t setup_state;
    int32_t setup_len;
    int32_t setup_index;
    uint8_t setup_buf[8];
    uint8_t data_buf[USB_CONTROL_BUFFER_SIZE];
    /* Derived. */
    UsbSpeed speed;
    unsigned speed_mask;
    bool attached;
    UsbPort *port;
    const UsbDescDevice *desc_device; /* at the present speed */
    const UsbDescConfig *desc_config; /* NULL: not configured */
    uint8_t configuration;
    uint8_t alternate[USB_MAX_INTERFACES];
    UsbEndpoint ep0, ep_in[USB_MAX_ENDPOINTS], ep_out[USB_MAX_ENDPOINTS];
    char **own_strings; /* private, see usb_device_set_string() */
    UsbPacket *
        control_packet; /* private: SETUP or data packet that waits for an asynchronous control() */
    bool control_replay; /* private: data_buf did not come with the stream */
    /* Private: scratch of the description. */
    uint8_t *saved;
    uint32_t saved_len;
    uint16_t saved_halted_in, saved_halted_out;
    bool config_arrived;
};

#define USB_DEVICE(obj) ((UsbDevice *)(obj))

/* DeviceType.ops of a USB device. The DeviceType's parent is &usb_device_type (or a subtype) and
 * leaves realize, unrealize, reset and bus to it. */
struct UsbDeviceOps {
    const char *product; /* product name in `info usb`; NULL: as in the descriptor */
    const char
        *firmware_name; /* "storage", "hub": its word in a boot path; NULL: the type's name */
    const UsbDesc *desc;
    /* Life cycle: realize runs before the device is attached to its port. */
    bool (*realize)(UsbDevice *dev, GError **error);
    void (*unrealize)(UsbDevice *dev);
    void (*attach)(UsbDevice *dev); /* has been plugged into a powered port; may be NULL */
    void (*detach)(UsbDevice *dev);
    /* Bus reset (7.1.7.5) and system reset; the core's state is back at Default, packets are
     * canceled. */
    void (*bus_reset)(UsbDevice *dev);
    /*
     * A control request that the core does not answer itself (it does all standard ones for which
     * desc has the answer, and SET_ADDRESS). data has room for length bytes. IN: fill data and set
     * p->actual_length to the answer's length; OUT: the data stage is complete in data. Refuse with
     * p->status = USB_STALL; USB_ASYNC and usb_packet_finish() later are allowed, and then the
     * request must be repeatable (U4). Called once per transfer: for IN when SETUP arrives, for OUT
     * when the status stage begins; p->actual_length is 0.
     */
    void (*control)(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned value, unsigned index,
                    unsigned length, uint8_t *data);
    /* A transaction on another endpoint of the active configuration. Moves bytes with
     * usb_packet_copy() and sets p->status; USB_OK is preset. */
    void (*data)(UsbDevice *dev, UsbPacket *p);
    /* The controller takes back a packet that the device keeps; bytes already moved are gone. */
    void (*cancel)(UsbDevice *dev, UsbPacket *p);
    void (*set_configuration)(UsbDevice *dev, unsigned old_value,
                              unsigned new_value); /* may be NULL */
    void (*set_interface)(UsbDevice *dev, unsigned interface, unsigned old_alt, unsigned new_alt);
    /* ENDPOINT_HALT was set or cleared by the guest; may be NULL. */
    void (*endpoint_halted)(UsbDevice *dev, UsbEndpoint *ep);
    /* Hubs: the device behind that answers to addr. NULL for others. */
    UsbDevice *(*find_device)(UsbDevice *hub, uint8_t addr);
};

extern const DeviceType usb_device_type; /* "usb-device", abstract */
extern const BusType usb_bus_type;       /* "usb-bus" */

/*
 * First field of every USB device's vmstate: VM_USB_DEVICE(UsbKbd, usb). Its content is stock's
 * "USBDevice" version 1 (29 bytes); what stock lacks is in subsections that appear only with a
 * transfer in progress.
 */
extern const VmState usb_device_vmstate;
#define VM_USB_DEVICE(state_, member_)                                          \
    {                                                                           \
        .name = "dev", .offset = VM_CHECKED_OFFSET(state_, member_, UsbDevice), \
        .size = sizeof(UsbDevice), .vmstate = &usb_device_vmstate               \
    }

const UsbDeviceOps *usb_device_ops(const UsbDevice *dev);
/* Appear on / vanish from the port, as plugging and pulling the cable does. Idempotent. */
bool usb_device_attach(UsbDevice *dev, GError **error);
void usb_device_detach(UsbDevice *dev);
/* Reset signalling on the port: state Default, address 0, no configuration, all packets canceled. */
void usb_device_bus_reset(UsbDevice *dev);
/* "full-speed"-like name in Mb/s as info usb prints: "1.5", "12", "480", "5000". */
const char *usb_speed_name(UsbSpeed speed);

/* ---- ports and buses ------------------------------------------------------------------------- */

struct UsbPortOps {
    /* port->dev has appeared (dev->speed is chosen) / is about to vanish: connect status and change
     * bits. */
    void (*attach)(UsbPort *port);
    void (*detach)(UsbPort *port);
    /* A device below this root port, at any depth, vanishes: forget its packets (they are canceled
     * already). */
    void (*device_gone)(UsbPort *port, UsbDevice *dev);
    /* Resume signalling from port->dev or from below it. */
    void (*wakeup)(UsbPort *port);
    /* Whether transactions reach port->dev now (enabled, not suspended). */
    bool (*enabled)(UsbPort *port);
};

struct UsbPort {
    UsbBus *bus;
    UsbDevice *dev;       /* attached device, or NULL */
    UsbDevice *owner_dev; /* the plugged one, attached or not; NULL: port is free */
    UsbPort *upstream;    /* the port of the hub that has this one; NULL for a root port */
    unsigned index;       /* 0-based within controller or hub */
    unsigned hub_count;   /* hubs between root and here */
    char path[16];        /* "1", "1.2", … */
    unsigned speed_mask;
    const UsbPortOps *ops;
    void *opaque;
    GList link, claim_link; /* private */
};

struct UsbBusOps {
    /* An endpoint that answered NAK has something now, or a packet ended: look at the schedule
     * soon. May be NULL. */
    void (*endpoint_ready)(UsbBus *bus, UsbEndpoint *ep);
    /* Takes a companion's ports first..first+n-1 (EHCI). NULL: cannot be a master bus. */
    bool (*register_companion)(UsbBus *bus, UsbPort *ports[], unsigned n, unsigned first,
                               GError **error);
};

struct UsbBus {
    Bus bus;
    int busnr;
    const UsbBusOps *ops;
    void *opaque;
    GQueue ports;          /* UsbPort.link, all, in order of registration */
    GQueue free_ports;     /* UsbPort.claim_link: next to be given first */
    GQueue used_ports;     /* UsbPort.claim_link: in order of plugging */
    QuiesceEntry *quiesce; /* private */
};

#define USB_BUS(obj) ((UsbBus *)(obj))

/* A bus that hangs off a controller; destroy with usb_bus_free() after its ports are gone. */
UsbBus *usb_bus_new(Device *controller, const UsbBusOps *ops, void *opaque);
void usb_bus_free(UsbBus *bus);
/* Adds root port `index` (path "index + 1"). port is the caller's and zeroed. */
void usb_bus_add_port(UsbBus *bus, UsbPort *port, unsigned index, unsigned speed_mask,
                      const UsbPortOps *ops, void *opaque);
/* Adds a port of a hub that is plugged into upstream (path "<upstream>.<index + 1>"). */
void usb_bus_add_hub_port(UsbBus *bus, UsbPort *port, UsbPort *upstream, unsigned index,
                          unsigned speed_mask, const UsbPortOps *ops, void *opaque);
/* The port must have no device. */
void usb_bus_remove_port(UsbPort *port);
/* Joins ports to the EHCI controller on the bus of that name (property masterbus of the ICH9
 * functions). */
bool usb_bus_register_companion(const char *masterbus, UsbPort *ports[], unsigned n, unsigned first,
                                GError **error);
/* The device at addr behind port (the port's own or, through hubs, one below it); NULL if none
 * answers. Only devices whose ports, up to this one, are enabled are found. */
UsbDevice *usb_port_find_device(UsbPort *port, uint8_t addr);
/* Reset signalling on a port; no-op without a device. */
void usb_port_reset(UsbPort *port);
/* Ends every packet of every device on the port and below as canceled (host controller reset). */
void usb_port_cancel_all(UsbPort *port);

#endif
