# Finds libbpf with what it needs (static where the static library exists) and uv.h.

find_package(PkgConfig REQUIRED)
# A libbpf of the project's own, when the set-up script has made one, goes before the system's.
if(NOT EBPF_SYSTEM_LIBBPF)
  set(ENV{PKG_CONFIG_PATH} "${root}/.deps/libbpf/lib/pkgconfig:$ENV{PKG_CONFIG_PATH}")
endif()
# pkg_check_modules keeps its first answer in the cache; a libbpf that has come or changed since must be seen.
unset(__pkg_config_checked_LIBBPF CACHE)
pkg_check_modules(LIBBPF REQUIRED libbpf>=1.1)

# True where every object of the archive can go into a shared library. Debian's libelf.a, libz.a and libbpf.a
# cannot: they are not position-independent.
function(ebpf_is_shareable out archive)
  set(source "${CMAKE_CURRENT_BINARY_DIR}/shareable.c")
  file(WRITE "${source}" "int nothing;\n")
  get_filename_component(name "${archive}" NAME)
  try_compile(${out} "${CMAKE_CURRENT_BINARY_DIR}/shareable-${name}" "${source}"
              LINK_OPTIONS -shared -Wl,--whole-archive "${archive}" -Wl,--no-whole-archive)
  set(${out} "${${out}}" PARENT_SCOPE)
endfunction()

# The static library where it exists and can be used, else the shared one. More arguments: where to look first.
function(ebpf_find_library out name)
  unset(archive CACHE)
  find_library(archive NAMES lib${name}.a HINTS ${ARGN})
  if(archive)
    unset(shareable CACHE)
    ebpf_is_shareable(shareable "${archive}")
  endif()
  if(archive AND shareable)
    set(${out} "${archive}" PARENT_SCOPE)
    return()
  endif()
  unset(shared CACHE)
  find_library(shared NAMES ${name} HINTS ${ARGN})
  if(NOT shared)
    message(FATAL_ERROR "lib${name} is missing")
  endif()
  set(${out} "${shared}" PARENT_SCOPE)
endfunction()

ebpf_find_library(ebpf_libbpf_file bpf ${LIBBPF_LIBDIR} ${LIBBPF_LIBRARY_DIRS})
ebpf_find_library(ebpf_libelf elf)
ebpf_find_library(ebpf_libz z)

add_library(ebpf_libbpf INTERFACE)
target_include_directories(ebpf_libbpf SYSTEM INTERFACE ${LIBBPF_INCLUDEDIR} ${LIBBPF_INCLUDE_DIRS})
target_link_libraries(ebpf_libbpf INTERFACE ${ebpf_libbpf_file} ${ebpf_libelf} ${ebpf_libz})
# From elfutils 0.189 libelf reads zstd-compressed sections, and its archive needs libzstd.
pkg_check_modules(LIBELF QUIET libelf)
foreach(library IN LISTS LIBELF_STATIC_LIBRARIES)
  if(library STREQUAL "zstd")
    ebpf_find_library(ebpf_libzstd zstd)
    target_link_libraries(ebpf_libbpf INTERFACE ${ebpf_libzstd})
  endif()
endforeach()
message(STATUS "libbpf ${LIBBPF_VERSION}: ${ebpf_libbpf_file}, ${ebpf_libelf}, ${ebpf_libz}")

# uv.h is not in node-api-headers: it lies beside the node that builds (<prefix>/include/node), else in libuv's own package.
if(CMAKE_JS_INC)
  set(uv_include_dir "${EBPF_UV_INCLUDE_DIR}")
  if(NOT uv_include_dir)
    execute_process(COMMAND node -p "require('path').resolve(process.execPath, '../../include/node')"
                    OUTPUT_VARIABLE beside_node OUTPUT_STRIP_TRAILING_WHITESPACE)
    find_path(uv_found_include_dir uv.h HINTS ${beside_node})
    set(uv_include_dir "${uv_found_include_dir}")
  endif()
  if(NOT EXISTS "${uv_include_dir}/uv.h")
    message(FATAL_ERROR "uv.h is missing: neither <prefix of node>/include/node nor the system has it; install libuv1-dev")
  endif()
endif()
