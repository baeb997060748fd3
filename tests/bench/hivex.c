// SPDX-License-Identifier: GPL-3.0-or-later
// Calls libhivex for the hive benchmark. It takes the time around the calls that are compared,
// and nothing else: neither its own start nor the reading of its input is counted. Edits are
// counted from the opening of the hive on, because one library reads it then and another later.
//
//   hivex HIVE open
//   hivex HIVE look-ups PATHS             a path in each line
//   hivex HIVE values KEYS COUNT TARGET   a key's handle in each line; COUNT new values in each
//   hivex HIVE subkeys KEY COUNT TARGET   COUNT new subkeys of one key, in a scattered order
//   hivex HIVE save KEY TARGET            one value set, then hivex_commit and fsync
//
// Prints the nanoseconds, then a number that shows what was done.
#define _GNU_SOURCE
#include <fcntl.h>
#include <hivex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static char **lines(const char *path, size_t *count) {
    FILE *file = fopen(path, "r");
    char **found = NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    *count = 0;
    if (!file) fail(path);
    while ((length = getline(&line, &room, file)) > 0) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        if (!(found = realloc(found, (*count + 1) * sizeof *found))) fail("memory");
        found[(*count)++] = line;
        line = NULL;
        room = 0;
    }
    fclose(file);
    return found;
}

static void commit(hive_h *hive, const char *target) {
    if (hivex_commit(hive, target, 0) != 0) fail("hivex_commit");
}

int main(int argc, char **argv) {
    uint64_t begin, end, shown = 0;
    if (argc < 3) return 2;
    const char *mode = argv[2];
    int writes = strcmp(mode, "open") != 0 && strcmp(mode, "look-ups") != 0;
    begin = now();
    hive_h *hive = hivex_open(argv[1], writes ? HIVEX_OPEN_WRITE : 0);
    end = now();
    if (!hive) fail("hivex_open");
    hive_node_h root = hivex_root(hive);
    if (strcmp(mode, "open") == 0) {
        shown = root;
    } else if (strcmp(mode, "look-ups") == 0) {
        size_t count;
        char **paths = lines(argv[3], &count);
        begin = now();
        for (size_t at = 0; at < count; at++) {
            hive_node_h node = root;
            char *rest = paths[at], *part;
            while (node && (part = strsep(&rest, "\\"))) node = hivex_node_get_child(hive, node, part);
            shown += node;
        }
        end = now();
    } else if (strcmp(mode, "values") == 0) {
        size_t count;
        char **keys = lines(argv[3], &count);
        unsigned each = (unsigned)atoi(argv[4]);
        begin = now() - (end - begin);
        for (size_t at = 0; at < count; at++) {
            hive_node_h node = strtoull(keys[at], NULL, 10);
            for (unsigned number = 0; number < each; number++) {
                char name[32];
                uint32_t data[4] = {(uint32_t)at, number, 0x01234567, 0x89abcdef};
                snprintf(name, sizeof name, "new value %03u", number);
                hive_set_value value = {name, hive_t_REG_BINARY, sizeof data, (char *)data};
                if (hivex_node_set_value(hive, node, &value, 0) != 0) fail("hivex_node_set_value");
                shown++;
            }
        }
        end = now();
        commit(hive, argv[5]);
    } else if (strcmp(mode, "subkeys") == 0) {
        hive_node_h key = strtoull(argv[3], NULL, 10);
        unsigned count = (unsigned)atoi(argv[4]);
        begin = now() - (end - begin);
        for (unsigned number = 0; number < count; number++) {
            char name[32];
            snprintf(name, sizeof name, "new key %08x", number * 2654435761u);
            if (!hivex_node_add_child(hive, key, name)) fail("hivex_node_add_child");
            shown++;
        }
        end = now();
        commit(hive, argv[5]);
    } else if (strcmp(mode, "save") == 0) {
        char data[] = "saved by hivex";
        hive_set_value value = {"saved", hive_t_REG_BINARY, sizeof data, data};
        hive_node_h key = strtoull(argv[3], NULL, 10);
        if (hivex_node_set_value(hive, key, &value, 0) != 0) fail("hivex_node_set_value");
        begin = now();
        commit(hive, argv[4]);
        int file = open(argv[4], O_RDONLY);
        if (file < 0 || fsync(file) != 0) fail("fsync");
        close(file);
        end = now();
        shown = 1;
    } else {
        return 2;
    }
    printf("%llu %llu\n", (unsigned long long)(end - begin), (unsigned long long)shown);
    hivex_close(hive);
    return 0;
}
