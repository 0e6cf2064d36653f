/*
 * Threads of the bench's process that run beside its event loop: a producer that sends as fast as it can, or one record at a time, and a
 * reader in C that waits with epoll. Not part of the package; bench/ring/build.mjs compiles it with cc.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <node_api.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

struct task {
	pthread_t thread;
	atomic_bool stop;
	atomic_bool done;
	/* A program, or the map that is read. */
	int fd;
	/* Runs per system call, or samples to gather. */
	uint32_t count;
	uint32_t gap_ns;
	/* Where the thread runs; -1: anywhere. */
	int cpu;
	double cpu_ns;
	double runs;
	uint32_t samples;
	double *sample;
	/* A negative errno. */
	int error;
};

static int run_program(int fd, uint32_t repeat, uint32_t *duration)
{
	static const char packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet), .repeat = repeat);
	int error = bpf_prog_test_run_opts(fd, &options);

	*duration = options.duration;
	return error;
}

static int run_on(int cpu)
{
	cpu_set_t set;

	if (cpu < 0) {
		memset(&set, 0xff, sizeof(set));
	} else {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
	}
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* Sends until it is stopped. */
static void *flood(void *argument)
{
	struct task *task = argument;
	double started = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	uint32_t duration;

	while (!task->stop && !task->error) {
		task->error = run_program(task->fd, task->count, &duration);
		task->runs += task->count;
	}
	task->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - started;
	task->done = true;
	return NULL;
}

/* One run after the other with a rest between them; a sample is the kernel's own measure of a run. */
static void *pace(void *argument)
{
	struct task *task = argument;
	struct timespec gap = {.tv_nsec = task->gap_ns};
	uint32_t duration;

	task->error = run_on(task->cpu);
	while (task->samples < task->count && !task->stop && !task->error) {
		nanosleep(&gap, NULL);
		task->error = run_program(task->fd, 1, &duration);
		task->sample[task->samples++] = duration;
	}
	task->done = true;
	return NULL;
}

static int on_stamped(void *context, void *record, size_t size)
{
	struct task *task = context;
	uint64_t sent;

	memcpy(&sent, record, sizeof(sent));
	if (task->samples < task->count)
		task->sample[task->samples++] = clock_ns(CLOCK_MONOTONIC) - sent;
	return 0;
}

/* Waits for records that begin with the time they were sent at; a sample is how old one is when it is seen. */
static void *await(void *argument)
{
	struct task *task = argument;
	struct ring_buffer *ring = ring_buffer__new(task->fd, on_stamped, task, NULL);
	int result;

	task->error = ring ? run_on(task->cpu) : -errno;
	while (!task->error && task->samples < task->count && !task->stop) {
		result = ring_buffer__poll(ring, 100);
		if (result < 0)
			task->error = result;
	}
	ring_buffer__free(ring);
	task->done = true;
	return NULL;
}

static void end(struct task *task)
{
	task->stop = true;
	if (task->thread)
		pthread_join(task->thread, NULL);
	task->thread = 0;
}

static void free_task(napi_env env, void *data, void *hint)
{
	struct task *task = data;

	end(task);
	free(task->sample);
	free(task);
}

static napi_value start(napi_env env, napi_callback_info info, void *(*body)(void *), bool samples)
{
	struct task *task = calloc(1, sizeof(*task));
	napi_value argv[4], external = NULL;
	size_t argc = 4;

	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	napi_get_value_int32(env, argv[0], &task->fd);
	napi_get_value_uint32(env, argv[1], &task->count);
	napi_get_value_uint32(env, argv[2], &task->gap_ns);
	task->cpu = -1;
	napi_get_value_int32(env, argv[3], &task->cpu);
	if (samples)
		task->sample = calloc(task->count, sizeof(*task->sample));
	if (pthread_create(&task->thread, NULL, body, task)) {
		free(task->sample);
		free(task);
		napi_throw_error(env, NULL, "pthread_create failed");
		return NULL;
	}
	napi_create_external(env, task, free_task, NULL, &external);
	return external;
}

/* flood(programFd, runsPerCall) */
static napi_value start_flood(napi_env env, napi_callback_info info)
{
	return start(env, info, flood, false);
}

/* pace(programFd, runs, nanosecondsBetween, cpu?) */
static napi_value start_pace(napi_env env, napi_callback_info info)
{
	return start(env, info, pace, true);
}

/* await(mapFd, records, undefined, cpu?) */
static napi_value start_await(napi_env env, napi_callback_info info)
{
	return start(env, info, await, true);
}

/* runOn(cpu): where the calling thread runs; -1: anywhere. */
static napi_value set_cpu(napi_env env, napi_callback_info info)
{
	napi_value argv[1];
	size_t argc = 1;
	int cpu = -1;

	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	napi_get_value_int32(env, argv[0], &cpu);
	if (run_on(cpu))
		napi_throw_error(env, NULL, "sched_setaffinity failed");
	return NULL;
}

static void set_number(napi_env env, napi_value object, const char *name, double number)
{
	napi_value value;

	napi_create_double(env, number, &value);
	napi_set_named_property(env, object, name, value);
}

/* isDone(task) */
static napi_value is_done(napi_env env, napi_callback_info info)
{
	struct task *task = NULL;
	napi_value argv[1], result;
	size_t argc = 1;

	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	napi_get_value_external(env, argv[0], (void **)&task);
	napi_get_boolean(env, task->done, &result);
	return result;
}

/* stop(task): waits for its end; { cpuNs, runs, samples, error } */
static napi_value stop(napi_env env, napi_callback_info info)
{
	struct task *task = NULL;
	napi_value argv[1], result, list, value;
	size_t argc = 1;

	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	napi_get_value_external(env, argv[0], (void **)&task);
	end(task);
	napi_create_object(env, &result);
	set_number(env, result, "cpuNs", task->cpu_ns);
	set_number(env, result, "runs", task->runs);
	set_number(env, result, "error", task->error);
	napi_create_array_with_length(env, task->samples, &list);
	for (uint32_t i = 0; i < task->samples; i++) {
		napi_create_double(env, task->sample[i], &value);
		napi_set_element(env, list, i, value);
	}
	napi_set_named_property(env, result, "samples", list);
	return result;
}

NAPI_MODULE_INIT()
{
	napi_property_descriptor properties[] = {
		{"flood", NULL, start_flood, NULL, NULL, NULL, napi_default, NULL},
		{"pace", NULL, start_pace, NULL, NULL, NULL, napi_default, NULL},
		{"await", NULL, start_await, NULL, NULL, NULL, napi_default, NULL},
		{"runOn", NULL, set_cpu, NULL, NULL, NULL, napi_default, NULL},
		{"isDone", NULL, is_done, NULL, NULL, NULL, napi_default, NULL},
		{"stop", NULL, stop, NULL, NULL, NULL, napi_default, NULL},
	};

	napi_define_properties(env, exports, sizeof(properties) / sizeof(*properties), properties);
	return exports;
}
