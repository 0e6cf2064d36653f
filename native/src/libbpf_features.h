// What libbpf has gained since 1.1, the oldest that is supported. The one place that knows; used is only what is there.
#pragma once

#include <bpf/libbpf_version.h>

#define EBPF_LIBBPF_AT_LEAST(major, minor) \
  (LIBBPF_MAJOR_VERSION > (major) || (LIBBPF_MAJOR_VERSION == (major) && LIBBPF_MINOR_VERSION >= (minor)))

#if !EBPF_LIBBPF_AT_LEAST(1, 1)
#error "libbpf 1.1 or newer is needed"
#endif

/// bpf_kprobe_opts.attach_mode
#define EBPF_HAS_KPROBE_ATTACH_MODE EBPF_LIBBPF_AT_LEAST(1, 2)
/// bpf_link__update_map
#define EBPF_HAS_LINK_UPDATE_MAP EBPF_LIBBPF_AT_LEAST(1, 2)
/// bpf_map__set_value_size moves a section's data to the new size; before, it only changed the number.
#define EBPF_HAS_DATA_RESIZE EBPF_LIBBPF_AT_LEAST(1, 3)
/// bpf_link_create_opts.tcx and .netkit, bpf_program__attach_netfilter
#define EBPF_HAS_TCX EBPF_LIBBPF_AT_LEAST(1, 3)
/// bpf_program__attach_uprobe_multi
#define EBPF_HAS_UPROBE_MULTI EBPF_LIBBPF_AT_LEAST(1, 3)
/// bpf_kprobe_multi_opts.session
#define EBPF_HAS_KPROBE_SESSION EBPF_LIBBPF_AT_LEAST(1, 5)
/// bpf_uprobe_multi_opts.session
#define EBPF_HAS_UPROBE_SESSION EBPF_LIBBPF_AT_LEAST(1, 6)
/// bpf_link_create_opts.cgroup
#define EBPF_HAS_CGROUP_OPTS EBPF_LIBBPF_AT_LEAST(1, 6)
/// bpf_program__attach_raw_tracepoint_opts
#define EBPF_HAS_RAW_TP_COOKIE EBPF_LIBBPF_AT_LEAST(1, 4)

namespace ebpf {

/// Their names, for lib/; the last is null.
inline constexpr const char* kLibbpfFeatures[] = {
#if EBPF_HAS_KPROBE_ATTACH_MODE
    "kprobe_attach_mode",
#endif
#if EBPF_HAS_LINK_UPDATE_MAP
    "link_update_map",
#endif
#if EBPF_HAS_DATA_RESIZE
    "data_resize",
#endif
#if EBPF_LIBBPF_AT_LEAST(1, 3)
    "ring_introspection",
    "tcx",
    "netkit",
    "netfilter",
    "uprobe_multi",
#endif
#if EBPF_LIBBPF_AT_LEAST(1, 4)
    "token",
    "arena_variables",
#endif
#if EBPF_HAS_RAW_TP_COOKIE
    "raw_tp_cookie",
#endif
#if EBPF_LIBBPF_AT_LEAST(1, 5)
    "consume_n",
    "kprobe_session",
#endif
#if EBPF_LIBBPF_AT_LEAST(1, 6)
    "prepare",
    "uprobe_session",
    "cgroup_opts",
#endif
    nullptr,
};

}  // namespace ebpf
