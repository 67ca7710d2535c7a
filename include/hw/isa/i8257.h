/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DMA controllers of the ISA bus: channels 0 … 3 move bytes, 5 … 7 words. Big lock.
 *
 * A device raises its request with isa_dma_request() and is called back, soon and never from inside a call, once its
 * channel is unmasked: it then moves as much as it has with isa_dma_read() or isa_dma_write() and says how far it has
 * come. It is called again as long as it holds its request and got
 * further; when all is moved the channel tells the guest (terminal
 * count), reloads itself or masks itself. While the machine stands still nobody is called.
 */
#ifndef HW_ISA_I8257_H
#define HW_ISA_I8257_H

#include "hw/isa/isa.h"

#define ISA_DMA_CHANNELS 8

typedef enum IsaDmaType {
    ISA_DMA_VERIFY = 0,
    ISA_DMA_TO_MEMORY = 1,
    ISA_DMA_FROM_MEMORY = 2,
    ISA_DMA_ILLEGAL = 3
} IsaDmaType;

/* Of total bytes (what the guest has programmed) done are moved. Returns the new done, done … total. */
typedef unsigned IsaDmaTransfer(void *opaque, unsigned channel, unsigned done, unsigned total);

/* Makes the pair of the bus; NULL-terminated errors as usual. Part of the bridge. */
bool i8257_pair_new(IsaBus *bus, GError **error);

/* Claims a channel for a device; an error if the bus has no such channel or it is taken. */
bool isa_dma_claim(IsaBus *bus, unsigned channel, IsaDmaTransfer *transfer, void *opaque,
                   GError **error);
void isa_dma_release(IsaBus *bus, unsigned channel);
/* The request line DREQ. Not saved: a device that has it up when it is saved raises it again when it is loaded. */
void isa_dma_request(IsaBus *bus, unsigned channel, bool up);
/* What the guest has programmed the channel for. */
IsaDmaType isa_dma_type(IsaBus *bus, unsigned channel);
/* Bytes from and to guest memory, at position done of the transfer; inside IsaDmaTransfer only. writer: see dma_write(). */
void isa_dma_read(IsaBus *bus, unsigned channel, void *buf, unsigned done, unsigned len);
void isa_dma_write(IsaBus *bus, unsigned channel, const void *buf, unsigned done, unsigned len,
                   const char *writer);

#endif
