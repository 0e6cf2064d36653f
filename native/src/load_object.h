// bpf_object__load, and what only loading tells.
#pragma once

#include <bpf/libbpf.h>

namespace ebpf {

/// BPF_MAP_TYPE_ARENA, which headers older than 6.9 lack.
constexpr int kArenaMap = 33;

/// 0, or a negative errno. `arenaData` becomes where the object's variables in its arena are; null where it has no
/// arena.
int LoadObject(bpf_object* object, void*& arenaData);

}  // namespace ebpf
