/*
 * What the benches compare with, in C over the same rings and in the same process: libbpf alone, and the naive bridge to JavaScript.
 * Not part of the package; bench/ring/build.mjs compiles it with cc.
 */
#include <bpf/libbpf.h>
#include <node_api.h>
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

static void free_ring(napi_env env, void *ring, void *hint)
{
	ring_buffer__free(ring);
}

/* openX(mapFd): libbpf's reader of the ring with callback X, and `struct drain` behind it. */
struct reader {
	struct ring_buffer *ring;
	struct drain drain;
};

static void free_reader(napi_env env, void *data, void *hint)
{
	struct reader *reader = data;

	free_ring(env, reader->ring, NULL);
	free(reader->drain.target);
	free(reader);
}

static napi_value open_reader(napi_env env, napi_callback_info info)
{
	static const ring_buffer_sample_fn callbacks[] = {count, copy, call};
	struct reader *reader = calloc(1, sizeof(*reader));
	napi_value argv[2], external = NULL;
	uint32_t kind = 0;
	size_t argc = 2;
	int fd = -1;

	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	napi_get_value_int32(env, argv[0], &fd);
	napi_get_value_uint32(env, argv[1], &kind);
	reader->drain.target = malloc(TARGET_BYTES);
	reader->ring = ring_buffer__new(fd, callbacks[kind % 3], &reader->drain, NULL);
	if (!reader->ring) {
		napi_throw_error(env, NULL, "ring_buffer__new failed");
		return NULL;
	}
	napi_create_external(env, reader, free_reader, NULL, &external);
	return external;
}

/* openPerf(mapFd, pages): libbpf's perf_buffer, counting; a buffer per CPU, and no wake-ups. */
static struct perf_buffer *perf;
static uint64_t perf_records;

static void count_sample(void *context, int cpu, void *data, __u32 size)
{
	perf_records++;
}

static napi_value open_perf(napi_env env, napi_callback_info info)
{
	napi_value argv[2];
	uint32_t pages = 0;
	size_t argc = 2;
	int fd = -1;

	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	napi_get_value_int32(env, argv[0], &fd);
	napi_get_value_uint32(env, argv[1], &pages);
	perf = perf_buffer__new(fd, pages, count_sample, NULL, NULL, NULL);
	if (!perf)
		napi_throw_error(env, NULL, "perf_buffer__new failed");
	return NULL;
}

static napi_value drain_perf(napi_env env, napi_callback_info info)
{
	napi_value result, value;
	double started = now_ns(), ns;

	perf_records = 0;
	perf_buffer__consume(perf);
	ns = now_ns() - started;
	napi_create_object(env, &result);
	napi_create_double(env, perf_records, &value);
	napi_set_named_property(env, result, "records", value);
	napi_create_double(env, ns, &value);
	napi_set_named_property(env, result, "ns", value);
	return result;
}

static napi_value close_perf(napi_env env, napi_callback_info info)
{
	perf_buffer__free(perf);
	perf = NULL;
	return NULL;
}

/* drain(reader, callback?): empties the ring; { records, ns }. */
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
	ring_buffer__consume(reader->ring);
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
		{"openReader", NULL, open_reader, NULL, NULL, NULL, napi_default, NULL},
		{"cpuNs", NULL, cpu_ns, NULL, NULL, NULL, napi_default, NULL},
		{"openPerf", NULL, open_perf, NULL, NULL, NULL, napi_default, NULL},
		{"drainPerf", NULL, drain_perf, NULL, NULL, NULL, napi_default, NULL},
		{"closePerf", NULL, close_perf, NULL, NULL, NULL, napi_default, NULL},
		{"drain", NULL, drain_reader, NULL, NULL, NULL, napi_default, NULL},
	};

	napi_define_properties(env, exports, sizeof(properties) / sizeof(*properties), properties);
	return exports;
}
