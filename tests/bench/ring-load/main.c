/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ring-load: options. One line of JSON goes to standard output. ring_load.py starts it. */
#include "util/osdep.h"
#include "ring-load.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const struct option names[] = {
    { "pid", required_argument, NULL, 'p' },     { "ram", required_argument, NULL, 'm' },
    { "ring", required_argument, NULL, 'r' },    { "old", required_argument, NULL, 'o' },
    { "seconds", required_argument, NULL, 's' }, { "depth", required_argument, NULL, 'd' },
    { "bytes", required_argument, NULL, 'b' },   { "disk", required_argument, NULL, 'D' },
    { "interrupts", no_argument, NULL, 'i' },    { "write", no_argument, NULL, 'w' },
    { "random", no_argument, NULL, 'R' },        { "receive", no_argument, NULL, 'v' },
    { 0 },
};

static void map_ram(Load *load, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDWR);

    if (fd < 0 || fstat(fd, &st) != 0) {
        load_fail("%s: %s", path, strerror(errno));
    }
    load->ram_size = st.st_size;
    load->ram = mmap(NULL, load->ram_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (load->ram == MAP_FAILED) {
        load_fail("%s: %s", path, strerror(errno));
    }
    close(fd);
}

static void add_old(Load *load, const char *text)
{
    for (char *end; *text; text = *end ? end + 1 : end) {
        load->old_eventfds = realloc(load->old_eventfds, (load->n_old + 1) * sizeof(uint64_t));
        if (!load->old_eventfds) {
            load_fail("no memory");
        }
        load->old_eventfds[load->n_old++] = strtoull(text, &end, 10);
        if (end == text) {
            load_fail("--old is a list of numbers with commas");
        }
    }
}

int main(int argc, char **argv)
{
    Load load = { .pid = -1, .seconds = 1 };
    BlkOptions blk = { .depth = 1, .bytes = 4096, .disk = 1 << 20 };
    NetOptions net = { 0 };
    struct { uint64_t base; unsigned size; } rings[2];

    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'p': load.pid = atoi(optarg); break;
        case 'm': map_ram(&load, optarg); break;
        case 'o': add_old(&load, optarg); break;
        case 's': load.seconds = atof(optarg); break;
        case 'd': blk.depth = atoi(optarg); break;
        case 'b': blk.bytes = atoi(optarg); break;
        case 'D': blk.disk = strtoull(optarg, NULL, 0); break;
        case 'i': load.interrupts = true; break;
        case 'w': blk.write = true; break;
        case 'R': blk.random = true; break;
        case 'v': net.receive = true; break;
        case 'r':
            if (load.n_rings == 2 || sscanf(optarg, "%" SCNi64 ",%u", (int64_t *)&rings[load.n_rings].base,
                                            &rings[load.n_rings].size) != 2) {
                load_fail("--ring ADDRESS,SIZE, up to two");
            }
            load.n_rings++;
            break;
        default: return 2;
        }
    }
    if (!load.ram || load.pid < 0 || !load.n_rings || optind + 1 != argc) {
        load_fail("--pid, --ram, --ring and a word (blk or net) are needed");
    }
    for (unsigned i = 0; i < load.n_rings; i++) {
        ring_open(&load, &load.rings[i], rings[i].base, rings[i].size);
    }
    if (strcmp(argv[optind], "net") == 0) {
        load_net(&load, &net);
    } else {
        load_blk(&load, &blk);
    }
    return 0;
}
