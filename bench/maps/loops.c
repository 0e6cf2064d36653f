/* SPDX-License-Identifier: MIT */
/*
 * The loops that the bench compares with, in C over libbpf. Reads commands, one a line, and answers each with the
 * nanoseconds that its loop took and a checksum:
 *
 *     get|set|iterate <map: flows|numbers|per_cpu> <id> <entries> <operations> <batch>
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

struct flow {
	uint32_t saddr;
	uint32_t daddr;
	uint16_t sport;
	uint16_t dport;
	uint8_t protocol;
	uint8_t padding[3];
};

struct counters {
	uint64_t packets;
	uint64_t bytes;
	uint32_t last;
	uint16_t flags;
	uint8_t padding[2];
};

union key {
	struct flow flow;
	uint32_t number;
};

enum kind { FLOWS, NUMBERS, PER_CPU };

static int cpus;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* Key number i, as the bench in JavaScript makes it. */
static void make_key(enum kind kind, uint32_t i, union key *key)
{
	if (kind != FLOWS) {
		key->number = i;
		return;
	}
	memset(key, 0, sizeof(*key));
	key->flow.saddr = 0x0a000000 | i;
	key->flow.daddr = 0xc0a80001;
	key->flow.sport = i & 0xffff;
	key->flow.dport = 443;
	key->flow.protocol = 6;
}

static size_t value_bytes(enum kind kind)
{
	if (kind == NUMBERS)
		return sizeof(uint64_t);
	return kind == FLOWS ? sizeof(struct counters) : sizeof(struct counters) * cpus;
}

static uint64_t sum(enum kind kind, const void *value)
{
	const struct counters *counters = value;
	uint64_t total = 0;

	if (kind == NUMBERS)
		return *(const uint64_t *)value;
	if (kind == FLOWS)
		return counters->packets;
	for (int cpu = 0; cpu < cpus; cpu++)
		total += counters[cpu].packets;
	return total;
}

static uint64_t get(enum kind kind, int fd, uint32_t entries, uint32_t operations)
{
	void *value = calloc(1, value_bytes(kind));
	uint64_t total = 0;
	union key key;

	for (uint32_t i = 0; i < operations; i++) {
		make_key(kind, (uint32_t)((uint64_t)i * 7919 % entries), &key);
		if (bpf_map_lookup_elem(fd, &key, value))
			fail("lookup");
		total += sum(kind, value);
	}
	free(value);
	return total;
}

static uint64_t set(enum kind kind, int fd, uint32_t entries, uint32_t operations)
{
	char *value = calloc(1, value_bytes(kind));
	union key key;

	for (uint32_t i = 0; i < operations; i++) {
		make_key(kind, (uint32_t)((uint64_t)i * 7919 % entries), &key);
		if (kind == NUMBERS) {
			*(uint64_t *)value = i;
		} else {
			struct counters counters = {.packets = i, .bytes = 1500, .last = i, .flags = 1};

			for (size_t at = 0; at < value_bytes(kind); at += sizeof(counters))
				memcpy(value + at, &counters, sizeof(counters));
		}
		if (bpf_map_update_elem(fd, &key, value, BPF_ANY))
			fail("update");
	}
	free(value);
	return operations;
}

static uint64_t iterate(enum kind kind, int fd, uint32_t batch)
{
	const size_t key_bytes = kind == FLOWS ? sizeof(struct flow) : sizeof(uint32_t);
	char *keys = malloc(key_bytes * batch), *values = malloc(value_bytes(kind) * batch);
	uint32_t in = 0, out = 0, first = 1;
	uint64_t total = 0;

	for (;;) {
		uint32_t count = batch;
		int result = bpf_map_lookup_batch(fd, first ? NULL : &in, &out, keys, values, &count, NULL);

		if (result && result != -ENOENT)
			fail("lookup batch");
		for (uint32_t i = 0; i < count; i++) {
			uint32_t number;

			memcpy(&number, keys + i * key_bytes, sizeof(number));
			total += sum(kind, values + i * value_bytes(kind)) + (number & 1);
		}
		if (result)
			break;
		in = out;
		first = 0;
	}
	free(keys);
	free(values);
	return total;
}

int main(void)
{
	char command[16], map[16];
	uint32_t id, entries, operations, batch;

	cpus = libbpf_num_possible_cpus();
	while (scanf("%15s %15s %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32, command, map, &id, &entries, &operations,
		     &batch) == 6) {
		enum kind kind = !strcmp(map, "flows") ? FLOWS : !strcmp(map, "numbers") ? NUMBERS : PER_CPU;
		int fd = bpf_map_get_fd_by_id(id);
		uint64_t start, checksum;

		if (fd < 0)
			fail("open map");
		start = now();
		if (!strcmp(command, "get"))
			checksum = get(kind, fd, entries, operations);
		else if (!strcmp(command, "set"))
			checksum = set(kind, fd, entries, operations);
		else
			checksum = iterate(kind, fd, batch);
		printf("%" PRIu64 " %" PRIu64 "\n", now() - start, checksum);
		fflush(stdout);
		close(fd);
	}
	return 0;
}
