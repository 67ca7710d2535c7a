/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backends that move the packets between the rings and the network themselves: -netdev vhost-user, and tap with vhost=on, where the
 * host's kernel does it. virtio-net asks its peer whether it is one, and hands its rings over. Main thread, big lock.
 */
#ifndef HW_VIRTIO_VHOST_NET_H
#define HW_VIRTIO_VHOST_NET_H

#include "hw/virtio/vhost-device.h"
#include "net/net.h"

typedef struct VhostNet VhostNet;

/* The backend of a card with those peers, n pairs; NULL if they are not of this kind. Ends with vhost_net_unrealize(). */
VhostNet *vhost_net_of(NetClient *const *peers, unsigned n);
/* Whether the card can do the backend's work: the kernel moves packets of a tap interface, which we could as well. A start that
 * fails is no error of the device then, unless vhostforce=on. */
bool vhost_net_is_optional(const VhostNet *net);
/* The back end has gone, or is there again: see vhost_net_is_away(). */
typedef void VhostNetChanged(VirtioDevice *vdev);
/* In realize, before virtio_init(): a back end that answers. max_pairs: of the card. */
bool vhost_net_connect(VhostNet *net, VirtioDevice *vdev, unsigned max_pairs,
                       VhostNetChanged *changed, GError **error);
/* Whether the link is down because the back end has gone; it may come back. */
bool vhost_net_is_away(const VhostNet *net);
/* In realize, when the queues are there. */
bool vhost_net_realize(VhostNet *net, GError **error);
/* In unrealize, before the card's clients go. NULL is allowed. */
void vhost_net_unrealize(VhostNet *net);

/* own: features that the card has by itself (address, status, control queue), apart from what the interface can. */
bool vhost_net_get_features(VhostNet *net, uint64_t *features, uint64_t own, GError **error);
void vhost_net_reset(VhostNet *net);
/* The rings of `pairs` pairs are set up, those of the first `curr` are enabled. mtu 0: nothing is said. One that
 * the back end refuses is a start that fails. */
bool vhost_net_start(VhostNet *net, unsigned pairs, unsigned curr, unsigned mtu, GError **error);
void vhost_net_stop(VhostNet *net);
/* The driver uses another number of pairs (control queue). */
void vhost_net_set_pairs(VhostNet *net, unsigned curr);
bool vhost_net_queue_enable(VhostNet *net, unsigned n, GError **error);
bool vhost_net_queue_reset(VhostNet *net, unsigned n, GError **error);
QuiesceResult vhost_net_quiesce(VhostNet *net, GError **error);
bool vhost_net_check_late(VhostNet *net, GError **error);

#endif
