// A bpf_object and the phase it is in. Shared by the JavaScript object, its programs and maps, and a load under way.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <map>

#include "map_data.h"

namespace ebpf {

class ObjectHandle {
 public:
  explicit ObjectHandle(bpf_object* object) : object_(object) {}
  ~ObjectHandle() { Free(); }
  ObjectHandle(const ObjectHandle&) = delete;
  ObjectHandle& operator=(const ObjectHandle&) = delete;

  /// For use on the environment's thread. Throws EBADF after close, and EBUSY while another thread loads the object.
  bpf_object* Use(napi_env env, const char* operation) const;
  bool loaded() const { return loaded_; }
  bool closed() const { return closed_; }

  /// Between these two the object belongs to the thread that loads it; a close in between takes effect at the end.
  void BeginLoad() { loading_ = true; }
  void EndLoad(int result, void* arenaData);
  /// Where the variables in the arena of a loaded object are; null where it has none.
  const void* arenaData() const { return arenaData_; }

  /// Idempotent.
  void Close();

  /// The section's data of a map of this object: the image libbpf keeps before load, the kernel's memory after.
  MapData Data(napi_env env, bpf_map* map, const char* operation);

 private:
  void Free();

  bpf_object* object_;
  bool loading_ = false;
  bool loaded_ = false;
  bool closed_ = false;
  void* arenaData_ = nullptr;
  std::map<bpf_map*, LiveMapping> live_;
};

}  // namespace ebpf
