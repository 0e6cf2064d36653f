#include "load_object.h"

namespace ebpf {
namespace {
bpf_map* ArenaOf(const bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (static_cast<int>(bpf_map__type(map)) == kArenaMap) return map;
  }
  return nullptr;
}
}  // namespace

int LoadObject(bpf_object* object, void*& arenaData) {
  arenaData = nullptr;
  bpf_map* arena = ArenaOf(object);
  if (arena == nullptr) return bpf_object__load(object);
  // libbpf 1.7 has variables at the end of the arena, where the kernel can address that, and tells C skeletons alone.
  bpf_map_skeleton maps{};
  maps.name = bpf_map__name(arena);
  maps.map = &arena;
  maps.mmaped = &arenaData;
  bpf_object_skeleton skeleton{};
  skeleton.sz = sizeof skeleton;
  skeleton.name = bpf_object__name(object);
  skeleton.obj = &object;
  skeleton.map_cnt = 1;
  skeleton.map_skel_sz = sizeof maps;
  skeleton.maps = &maps;
  size_t size = 0;
  const void* const image = bpf_map__initial_value(arena, &size);
  const int result = bpf_object__load_skeleton(&skeleton);
  // Of an arena that is reused libbpf makes no mapping: it keeps the image, and tells a place in what it has not made.
  if (bpf_map__initial_value(arena, &size) == image) arenaData = nullptr;
  return result;
}

}  // namespace ebpf
