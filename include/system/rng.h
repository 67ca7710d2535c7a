/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sources of entropy: -object rng-builtin, rng-random, rng-egd. Big lock. */
#ifndef SYSTEM_RNG_H
#define SYSTEM_RNG_H

#include "qom/object.h"

typedef struct RngBackend {
    Object object;
    unsigned users;
    GQueue requests; /* private: RngRequest *, oldest first */
} RngBackend;

extern const ObjectType rng_backend_type;         /* "rng-backend", abstract */
extern const ObjectType rng_backend_builtin_type; /* "rng-builtin" */

/* Asks for up to `size` random bytes; received(opaque, data, n) is called once from the main loop, with 1 to size bytes, in the
 * order of the requests. It may ask again. */
typedef void RngReceived(void *opaque, const uint8_t *data, size_t n);
void rng_backend_request(RngBackend *backend, size_t size, RngReceived *received, void *opaque);
/* Forgets what opaque has asked for. */
void rng_backend_cancel(RngBackend *backend, void *opaque);
/* Users: the object stays. */
void rng_backend_hold(RngBackend *backend);
void rng_backend_release(RngBackend *backend);

#endif
