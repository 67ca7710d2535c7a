/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The quiesce stage (system/quiesce.h). */
#include "util/osdep.h"

#include "util/error.h"
#include "util/main-loop.h"
#include "system/memory.h"
#include "system/quiesce.h"

static GString *trace;

typedef struct Backend {
    const char *name;
    QuiesceResult answer;
    QuiesceEntry *entry;
} Backend;

static QuiesceResult backend_quiesce(void *opaque, GError **error)
{
    Backend *b = opaque;

    g_assert_false(ram_is_closed());
    g_string_append_printf(trace, "%s ", b->name);
    if (b->answer != QUIESCE_DONE) {
        error_set(error, "the guest has not fetched its data");
    }
    return b->answer;
}

static void backend_resume(void *opaque)
{
    Backend *b = opaque;

    g_assert_false(ram_is_closed());
    g_string_append_printf(trace, "-%s ", b->name);
}

static const QuiesceOps ops[] = {
    { "one", backend_quiesce, backend_resume },
    { "two", backend_quiesce, backend_resume },
    { "three", backend_quiesce, NULL },
};
static Backend backends[] = { { "one" }, { "two" }, { "three" } };

#define TRACE(text)                                                                             \
    do {                                                                                        \
        g_assert_cmpstr(trace->str, ==, text);                                                  \
        g_string_truncate(trace, 0);                                                            \
    } while (0)

static void set_up(void)
{
    for (unsigned i = 0; i < 3; i++) {
        backends[i].answer = QUIESCE_DONE;
        backends[i].entry = quiesce_register(&ops[i], &backends[i]);
    }
}

static void tear_down(void)
{
    for (unsigned i = 0; i < 3; i++) {
        quiesce_unregister(backends[i].entry);
    }
}

static void test_done(void)
{
    GError *error = NULL;

    set_up();
    g_assert_cmpint(quiesce_all(&error), ==, QUIESCE_DONE);
    g_assert_true(quiesced() && ram_is_closed());
    TRACE("one two three ");
    g_assert_cmpint(quiesce_all(&error), ==, QUIESCE_DONE); /* once is enough */
    TRACE("");
    quiesce_resume_all();
    TRACE("-two -one ");
    g_assert_false(quiesced() || ram_is_closed());
    quiesce_resume_all(); /* Q4 */
    TRACE("");
    tear_down();
}

/* Q2 */
static void test_busy(void)
{
    GError *error = NULL;

    set_up();
    backends[1].answer = QUIESCE_BUSY;
    g_assert_cmpint(quiesce_all(&error), ==, QUIESCE_BUSY);
    g_assert_cmpstr(error->message, ==, "two: the guest has not fetched its data");
    g_clear_error(&error);
    TRACE("one two -one ");
    g_assert_false(quiesced() || ram_is_closed());
    backends[1].answer = QUIESCE_ERROR;
    g_assert_cmpint(quiesce_all(&error), ==, QUIESCE_ERROR);
    g_clear_error(&error);
    TRACE("one two -one ");
    backends[1].answer = QUIESCE_DONE;
    g_assert_cmpint(quiesce_all(&error), ==, QUIESCE_DONE);
    quiesce_resume_all();
    TRACE("one two three -two -one ");
    tear_down();
}

/* A mapping that somebody forgot would be a write that nobody logs. */
static void test_mapping_left(void)
{
    MemoryRegion *root = memory_region_new_container(NULL, "root", UINT64_MAX);
    AddressSpace *as = address_space_new(root, "test");
    MemoryRegion *ram = memory_region_new_ram(NULL, "ram", 4096, NULL);
    GError *error = NULL;
    uint64_t len = 16;
    void *host;

    set_up();
    memory_region_map(root, 0, ram);
    host = dma_map(as, 0, &len, false);
    g_assert_cmpint(quiesce_all(&error), ==, QUIESCE_ERROR);
    g_assert_nonnull(strstr(error->message, "1 mappings of guest memory"));
    g_clear_error(&error);
    TRACE("one two three -two -one ");
    dma_unmap(as, host, len, false, 0, "test");
    g_assert_cmpint(quiesce_all(&error), ==, QUIESCE_DONE);
    g_assert_cmpint(dma_write(as, 0, "x", 1, "late device"), ==, MEM_CLOSED);
    g_assert_cmpstr(ram_late_writer(), ==, "late device");
    quiesce_resume_all();
    tear_down();
    g_string_truncate(trace, 0);
    memory_region_free(ram);
    address_space_free(as);
    memory_region_free(root);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    memory_init();
    trace = g_string_new(NULL);
    g_test_add_func("/quiesce/done", test_done);
    g_test_add_func("/quiesce/busy", test_busy);
    g_test_add_func("/quiesce/mapping-left", test_mapping_left);
    return g_test_run();
}
