#pragma once

#include <linux/perf_event.h>

namespace ebpf {

/// The perf event that bpf_perf_event_output() writes to, one sample per call.
inline perf_event_attr BpfOutputEvent() {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_BPF_OUTPUT;
  attributes.sample_type = PERF_SAMPLE_RAW;
  attributes.sample_period = 1;
  return attributes;
}

}  // namespace ebpf
