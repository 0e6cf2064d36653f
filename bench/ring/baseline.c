/*
 * What the benches compare with, in C over the same rings and in the same process: libbpf alone, and the naive bridge to JavaScript.
 * Not part of the package; bench/ring/build.mjs compiles it with cc.
 */
#include <bpf/libbpf.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Processor time of the whole process, the garbage collector's threads included: on a machine with other work, time that passes says
 * more about that work.
 */
static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static napi_value cpu_ns(napi_env env, napi_callback_info info)
{
	napi_value result;

	napi_create_double(env, now_ns(), &result);
	return result;
}

struct drain {
	uint64_t records;
	uint64_t bytes;
	/* Copies go round in here: as large as the slab of the reader in the library. */
	char *target;
	size_t at;
	napi_env env;
	napi_value receiver;
	napi_value callback;
};

enum { TARGET_BYTES = 256 * 1024 };

static int count(void *context, void *record, size_t size)
{
	((struct drain *)context)->records++;
	return 0;
}

static int copy(void *context, void *record, size_t size)
{
	struct drain *drain = context;

	if (drain->at + size > TARGET_BYTES)
		drain->at = 0;
	memcpy(drain->target + drain->at, record, size);
	drain->at += (size + 7) & ~7UL;
	drain->records++;
	drain->bytes += size;
	return 0;
}

/* One Buffer and one call per record, as a first version of such an addon has it. */
static int call(void *context, void *record, size_t size)
{
	struct drain *drain = context;
	napi_handle_scope scope;
	napi_value buffer, result;
	napi_status status;

	napi_open_handle_scope(drain->env, &scope);
	status = napi_create_buffer_copy(drain->env, size, record, NULL, &buffer);
	if (status == napi_ok)
		status = napi_call_function(drain->env, drain->receiver, drain->callback, 1, &buffer, &result);
	napi_close_handle_scope(drain->env, scope);
	drain->records++;
	return status == napi_ok ? 0 : -1;
}

/* openRing(mapFd, kind), openPerf(mapFd, kind, pages): libbpf's reader with one of the callbacks above, and `struct drain` behind it. */
struct reader {
	struct ring_buffer *ring;
	struct perf_buffer *perf;
	struct drain drain;
};

static const ring_buffer_sample_fn callbacks[] = {count, copy, call};

static void count_sample(void *context, int cpu, void *record, __u32 size)
{
	count(context, record, size);
}

static void copy_sample(void *context, int cpu, void *record, __u32 size)
{
	copy(context, record, size);
}

static void call_sample(void *context, int cpu, void *record, __u32 size)
{
	call(context, record, size);
}

static const perf_buffer_sample_fn sample_callbacks[] = {count_sample, copy_sample, call_sample};

static void free_reader(napi_env env, void *data, void *hint)
{
	struct reader *reader = data;

	ring_buffer__free(reader->ring);
	perf_buffer__free(reader->perf);
	free(reader->drain.target);
	free(reader);
}

static napi_value open_reader(napi_env env, napi_callback_info info, bool of_ring)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	napi_value argv[3], external = NULL;
	uint32_t kind = 0, pages = 0;
	size_t argc = 3;
	int fd = -1;

	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	napi_get_value_int32(env, argv[0], &fd);
	napi_get_value_uint32(env, argv[1], &kind);
	napi_get_value_uint32(env, argv[2], &pages);
	reader->drain.target = malloc(TARGET_BYTES);
	if (of_ring)
		reader->ring = ring_buffer__new(fd, callbacks[kind % 3], &reader->drain, NULL);
	else
		reader->perf = perf_buffer__new(fd, pages, sample_callbacks[kind % 3], NULL, &reader->drain, NULL);
	if (!reader->ring && !reader->perf) {
		free_reader(env, reader, NULL);
		napi_throw_error(env, NULL, "libbpf made no reader");
		return NULL;
	}
	napi_create_external(env, reader, free_reader, NULL, &external);
	return external;
}

static napi_value open_ring(napi_env env, napi_callback_info info)
{
	return open_reader(env, info, true);
}

static napi_value open_perf(napi_env env, napi_callback_info info)
{
	return open_reader(env, info, false);
}

/* closePerf(reader): its buffers are taken out of the map, for another reader to put in its own. */
static napi_value close_perf(napi_env env, napi_callback_info info)
{
	struct reader *reader = NULL;
	napi_value argv[1];
	size_t argc = 1;

	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	napi_get_value_external(env, argv[0], (void **)&reader);
	perf_buffer__free(reader->perf);
	reader->perf = NULL;
	return NULL;
}

/* drain(reader, callback?): reads what is there; { records, ns }. */
static napi_value drain_reader(napi_env env, napi_callback_info info)
{
	napi_value argv[2], result, value;
	struct reader *reader = NULL;
	size_t argc = 2;
	double started, ns;

	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	napi_get_value_external(env, argv[0], (void **)&reader);
	reader->drain.records = 0;
	reader->drain.env = env;
	reader->drain.callback = argv[1];
	napi_get_undefined(env, &reader->drain.receiver);
	started = now_ns();
	if (reader->ring)
		ring_buffer__consume(reader->ring);
	else if (reader->perf)
		perf_buffer__consume(reader->perf);
	ns = now_ns() - started;

	napi_create_object(env, &result);
	napi_create_double(env, reader->drain.records, &value);
	napi_set_named_property(env, result, "records", value);
	napi_create_double(env, ns, &value);
	napi_set_named_property(env, result, "ns", value);
	return result;
}

NAPI_MODULE_INIT()
{
	napi_property_descriptor properties[] = {
		{"cpuNs", NULL, cpu_ns, NULL, NULL, NULL, napi_default, NULL},
		{"openRing", NULL, open_ring, NULL, NULL, NULL, napi_default, NULL},
		{"openPerf", NULL, open_perf, NULL, NULL, NULL, napi_default, NULL},
		{"closePerf", NULL, close_perf, NULL, NULL, NULL, napi_default, NULL},
		{"drain", NULL, drain_reader, NULL, NULL, NULL, napi_default, NULL},
	};

	napi_define_properties(env, exports, sizeof(properties) / sizeof(*properties), properties);
	return exports;
}
